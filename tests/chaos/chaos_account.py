"""The reckoning, from outside: what was acknowledged against WAHA's record and Redis' streams."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from chaos_redis import STREAMS, RedisServer
from chaos_sender import Sender
from chaos_sender import Sent as Message
from chaos_waha import Waha


@dataclass(frozen=True)
class Account:
    """Each acknowledged message stands in exactly one of `answered`, `waiting`, `dead`, `unknown`.

    `unacknowledged`: taken although the sender never heard so. `lost`: acknowledged, and nowhere.
    `twice`: answered more often than may be. `ambiguous`: in two places at once. `disordered`: pairs of one
    chat, the first acknowledged before the second was sent, and answered after it.
    """

    sent: int
    acknowledged: int
    answered: int
    waiting: int
    dead: int
    unknown: int
    unacknowledged: int
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    disordered: tuple[tuple[str, str], ...] = ()

    @property
    def remainder(self) -> int:
        """Acknowledged, less what became of them: 0, or something was lost or counted twice."""
        return self.acknowledged - self.answered - self.waiting - self.dead - self.unknown

    def check(self) -> None:
        """Fail unless nothing is lost, doubled or out of order."""
        wrong = (self.lost, self.twice, self.ambiguous, self.disordered)
        assert (self.remainder, *wrong) == (0, (), (), (), ()), f"the account does not balance: {self}"

    def as_json(self) -> dict[str, object]:
        """For a report."""
        return asdict(self)


def reckon(sender: Sender, waha: Waha, redis: RedisServer) -> Account:
    """The account once the sender has ended; the workers may still be at work, `waiting` says how much."""
    answers = Counter(_bare(sent.reply_to) for sent in waha.sent)
    streams = {name: _bare_ids(redis.payload_ids(key)) for name, key in STREAMS.items()}
    acknowledged = {_bare(message.payload_id) for message in sender.acknowledged}
    places = {name: set(found) for name, found in streams.items()}
    places["answered"] = set(answers) - places["unknown"] - places["waiting"]
    found = Counter(name for ids in places.values() for name in ids) + _repeats(streams.values())
    return Account(
        sent=len(sender.messages),
        acknowledged=len(acknowledged),
        **{place: len(ids & acknowledged) for place, ids in places.items()},
        unacknowledged=len(set(found) - acknowledged),
        lost=_some(acknowledged - set(found)),
        twice=_some(name for name, number in answers.items() if number > 1 + (name in places["unknown"])),
        ambiguous=_some(name for name, number in found.items() if number > 1),
        disordered=_some(_disordered(sender.acknowledged, [_bare(sent.reply_to) for sent in waha.sent])),
    )


def _repeats(streams: Iterable[Counter[str]]) -> Counter[str]:
    """What stands in one stream more than once."""
    return Counter(name for stream in streams for name, number in stream.items() if number > 1)


def _disordered(messages: Sequence[Message], answered: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Pairs answered in the wrong order; messages whose webhooks overlapped have no order."""
    place: dict[str, int] = {}
    for number, name in enumerate(answered):
        place.setdefault(name, number)
    chats: dict[str, list[Message]] = {}
    for message in messages:
        chats.setdefault(message.chat, []).append(message)
    for chat in chats.values():
        for earlier, later in itertools.pairwise(chat):
            first, second = place.get(_bare(earlier.payload_id)), place.get(_bare(later.payload_id))
            if first is not None and second is not None and first > second and _precedes(earlier, later):
                yield earlier.payload_id, later.payload_id


def _precedes(earlier: Message, later: Message) -> bool:
    """Whether *earlier* was acknowledged before *later* was sent at all."""
    return earlier.acknowledged_s is not None and earlier.acknowledged_s < later.began_s


def _bare(payload_id: str) -> str:
    """The part of a payload id that is the same in every form of the message."""
    return payload_id.rpartition("_")[2]


def _bare_ids(payload_ids: Iterable[str]) -> Counter[str]:
    return Counter(_bare(payload_id) for payload_id in payload_ids)


def _some(items: Iterable[object]) -> tuple[object, ...]:
    """Enough of *items* to look into."""
    return tuple(sorted(items)[:10])
