"""The sandbox as a process: uvicorn, with connections that a fault may close, and SMTP beside it."""

from __future__ import annotations

import contextlib
import sys

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.app import create_app
from sandbox.faults import CLOSE_EXTENSION
from sandbox.inngest import Inngest
from sandbox.kept import Kept
from sandbox.settings import Settings
from sandbox.smtp import smtp_server
from sandbox.waha_webhook import WahaWebhook


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also lets the application close the connection without an answer."""

    def on_message_begin(self) -> None:
        """Start a request whose scope carries the connection's `close`."""
        super().on_message_begin()
        self.scope["extensions"] = {CLOSE_EXTENSION: {"close": self.transport.close}}


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests that a fault keeps hanging are cut off after a second."""
    mails = Kept()
    app = create_app(
        settings.waha_api_key,
        settings.upstash_redis_url,
        Inngest(settings.inngest_signing_key, settings.inngest_app_url),
        WahaWebhook(settings.waha_webhook_url, settings.waha_webhook_secret)
        if settings.waha_webhook_url
        else None,
        mails,
    )
    config = uvicorn.Config(
        app,
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
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(uvicorn.Server(config), settings, mails))


async def _serve(server: uvicorn.Server, settings: Settings, mails: Kept) -> None:
    """HTTP and mail. Of several sandboxes on one machine only the first has the mail's port."""
    async with contextlib.AsyncExitStack() as stack:
        mail = smtp_server(mails, settings.host, settings.smtp_port, settings.resend_api_key)
        try:
            await stack.enter_async_context(mail)
        except OSError as error:
            reason = f"SMTP_PORT {settings.smtp_port}: {error.strerror}"
            print(f"warning: no mail is taken: {reason}", file=sys.stderr)
        await server.serve()
