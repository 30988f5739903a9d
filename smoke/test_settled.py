"""Last of all: after a moment without new messages, did anything come late?"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from contracts.targets import Targets
from smoke.chat import Conversations, bare_id
from smoke.evidence import Measured, shortened
from smoke.replies import Reply


@pytest.fixture(scope="module")
def settled(conversations: Conversations, targets: Targets) -> list[Reply]:
    """All replies of the run, read after the time that a late one is given."""
    time.sleep(targets.smoke.settle_s)
    return conversations.all_replies()


def test_no_message_has_a_second_reply(measured: Measured, settled: list[Reply]) -> None:
    """Of all messages of the run, none was answered twice in the end."""
    counts = Counter(bare_id(reply.reply_to) for reply in settled)
    most = max(counts.values(), default=None)
    twice = shortened([str(message) for message, count in counts.items() if count > 1])
    measured(most, 1, unit="replies", samples=len(counts), ok=most == 1, detail=f"answered again: {twice}")


def test_nothing_refused_or_ignored_was_answered(
    measured: Measured, settled: list[Reply], conversations: Conversations
) -> None:
    """Of all webhooks that were refused or ask for no answer, none was answered in the end."""
    forbidden = conversations.unanswerable
    answered = [reply for reply in settled if reply.reply_to in forbidden]
    measured(
        len(answered),
        0,
        unit="replies",
        samples=len(forbidden),
        ok=not answered,
        detail=f"answered: {shortened([str(reply.reply_to) for reply in answered])}",
    )
