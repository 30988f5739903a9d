"""A Sentry that keeps every byte it gets, and alarms that send to it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from in_thread import answering

from service.telemetry.sentry import SentryOptions

DSN_KEY = "publickey0123456789"
HANGS_S = 30


@dataclass
class Received:
    """What arrived. `raw`: whole requests, headers and all, unpacked."""

    port: int
    raw: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hangs: bool = False

    @property
    def dsn(self) -> str:
        return f"http://{DSN_KEY}@127.0.0.1:{self.port}/42"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The payloads of all event items."""
        events = []
        for body in self.bodies:
            lines = body.split(b"\n")
            for header, payload in zip(lines[1::2], lines[2::2], strict=False):
                if json.loads(header)["type"] == "event":
                    events.append(json.loads(payload))
        return events

    def messages(self) -> list[str]:
        """The events' messages, in order."""
        return [event["message"] for event in self.events]


@contextmanager
def running_sentry() -> Iterator[Received]:
    """A Sentry on loopback, until the block ends."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.raw.append(f"{self.requestline}\n{self.headers}\n{body.decode()}")
            received.bodies.append(body)
            if received.hangs:
                released.wait(HANGS_S)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, _format: str, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(server.server_port)
    with answering(server):
        try:
            yield received
        finally:
            released.set()


def options(dsn: str, **changed: Any) -> SentryOptions:
    """Options of a web process of the release r-1 in staging."""
    values: dict[str, Any] = {
        "dsn": dsn,
        "release": "r-1",
        "environment": "staging",
        "process": "web",
        "signature_failures_per_minute": 3,
    }
    return SentryOptions(**{**values, **changed})
