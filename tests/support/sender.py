"""WAHA as a client of a stack: unique signed messages, some of them twice, and what became of each."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.request
from collections import Counter
from typing import Any, Self

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers

_CHATS = 10_000_000


class Sender:
    """Sends messages signed with *secret*, each another; remembers the ids of those that were accepted.

    Every *twice_each*-th webhook is the one before it once more, byte for byte, as WAHA retries. `text` is
    what the next ones say.
    """

    def __init__(self, secret: str, twice_each: int | None = None) -> None:
        self._secret = secret
        self._twice_each = twice_each
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._last: dict[http.client.HTTPConnection, tuple[bytes, dict[str, str]]] = {}
        self.text = "hello"
        self.accepted: list[str] = []
        self.repeated = 0

    def __call__(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Send one more over *connection*, or the last one again."""
        number = next(self._numbers)
        if self._twice_each and number % self._twice_each == 0 and connection in self._last:
            return self._again(connection)
        event = message_event(self.text, chat_id=f"49155{number % _CHATS:07}@c.us")
        body = encode(event)
        headers = signed_headers(body, self._secret)
        self._last[connection] = body, headers
        connection.request("POST", WEBHOOK_PATH, body, headers)
        answer = connection.getresponse()
        if answer.status == 202:
            with self._lock:
                self.accepted.append(event["payload"]["id"])
        return answer

    def _again(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        body, headers = self._last[connection]
        connection.request("POST", WEBHOOK_PATH, body, headers)
        with self._lock:
            self.repeated += 1
        return connection.getresponse()


class SentAccount:
    """Counts every text that the sandbox's WAHA sends while the block runs: its list forgets the oldest."""

    def __init__(self, sandbox_url: str) -> None:
        self._url = f"{sandbox_url}/waha/sent"
        self._last: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, message_ids: list[str], within_s: float = 300) -> None:
        """Until each was answered, or the time is over."""
        deadline, wanted = time.monotonic() + within_s, set(message_ids)
        while wanted - self.counts.keys() and time.monotonic() < deadline:
            time.sleep(0.2)

    def _run(self) -> None:
        while not self._stop.wait(1):
            self._read()

    def _read(self) -> None:
        with urllib.request.urlopen(self._url, timeout=60) as answer:
            listed = json.load(answer)
        if self._last is not None:
            assert self._last in listed, "the list forgot some before they were read"
            listed = listed[len(listed) - listed[::-1].index(self._last) :]
        for sent in listed:
            self.counts[sent["replyTo"]] += 1
        self._last = listed[-1] if listed else self._last


def wait_for_replies(sandbox_url: str, message_ids: list[str], within_s: float = 300) -> Counter[str]:
    """How often each message was replied to, once all were or *within_s* is over."""
    deadline, wanted = time.monotonic() + within_s, set(message_ids)
    while True:
        with urllib.request.urlopen(f"{sandbox_url}/waha/sent", timeout=60) as answer:
            sent = Counter(reply["replyTo"] for reply in json.load(answer) if reply["replyTo"] in wanted)
        if len(sent) == len(wanted) or time.monotonic() > deadline:
            return sent
        time.sleep(0.2)
