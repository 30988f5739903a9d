"""The two lanes a message can travel in, and the Redis keys of each.

Live messages are answered through WAHA. A gate lane belongs to one release: its messages are answered by that
release's workers alone, the replies are recorded instead of sent, and all its keys expire by themselves.
All keys carry the hash tag `{wa}`, so that one script may touch several of them in a cluster too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

GROUP = "workers"
"""The consumer group on every lane's stream."""

DAY_S = 24 * 3600


class LaneName(StrEnum):
    """The value of the label and of the field `lane`."""

    LIVE = "live"
    GATE = "gate"


@dataclass(frozen=True)
class Lane:
    """One lane's keys and how long they live. `lane_ttl_s`: 0 if the streams stay for ever."""

    name: LaneName
    prefix: str
    lane_ttl_s: int

    @property
    def stream(self) -> str:
        """The stream of accepted messages."""
        return f"{self.prefix}:messages"

    @property
    def dead(self) -> str:
        """The stream of messages given up."""
        return f"{self.prefix}:dead"

    @property
    def unknown(self) -> str:
        """The stream of messages whose reply may or may not have been sent."""
        return f"{self.prefix}:unknown"

    @property
    def unsettled(self) -> str:
        """The stream of messages that have ended, which the database has yet to be told."""
        return f"{self.prefix}:unsettled"

    @property
    def replies(self) -> str:
        """The stream of recorded replies (gate lanes only)."""
        return f"{self.prefix}:replies"

    @property
    def known(self) -> str:
        """What the keys begin with under which messages are known as taken, and how they ended."""
        return f"{self.prefix}:known"

    def rate(self, address: str) -> str:
        """The rate limit's state of one client address."""
        return f"{self.prefix}:rate:{address}"

    def turn(self, chat: str) -> str:
        """The list of one chat's messages in the order they came; the first one's turn it is."""
        return f"{self.prefix}:turn:{chat}"

    def sending(self, entry_id: str) -> str:
        """Set from just before a reply is sent until its outcome is known."""
        return f"{self.prefix}:sending:{entry_id}"


LIVE = Lane(LaneName.LIVE, "{wa}", lane_ttl_s=0)


def gate_lane(release: str) -> Lane:
    """The lane of *release*'s own gate."""
    return Lane(LaneName.GATE, f"{{wa}}:gate:{release}", lane_ttl_s=3600)
