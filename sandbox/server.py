"""The sandbox as a process: uvicorn, with connections that a fault may close."""

from __future__ import annotations

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.app import create_app
from sandbox.faults import CLOSE_EXTENSION
from sandbox.inngest import Inngest
from sandbox.settings import Settings
from sandbox.waha_webhook import WahaWebhook


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also lets the application close the connection without an answer."""

    def on_message_begin(self) -> None:
        """Start a request whose scope carries the connection's `close`."""
        super().on_message_begin()
        self.scope["extensions"] = {CLOSE_EXTENSION: {"close": self.transport.close}}


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests that a fault keeps hanging are cut off after a second."""
    uvicorn.run(
        create_app(
            settings.waha_api_key,
            settings.upstash_redis_url,
            Inngest(settings.inngest_signing_key, settings.inngest_app_url),
            WahaWebhook(settings.waha_webhook_url, settings.waha_webhook_secret)
            if settings.waha_webhook_url
            else None,
        ),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=ClosableProtocol,
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=1,
    )
