"""What a run of one scenario has to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from loadtests.book import Book
from loadtests.generator_use import ProcessUse


class Ending(StrEnum):
    """How a run came to its end."""

    COMPLETE = "complete"
    HOPELESS = "stopped early: it could not pass any more"
    INTERRUPTED = "interrupted"
    WORKERS_LOST = "workers were lost"

    @property
    def proves_nothing(self) -> bool:
        """Whether a good figure of such a run is none: it is not known what is missing."""
        return self in (Ending.INTERRUPTED, Ending.WORKERS_LOST)


@dataclass(frozen=True)
class Live:
    """What the live release did with its share of the webhooks; `replies_problem` as in `Evidence`.

    `is_secret_known`: they were signed with its own secret, not with what the candidate takes.
    """

    book: Book
    replies_problem: str | None
    is_secret_known: bool = False


@dataclass(frozen=True)
class Evidence:
    """The account of one scenario.

    Attributes:
        replies_asked: whether replies were read at all.
        replies_problem: why the replies are not known to the end; None when they are.
        generator: what each of its processes used while sending.
        probes: what became of the health probes; None where there were none.
        live: what there is to compare with; None where nothing is.
    """

    book: Book
    ending: Ending
    replies_asked: bool
    replies_problem: str | None
    generator: Sequence[ProcessUse]
    probes: Book | None = None
    live: Live | None = None

    @property
    def replies_unknown(self) -> str | None:
        """Why it is not known whether every reply came; None when it is."""
        return "replies were not waited for" if self.ending is not Ending.COMPLETE else self.replies_problem

    @property
    def ended(self) -> str:
        """How it ended, and how far it had come."""
        return f"{self.ending} (after {self.book.settled} of {self.book.plan.total} webhooks)"
