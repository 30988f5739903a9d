"""Events that ask for no answer: each accepted, and left unanswered."""

from __future__ import annotations

import pytest

from smoke.chat import Conversations
from smoke.dialogue import Dialogue, Exchange, play
from smoke.evidence import Measured
from smoke.samples import UNANSWERABLE
from smoke.target import Target


@pytest.fixture(scope="module")
def exchanges(target: Target, conversations: Conversations) -> dict[str, Exchange]:
    """One event of each kind, sent."""
    return play(target, {kind: build(conversations) for kind, build in UNANSWERABLE.items()})


@pytest.mark.parametrize("kind", UNANSWERABLE)
def test_event_is_accepted_and_unanswered(
    measured: Measured, dialogue: Dialogue, exchanges: dict[str, Exchange], kind: str
) -> None:
    """An event of this kind is accepted and has no reply."""
    count = len(dialogue.replies_of(exchanges[kind]))
    detail = "an event that asks for no answer was answered"
    measured(count, 0, unit="replies", samples=1, ok=count == 0, detail=detail)
