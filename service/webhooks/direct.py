"""The short way of a webhook: from the connection straight to `Webhook.take`, without an ASGI task between.

It is for requests that arrive whole in one read, as WAHA's do, on a connection that waits for nothing else.
Any other (long, in pieces, pipelined, with `Expect`, on its last request) is handed on to uvicorn and comes
to the same endpoint through ASGI. uvicorn remains the server: its parser, its keep-alive, its shutdown.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, ClassVar

from httptools import HttpParserCallbackError, HttpParserInvalidURLError, parse_url
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.webhooks.caller import lane_name, request_id
from service.webhooks.middleware import SECURITY_HEADERS, Stopwatch
from service.webhooks.rejected import Malformed
from service.webhooks.signature import headers_of
from service.webhooks.webhook import PATH, Answer, Delivery, Webhook

_URL = PATH.encode()
_SECURITY = b"".join(b"%b: %b\r\n" % header for header in SECURITY_HEADERS)
_HEAD = _SECURITY + b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"

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
        self._idle_since: float | None = None
        self._head_is_over = False

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is not complete by then goes on through ASGI."""
        super().data_received(data)
        if self._body is not None:
            self._hand_on()

    def on_message_begin(self) -> None:
        """Begin a request; its ASGI scope is only made if it needs one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._head_is_over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. A trailer is none: the proxy sets and removes headers, and lets trailers through."""
        if not self._head_is_over:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Decide by its head which way a request goes."""
        self._head_is_over = True
        if self._may_go_directly():
            self._body = []
        else:
            self._go_through_asgi()

    def _may_go_directly(self) -> bool:
        return (
            self.url == _URL
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _go_through_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        if parse_url(url).path is None:
            raise HttpParserInvalidURLError("the request's target has no path")
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Collect the body of the request that goes directly."""
        if self._body is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Take the webhook: it has come whole."""
        if self._body is None:
            super().on_message_complete()
            return
        body = b"".join(self._body)
        if len(body) > self._longest:
            self._hand_on()
            super().on_message_complete()
        else:
            self._body = None
            self._take(body)

    def _hand_on(self) -> None:
        """Let ASGI have the request after all, with what came of its body."""
        body, self._body = self._body or [], None
        if not self.transport.is_closing():  # else it was no HTTP, and uvicorn has answered that
            self._go_through_asgi()
            for part in body:
                super().on_body(part)

    def _take(self, body: bytes) -> None:
        started = self._stopwatch.clock()
        cycle = DirectCycle()
        self.cycle = cycle  # type: ignore[assignment]  # has what uvicorn asks of it
        delivery = self._delivery(body)

        def answer(it: Answer) -> None:
            if cycle.response_complete:  # an error of ours after the answer changes nothing any more
                return
            try:
                lane = lane_name(delivery.headers)
                self._stopwatch.observe("POST", PATH, it.status, lane, delivery.request_id, started)
                cycle.response_complete = True
                if not self.transport.is_closing():  # else nobody is there to be answered
                    self._answer(it, delivery.request_id, closes=it.closes or not cycle.keep_alive)
            except Exception as error:  # whoever called has no answer for this sender
                failed = self._webhook.fail(delivery, error)
                if not cycle.response_complete:
                    cycle.response_complete = True
                    self._answer(failed, delivery.request_id, closes=True)

        self._webhook.take(delivery, answer)

    def _delivery(self, body: bytes) -> Delivery:
        headers = headers_of(self.headers or [])
        return Delivery(body, headers, self.client[0] if self.client else "unknown", request_id(headers))

    def _answer(self, answer: Answer, its_id: str, *, closes: bool) -> None:
        self._write(answer, its_id, closes=closes)
        self.on_response_complete()

    def _write(self, answer: Answer, its_id: str, *, closes: bool) -> None:
        parts = [STATUS_LINE[answer.status]]
        parts += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        parts.append(_HEAD % (len(answer.content), its_id.encode()))
        if answer.retry_after_s is not None:
            parts.append(b"retry-after: %d\r\n" % answer.retry_after_s)
        if closes:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", answer.content)
        self.transport.write(b"".join(parts))
        if closes:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Tell a client whose request is no HTTP, as every other refused one is told.

        What failed within a callback of the parser comes here too: the client's fault only if it is the URL.
        """
        error = sys.exc_info()[1]
        cause = error.__context__ if isinstance(error, HttpParserCallbackError) else None
        if isinstance(error, HttpParserCallbackError) and not isinstance(cause, HttpParserInvalidURLError):
            delivery = self._delivery(b"")
            failed = self._webhook.fail(delivery, cause if isinstance(cause, Exception) else error)
            self._write(failed, delivery.request_id, closes=True)
        else:
            self._write(Answer.to(Malformed(msg)), request_id({}), closes=True)

    def on_response_complete(self) -> None:
        """Go on with what waits on this connection, or let it rest."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()  # paused, if a long body came that nobody read
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_more(self.timeout_keep_alive)

    # uvicorn makes and cancels a timer for each request; one that looks when it fires does as well.

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._wait_for_more(left_s)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, its timer too."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
