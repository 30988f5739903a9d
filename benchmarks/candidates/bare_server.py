"""The same without a server: httptools on asyncio's own protocol. `python -m ... --port PORT`."""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import httptools
import uvloop

from benchmarks.candidates.asgi_app import ANSWER

_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_WHOLE = _ANSWER % (len(ANSWER), ANSWER)


class Exchange(asyncio.Protocol):
    """One connection; each request is answered by a task of its own, as an application would."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a parser."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Nothing known yet."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        self._task = asyncio.get_running_loop().create_task(self._respond())

    async def _respond(self) -> None:
        self._transport.write(_WHOLE)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.candidates.bare_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
