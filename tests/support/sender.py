"""WAHA as a client of a stack: unique signed messages, and what became of each."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.request
from collections import Counter

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers


class Sender:
    """Sends messages signed with *secret*, each another; remembers the ids of those that were accepted."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.accepted: list[str] = []

    def __call__(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Send one more message over *connection*."""
        chat = f"49155{next(self._numbers):07}@c.us"
        event = message_event("hello", chat_id=chat)
        body = encode(event)
        connection.request("POST", WEBHOOK_PATH, body, signed_headers(body, self._secret))
        answer = connection.getresponse()
        if answer.status == 202:
            with self._lock:
                self.accepted.append(event["payload"]["id"])
        return answer


def wait_for_replies(sandbox_url: str, message_ids: list[str], within_s: float = 150) -> Counter[str]:
    """How often each message was replied to, once all were or *within_s* is over."""
    deadline, wanted = time.monotonic() + within_s, set(message_ids)
    while True:
        with urllib.request.urlopen(f"{sandbox_url}/waha/sent", timeout=10) as answer:
            sent = Counter(reply["replyTo"] for reply in json.load(answer) if reply["replyTo"] in wanted)
        if len(sent) == len(wanted) or time.monotonic() > deadline:
            return sent
        time.sleep(0.2)
