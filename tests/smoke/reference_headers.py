"""The headers that every answer of the reference target has."""

from __future__ import annotations

from collections.abc import Iterator

from reference_flaws import Flaws
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Headers:
    """Gives every answer the headers that all must have."""

    def __init__(self, app: ASGIApp, flaws: Flaws) -> None:
        self._app = app
        self._flaws = flaws

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers(scope, message["status"])]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _headers(self, scope: Scope, status: int) -> Iterator[tuple[bytes, bytes]]:
        if not self._flaws.lacks_nosniff:
            yield b"x-content-type-options", b"nosniff"
        if not (self._flaws.lets_errors_be_kept and status >= 400):
            yield b"cache-control", b"no-store"
        if self._flaws.tells_its_version:
            yield b"x-powered-by", b"Starlette/1.10"
        if scope["scheme"] == "https" and not self._flaws.lacks_hsts:
            yield b"strict-transport-security", b"max-age=31536000"
