"""A WAHA that answers at once and counts its replies: `python -m benchmarks.instant_waha --port PORT`.

The sandbox's WAHA checks and keeps what it is sent; here the worker is measured, so its counterpart must cost
far less than it does. `GET /counts` tells what was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

from benchmarks.report import ReplyCounts
from benchmarks.wire import length_of

_SENT = {"id": {"fromMe": True, "id": "3EB0", "_serialized": "true_4915@c.us_3EB0"}, "ack": 0}
_ANSWERS: dict[bytes, tuple[int, dict[str, Any]]] = {
    b"POST /api/sendText": (201, _SENT),
    b"POST /api/sendSeen": (201, {"success": True}),
    b"POST /api/startTyping": (201, {"result": True}),
    b"POST /api/stopTyping": (201, {"result": True}),
    b"GET /api/server/version": (200, {"version": "2026.10.1"}),
    b"GET /api/sessions/default": (200, {"name": "default", "status": "WORKING"}),
}
_REASONS = {200: b"OK", 201: b"Created", 404: b"Not Found"}


@dataclass
class Replies:
    """What was sent: how often in answer to each message, and when the first and the last."""

    to: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def add(self, reply_to: str) -> None:
        """Count one reply."""
        self.to[reply_to] += 1
        self.last_at = time.time()
        self.first_at = self.first_at or self.last_at

    def counts(self) -> ReplyCounts:
        """What was counted so far."""
        return ReplyCounts(
            answered=len(self.to),
            sent=self.to.total(),
            requests=self.requests,
            first_at=self.first_at,
            last_at=self.last_at,
        )


class Exchange(asyncio.Protocol):
    """One connection of the worker's."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        data = self._partial + data
        while data and (length := length_of(data)) is not None:
            self._transport.write(self._answer(data[:length]))
            data = data[length:]
        self._partial = data

    def _answer(self, request: bytes) -> bytes:
        self._replies.requests += 1
        wanted = request[: request.index(b" HTTP/")]
        if wanted == b"POST /api/sendText":
            self._replies.add(orjson.loads(request[request.index(b"\r\n\r\n") :])["reply_to"])
        elif wanted == b"GET /counts":
            return _encoded(200, self._replies.counts().model_dump())
        return _ENCODED.get(wanted, _NOT_FOUND)


def _encoded(status: int, content: dict[str, Any]) -> bytes:
    body = orjson.dumps(content)
    head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, _REASONS[status], len(body)) + body


_ENCODED = {wanted: _encoded(*answer) for wanted, answer in _ANSWERS.items()}
_NOT_FOUND = _encoded(404, {"message": "Not Found", "statusCode": 404})


async def serve(port: int) -> None:
    """Serve on loopback until the process is told to end."""
    replies = Replies()
    server = await asyncio.get_running_loop().create_server(lambda: Exchange(replies), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instant_waha", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
