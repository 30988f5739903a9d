"""Proof that a reply was sent: WAHA tells of every message, of our own as well.

Just before a reply is sent it is expected here, under two keys: by the message that it answers, and by its
chat and text. When the webhook then sees a message of ours (`message.any` with fromMe) that was expected, its
text is kept as the proof. Whoever does not know how the sending ended looks for it.

    {prefix}:expected:{digest}   a hash: `text`, a digest of what is said; `proof`, what the echo said
    {prefix}:said:{digest}       the key of such a hash

`message.ack` proves nothing: it names a message of ours by the id that we did not learn, without its text.

Digests are keyed: a key in Redis tells neither chat nor text.
"""

from __future__ import annotations

import hashlib

from service.event import Message
from service.lanes import DAY_S, Lane
from service.messages.replies import Reply
from service.storage.store import Script, Store

EXPECTED_S = 2 * DAY_S
"""As long as WAHA may tell of a message late."""

_EXPECT, _NOTE = Script.load("expect"), Script.load("note")


class Receipts:
    """The proofs of one lane. Methods raise `StoreError`."""

    def __init__(self, store: Store, lane: Lane, secret: str) -> None:
        """*secret*: the same in every process."""
        self._store = store
        self._prefix = lane.prefix
        self._life_s = min(EXPECTED_S, lane.lane_ttl_s or EXPECTED_S)
        self._key = hashlib.sha256(secret.encode()).digest()

    async def expect(self, message: Message, reply: Reply) -> None:
        """Remember that *reply* to *message* is about to be sent."""
        await self._store.run(_EXPECT, self.keys(message, reply), [self._text(reply.text), self._life_s])

    def keys(self, message: Message, reply: Reply) -> tuple[str, str]:
        """Where *reply* to *message* is expected; to be deleted once it is known how its sending ended."""
        return (
            self._answer_to(message.session, message.bare_id),
            self._said(reply.session, reply.chat_id, reply.text),
        )

    async def note(self, message: Message) -> bool:
        """Take a message that we sent; whether it proves something that was expected."""
        keys = [self._said(message.session, _chat_of(message), message.text)]
        if message.quoted_id:
            keys.append(self._answer_to(message.session, message.quoted_id))
        return bool(await self._store.run(_NOTE, keys, [self._text(message.text), message.text]))

    async def proof(self, message: Message) -> str | None:
        """The text of the reply to *message* if that was surely sent, else None."""
        proof: bytes | None = await self._store.call(
            "HGET", self._answer_to(message.session, message.bare_id), "proof"
        )
        return None if proof is None else proof.decode()

    def _answer_to(self, session: str, bare_id: str) -> str:
        return f"{self._prefix}:expected:{self._digest(session, bare_id)}"

    def _said(self, session: str, chat_id: str, text: str) -> str:
        return f"{self._prefix}:said:{self._digest(session, chat_id, self._text(text))}"

    def _text(self, text: str) -> str:
        """A digest of *text* that is the same however its blanks and line ends were tidied on the way."""
        return self._digest(" ".join(text.split()))

    def _digest(self, *parts: str) -> str:
        return hashlib.blake2b("\0".join(parts).encode(), key=self._key, digest_size=16).hexdigest()


def _chat_of(message: Message) -> str:
    """The chat that a message of ours is in: its id says so, while `from` may be ourselves."""
    return message.payload_id.split("_", 2)[1]
