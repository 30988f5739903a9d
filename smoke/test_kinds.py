"""Messages of every kind: each accepted, and answered once. All are sent before one is waited for."""

from __future__ import annotations

import pytest

from smoke.chat import Conversations
from smoke.dialogue import Dialogue, Exchange, play
from smoke.evidence import Measured
from smoke.samples import ANSWERABLE
from smoke.target import Target


@pytest.fixture(scope="module")
def exchanges(target: Target, conversations: Conversations) -> dict[str, Exchange]:
    """One message of each kind, sent."""
    return play(target, {kind: build(conversations) for kind, build in ANSWERABLE.items()})


@pytest.mark.parametrize("kind", ANSWERABLE)
def test_message_is_answered_once(
    measured: Measured, dialogue: Dialogue, exchanges: dict[str, Exchange], kind: str
) -> None:
    """A message of this kind is accepted and has exactly one reply, in its own chat."""
    count = len(dialogue.replies_of(exchanges[kind]))
    measured(count, 1, unit="replies", samples=1, ok=count == 1, detail="one message was sent")
