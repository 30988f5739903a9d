"""Where replies go: through WAHA (`waha.py`), or into a gate lane's sink. Both promise the same outcome."""

from __future__ import annotations

from typing import Protocol

from service.event import Message
from service.messages.replies import RecordedReplies, Reply
from service.storage.store import StoreError, StoreFull


class NotSent(Exception):
    """The reply was surely not sent; sending it again is safe. The message says why, without content."""


class SendRefused(NotSent):
    """The same, because the request or the key is wrong: no other time or place would make it right."""


class SendDeferred(NotSent):
    """The same, because of the world: the customer's session does not work, or there is a limit."""


class OutcomeUnknown(Exception):
    """The reply may have been sent; sending it again might double it."""


class Messenger(Protocol):
    """Sends replies, and shows meanwhile that somebody is there."""

    def require(self, message: Message, *, is_next: bool = False) -> None:
        """Refuse *message* where its reply would be refused without WAHA being asked: it need not be written.

        *is_next*: the reply is written and sent now. Where a session may have come back, one such may try.

        Raises:
            NotSent: the message's session did not work (`SendDeferred`), or got no answer, a moment ago.
        """

    async def begin(self, message: Message) -> None:
        """Show that *message* was read and a reply to it is being written. Best effort: never raises."""

    async def finish(self, message: Message) -> None:
        """Show that the writing is over. Best effort: never raises."""

    async def send_text(self, reply: Reply) -> None:
        """Return once *reply* is sent.

        Raises:
            NotSent (`SendRefused` and `SendDeferred` among them), OutcomeUnknown: and nothing else.
        """


class _Unseen:
    """A messenger without manners: nobody sees whether a message is read, and no session can stop."""

    def require(self, message: Message, *, is_next: bool = False) -> None:
        """See `Messenger.require`."""

    async def begin(self, message: Message) -> None:
        """See `Messenger.begin`."""

    async def finish(self, message: Message) -> None:
        """See `Messenger.finish`."""


class NoWaha(_Unseen):
    """Stands where no WAHA is configured: messages wait, and go to the dead letters in the end."""

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        raise SendRefused("WAHA_API_URL is not set")


class Sink(_Unseen):
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
