"""The short way of a webhook: from the connection straight to `Webhook.take`, without an ASGI task between.

It is for requests that arrive whole in one read, as WAHA's do, on a connection that waits for nothing else. Any
other (long, in pieces, pipelined, with `Expect`, on its last request) is handed on to uvicorn and comes to the
same endpoint through ASGI. uvicorn remains the server: its parser, its keep-alive, its shutdown.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.caller import request_id
from service.middleware import Stopwatch
from service.signature import headers_of
from service.webhook import PATH, Answer, Delivery, Webhook

_URL = PATH.encode()

LONGEST_BODY = 64 * 1024
"""A longer body hardly comes in one read, and is worth an ASGI task."""


class DirectCycle:
    """The one request that a connection is busy with, as far as uvicorn asks about it."""

    message_event: ClassVar[asyncio.Event] = asyncio.Event()  # nobody waits for it: the body is there

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True


class WebhookProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the short way."""

    def __init__(self, *args: Any, webhook: Webhook, stopwatch: Stopwatch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._webhook = webhook
        self._stopwatch = stopwatch
        self._longest = min(LONGEST_BODY, webhook.limits.max_body_bytes)
        self._body: list[bytes] | None = None
        """What has come of a body that may go the short way; None while none does."""

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is not complete by then goes on through ASGI."""
        super().data_received(data)
        if self._body is not None:
            self._hand_on()

    def on_headers_complete(self) -> None:
        """Decide by its head which way a request goes."""
        if self._may_go_directly():
            self._body = []
        else:
            super().on_headers_complete()

    def _may_go_directly(self) -> bool:
        busy = self.cycle is not None and not self.cycle.response_complete
        return (
            self.url == _URL
            and not busy
            and not self.expect_100_continue
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def on_body(self, body: bytes) -> None:
        """Collect the body of the request that goes directly."""
        if self._body is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Take the webhook: it has come whole."""
        if self._body is not None and sum(map(len, self._body)) > self._longest:
            self._hand_on()
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = b"".join(self._body), None
        self._take(body)

    def _hand_on(self) -> None:
        """Let ASGI have the request after all, with what came of its body."""
        body, self._body = self._body or [], None
        if not self.transport.is_closing():  # else it was no HTTP, and uvicorn has answered that
            super().on_headers_complete()
            for part in body:
                super().on_body(part)

    def _take(self, body: bytes) -> None:
        started = self._stopwatch.clock()
        cycle = DirectCycle()
        self.cycle = cycle  # type: ignore[assignment]  # has what uvicorn asks of it
        peer = self.client[0] if self.client else "unknown"
        headers = headers_of(self.headers)
        delivery = Delivery(body, headers, peer, request_id(headers))

        def answer(it: Answer) -> None:
            self._stopwatch.observe("POST", PATH, it.status, delivery.request_id, started)
            self._answer(cycle, it, delivery.request_id)

        self._webhook.take(delivery, answer)

    def _answer(self, cycle: DirectCycle, answer: Answer, its_id: str) -> None:
        cycle.response_complete = True
        if self.transport.is_closing():  # nobody is there to be answered
            return
        if not cycle.keep_alive:
            answer = answer._replace(closes=True)
        headers = [*self.server_state.default_headers, *answer.headers(), (b"x-request-id", its_id.encode())]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join((STATUS_LINE[answer.status], *lines, b"\r\n", answer.content)))
        if answer.closes:
            self.transport.close()
        self.on_response_complete()
