"""A small web service that takes webhooks and gives replies, on loopback: right, or broken in one way."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "not-the-real-one"


class Behaviour:
    """A target that does everything right: answers at once and replies once. Its subclasses are broken."""

    gate_status = 200
    clock_ahead_s = 0.0
    looks_at_signatures = True
    secret = SECRET
    knows_duplicates = True

    async def answer(self, number: int) -> int:
        """The status for webhook *number* (from 0, in order of arrival)."""
        return 202

    def replies(self, number: int) -> int:
        """How many replies webhook *number* gets."""
        return 1

    async def health(self, number: int) -> int:
        """The status of health probe *number*."""
        return 200


class TellsOfTheFirst(Behaviour):
    """Does all right, and tells when the first webhook came."""

    def __init__(self) -> None:
        self.came = threading.Event()

    async def answer(self, number: int) -> int:
        """At once."""
        self.came.set()
        return 202


class Target:
    """The service: verifies each signature by itself, and records replies as the gate lane does."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = behaviour
        self.received = self.probed = 0
        self._known: set[str] = set()
        self._tls = tls
        self._replies: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None

    def open(self) -> int:
        """Listen, and return the port."""
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096, ssl=self._tls)
        self._server = self._loop.run_until_complete(start)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def run(self) -> None:
        """Serve until `stop`."""
        self._loop.run_forever()
        for waiting in asyncio.all_tasks(self._loop):
            waiting.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = head.split(" ", 2)
                status, answer = await (self._webhook(headers, body) if method == "POST" else self._get(path))
                text = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))
                await writer.drain()
        writer.close()

    async def _webhook(self, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        expected = hmac.new(self.behaviour.secret.encode(), body, hashlib.sha512).hexdigest()
        if self.behaviour.looks_at_signatures and headers.get("x-webhook-hmac") != expected:
            return 401, {}
        number, self.received = self.received, self.received + 1
        status = await self.behaviour.answer(number)
        if status < 300:
            payload = json.loads(body)["payload"]
            if not self._is_duplicate(payload["id"]):
                self._record(payload["id"], self.behaviour.replies(number))
        return status, {}

    def _is_duplicate(self, payload_id: str) -> bool:
        """Whether the message came before, in whichever form."""
        bare_id = payload_id.split("_")[2]
        was_known = bare_id in self._known
        self._known.add(bare_id)
        return was_known and self.behaviour.knows_duplicates

    def _record(self, payload_id: str, copies: int) -> None:
        now_ms = int((time.time() + self.behaviour.clock_ahead_s) * 1000)
        self._replies += [{"replyTo": payload_id, "time": now_ms, "text": "hello"}] * copies

    async def _get(self, path: str) -> tuple[int, Any]:
        if path == "/api/health":
            number, self.probed = self.probed, self.probed + 1
            return await self.behaviour.health(number), {}
        if self.behaviour.gate_status != 200:
            return self.behaviour.gate_status, {}
        if path.startswith("/waha/sent"):
            return 200, self._replies
        query = parse_qs(urlsplit(path).query)
        after, limit = int(query["after"][0]), int(query["limit"][0])
        page = self._replies[after : after + limit]
        return 200, {"replies": page, "next": str(after + len(page))}


@contextmanager
def serving(behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve *behaviour* in a thread; yields the base URL."""
    target = Target(behaviour or Behaviour(), tls)
    port = target.open()
    thread = threading.Thread(target=target.run)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        target.stop()
        thread.join(10)
