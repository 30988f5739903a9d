"""Where replies go: through WAHA, or into a gate lane's sink. Both promise the same about the outcome."""

from __future__ import annotations

import asyncio
from typing import Protocol

import httpx

from service.replies import RecordedReplies, Reply
from service.store import StoreError, StoreFull

_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""No byte of the request was sent."""

CONNECT_TIMEOUT_S = 5.0


class NotSent(Exception):
    """The reply was surely not sent; sending it again is safe. The message says why, without content."""


class OutcomeUnknown(Exception):
    """The reply may have been sent; sending it again might double it."""


class Messenger(Protocol):
    """Sends a reply."""

    async def send_text(self, reply: Reply) -> None:
        """Return once *reply* is sent.

        Raises:
            NotSent, OutcomeUnknown: and nothing else.
        """


class Waha:
    """WAHA's HTTP API. It has no idempotency key: an attempt that got no answer must not be repeated."""

    def __init__(self, client: httpx.AsyncClient, *, timeout_s: float) -> None:
        """*client* has WAHA's base URL and key."""
        self._client = client
        self._timeout_s = timeout_s

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        content = {
            "session": reply.session,
            "chatId": reply.chat_id,
            "text": reply.text,
            "reply_to": reply.reply_to,
        }
        try:
            # httpx's timeouts bound each read, not the whole: an answer that trickles would hold the chat.
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.post("/api/sendText", json=content)
        except _NOT_CONNECTED as error:
            raise NotSent(f"WAHA could not be reached: {type(error).__name__}") from error
        except Exception as error:  # part of the request may be with WAHA, whatever it was
            raise OutcomeUnknown(f"WAHA did not answer: {type(error).__name__}") from error
        _judge(response.status_code)


def _judge(status: int) -> None:
    if status == httpx.codes.GATEWAY_TIMEOUT:
        raise OutcomeUnknown("a gateway before WAHA got no answer: HTTP 504")
    if not httpx.codes.is_success(status):
        raise NotSent(f"WAHA refused: HTTP {status}")


class NoWaha:
    """Stands where no WAHA is configured: messages wait, and go to the dead letters in the end."""

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        raise NotSent("WAHA_API_URL is not set")


class Sink:
    """Records replies instead of sending them."""

    def __init__(self, replies: RecordedReplies) -> None:
        self._replies = replies

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        try:
            await self._replies.record(reply)
        except StoreFull as error:
            raise NotSent("Redis has no room for the record") from error
        except StoreError as error:
            raise OutcomeUnknown(f"Redis did not answer: {type(error).__name__}") from error
