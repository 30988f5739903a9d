"""Reads the replies while they come: from the gate, page by page, or from a list of all that was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import gevent
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPParseError

from contracts.webhook import REPLIES_PATH
from loadtests.address import Address
from loadtests.reply_pages import RepliesError, Reply, parse_page, parse_sent
from loadtests.webhooks import connect

PAGE_SIZE = 1000
_FIRST_CURSOR = "0"

Get = Callable[[str], bytes]
"""Gets the body at a path; raises `RepliesError`."""


class NoSuchRepliesError(RepliesError):
    """The target refuses to give replies at all: asking again is of no use."""


class Replies(Protocol):
    """A place where replies are kept."""

    def new(self) -> Iterator[Reply]:
        """Those recorded since the last call.

        Raises:
            RepliesError: they could not be read; a later call goes on where this one stopped.
        """


class GateReplies:
    """The release's own record of the gate lane's replies."""

    def __init__(self, get: Get, prefix: str) -> None:
        self._get, self._path = get, prefix + REPLIES_PATH
        self._cursor = _FIRST_CURSOR

    def new(self) -> Iterator[Reply]:
        """Page by page from the last cursor, which moves on only with a page that was understood."""
        while True:
            page = parse_page(self._get(f"{self._path}?after={self._cursor}&limit={PAGE_SIZE}"))
            if page.replies and page.next == self._cursor:
                raise RepliesError(f"the cursor does not move on from {self._cursor[:40]!r}")
            self._cursor = page.next
            yield from page.replies
            if len(page.replies) < PAGE_SIZE:
                return


class SentList:
    """A list of everything that was sent, whose oldest entries may have been forgotten."""

    def __init__(self, get: Get, path: str) -> None:
        self._get, self._path = get, path
        self._seen: Counter[str] = Counter()

    def new(self) -> Iterator[Reply]:
        """Those beyond as many to the same message as were seen before: the list has no cursor."""
        listed: Counter[str] = Counter()
        for reply in parse_sent(self._get(self._path)):
            if reply.replyTo is None:
                continue
            listed[reply.replyTo] += 1
            if listed[reply.replyTo] > self._seen[reply.replyTo]:
                self._seen[reply.replyTo] += 1
                yield reply


class ReplyReader:
    """Hands each new reply to *take*, and knows whether the last reading was complete.

    Attributes:
        problem: why the last reading failed; None after a good one.
        given_up: whether reading again is of no use.
    """

    def __init__(self, replies: Replies, take: Callable[[Reply], None]) -> None:
        self._replies, self._take = replies, take
        self.problem: str | None = "replies were never read"
        self.given_up = False

    def read(self) -> None:
        """Read what is new. A failure is kept in `problem`, not raised: the next reading may be good."""
        try:
            for reply in self._replies.new():
                self._take(reply)
            self.problem = None
        except RepliesError as error:
            self.problem = f"replies could not be read: {error}"
            self.given_up = isinstance(error, NoSuchRepliesError)


class Getter:
    """Gets bodies from one address over one kept connection."""

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self._connect = partial(connect, address, at_once=1, timeout_s=timeout_s)
        self._client: HTTPClient = self._connect()
        self._timeout_s = timeout_s

    def __call__(self, path: str) -> bytes:
        """The body of a 200.

        Raises:
            NoSuchRepliesError: a 4xx.
            RepliesError: any other answer, or none in time.
        """
        try:
            with gevent.Timeout(self._timeout_s, RepliesError(f"no answer within {self._timeout_s:g} s")):
                response = self._client.get(path)
                body = bytes(response.read())
        except (OSError, HTTPParseError, RuntimeError) as error:
            raise RepliesError(str(error)) from error
        except BaseException:
            # A greenlet that is ended while it takes the connection never gives its place in the client back:
            # every later read would wait for it in vain.
            self._client = self._connect()
            raise
        if response.status_code == 200:
            return body
        gone = 400 <= response.status_code < 500
        raise (NoSuchRepliesError if gone else RepliesError)(
            f"GET {path.split('?')[0]} answered {response.status_code}"
        )
