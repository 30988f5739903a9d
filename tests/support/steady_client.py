"""A client that sends at a steady rate over kept-alive connections and counts every answer that is no 2xx."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Sender = Callable[[http.client.HTTPConnection], http.client.HTTPResponse]


@dataclass
class SteadyClient:
    """`per_s` requests a second over `connections`, each made by *send*, until the block ends.

    `answers` counts the bodies of 2xx answers, `failures` says what every other request ended in.
    """

    port: int
    send: Sender
    connections: int = 8
    per_s: float = 60.0
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(self.connections)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def sent(self) -> int:
        """How many requests have ended, well or not."""
        return sum(self.answers.values()) + len(self.failures)

    def wait_for(self, body: str, answers: int, within_s: float = 120) -> None:
        """Until *body* has been answered so often."""
        deadline = time.monotonic() + within_s
        while self.answers[body] < answers:
            assert time.monotonic() < deadline, (
                f"{body} came {self.answers[body]} times: {self.failures[-3:]}"
            )
            self._stop.wait(0.05)

    def wait_for_sent(self, requests: int, within_s: float = 120) -> None:
        """Until so many requests have ended, well or not."""
        deadline = time.monotonic() + within_s
        while self.sent < requests:
            assert time.monotonic() < deadline, f"{self.sent} requests ended: {self.failures[-3:]}"
            self._stop.wait(0.02)

    def _run(self, number: int) -> None:
        """Send at fixed times, spread over the connections; one that is late is sent at once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        step_s = self.connections / self.per_s
        due = time.monotonic() + number / self.per_s
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            due += step_s
            try:
                answer = self.send(connection)
                self._count(answer.status, answer.read().decode(errors="replace"))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.failures.append(repr(error))

    def _count(self, status: int, body: str) -> None:
        with self._lock:
            if 200 <= status < 300:
                self.answers[body] += 1
            else:
                self.failures.append(f"{status} {body[:200]}")
