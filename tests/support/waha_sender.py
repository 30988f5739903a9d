"""WAHA as it really sends: each event again and again until it is taken, while new ones come steadily."""

from __future__ import annotations

import heapq
import http.client
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers

_GIVES_UP_AFTER_S = 8
_IDLE_S = 4  # so long WAHA keeps a connection that it does not use
_RETRIES = 300  # WAHA makes 15: a busy machine needs longer, and what is judged is what was accepted
_RETRY_PAUSE_S = 2.0
_ENDS_WITHIN_S = 900
_THREADS = 32
_CHATS = 10_000_000


@dataclass(order=True)
class _Delivery:
    """One event, to be sent at `due`; `failures` says what came of it so far."""

    due: float
    number: int
    message_id: str = field(compare=False)
    body: bytes = field(compare=False)
    headers: dict[str, str] = field(compare=False)
    failures: list[str] = field(compare=False, default_factory=list)


class WahaSender:
    """Sends `per_s` messages a second to the loopback *port*, each of another chat, signed with *secret*.

    As WAHA does by default: an answer other than 2xx, or none within 8 s, is tried again 15 times, 2 s apart,
    with the same bytes. At the end of the block it waits until each is `accepted` or `given_up` (ids).
    """

    def __init__(self, port: int, secret: str, per_s: float = 10.0) -> None:
        self._port, self._secret, self._per_s = port, secret, per_s
        self._numbers = itertools.count(int(time.time()) % 1000 * 10_000)
        self._due: list[_Delivery] = []
        self._open = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self.accepted: list[str] = []
        self.given_up: dict[str, list[str]] = {}
        self.refusals: list[str] = []

    def __enter__(self) -> Self:
        self._source = threading.Thread(target=self._make, daemon=True)
        self._source.start()
        for _ in range(_THREADS):
            threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._source.join()
        with self._changed:
            done = self._changed.wait_for(lambda: self._open == 0, timeout=_ENDS_WITHIN_S)
            self._open = -1  # the threads end
            self._changed.notify_all()
        assert done, "some messages were neither accepted nor given up"

    def wait_for_accepted(self, more: int, within_s: float = 300) -> None:
        """Until so many *more* were accepted than now."""
        with self._changed:
            wanted = len(self.accepted) + more
            reached = self._changed.wait_for(lambda: len(self.accepted) >= wanted, timeout=within_s)
        assert reached, f"{len(self.accepted)} of {wanted} were accepted: {self.refusals[-3:]}"

    def _make(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0, due - time.monotonic())):
            number = next(self._numbers)
            event = message_event("hello", chat_id=f"49155{number % _CHATS:07}@c.us")
            body = encode(event)
            headers = signed_headers(body, self._secret)
            with self._changed:
                self._open += 1
                heapq.heappush(self._due, _Delivery(due, number, event["payload"]["id"], body, headers))
                self._changed.notify_all()
            due += 1 / self._per_s

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_GIVES_UP_AFTER_S)
        used = time.monotonic()
        while (delivery := self._next()) is not None:
            if time.monotonic() - used > _IDLE_S:
                connection.close()
            used = time.monotonic()
            failure = _send(connection, delivery)
            with self._changed:
                if not failure:
                    self.accepted.append(delivery.message_id)
                else:
                    delivery.failures.append(failure)
                    self.refusals.append(failure)
                    if len(delivery.failures) <= _RETRIES:
                        delivery.due = time.monotonic() + _RETRY_PAUSE_S
                        heapq.heappush(self._due, delivery)
                        self._changed.notify_all()
                        continue
                    self.given_up[delivery.message_id] = delivery.failures
                self._open -= 1
                self._changed.notify_all()

    def _next(self) -> _Delivery | None:
        """The next that is due; None at the end."""
        with self._changed:
            while self._open >= 0:
                wait_s = self._due[0].due - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)
                self._changed.wait(wait_s)
        return None


def _send(connection: http.client.HTTPConnection, delivery: _Delivery) -> str:
    """Why it was not taken; empty if it was."""
    try:
        connection.request("POST", WEBHOOK_PATH, delivery.body, delivery.headers)
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error)
    return "" if 200 <= answer.status < 300 else f"{answer.status} {text}"
