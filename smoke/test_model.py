"""The one call of the customers' model: in the gate's lane all else is answered by a stub."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.gate_lane import ACKNOWLEDGEMENT, ASK_MODEL, FALLBACK, GATE_REPLY
from smoke.chat import Chat, Conversations, Event
from smoke.dialogue import Dialogue
from smoke.evidence import Measured
from smoke.replies import GateReplies, RepliesError
from smoke.target import NoAnswerError, Target

QUESTION = f"{ASK_MODEL}please answer with one short greeting"

_SAID = {FALLBACK: "the fallback", GATE_REPLY: "the gate's stub", ACKNOWLEDGEMENT: "no model is configured"}


@dataclass(frozen=True)
class Asked:
    """A question that was sent, and where its answer will be."""

    chat: Chat
    event: Event

    def answer(self, within_s: float) -> str | None:
        """What was replied; None if nothing came within the time."""
        self.chat.wait_for_reply(self.event, within_s)
        reply = self.chat.reply_to(self.event)
        return reply.text if reply else None


def test_the_model_answers(
    measured: Measured, dialogue: Dialogue, conversations: Conversations, baseline: Target | None
) -> None:
    """A message for the real model is answered by it; or the live release's is not answered by it either."""
    answer = _ask(dialogue, conversations).answer(dialogue.limit_s)
    note = _SAID[ACKNOWLEDGEMENT] if answer == ACKNOWLEDGEMENT else ""
    if answer in (None, FALLBACK) and baseline is not None:
        answer, note = _beside_live(dialogue, conversations, baseline)
    ok = bool(note) or answer not in (None, FALLBACK, GATE_REPLY)
    value = "nothing" if answer is None else _SAID.get(answer, "a text of the model")
    measured(value, "a text of the model", samples=1, ok=ok, detail="the model or its key?", note=note)


def _ask(dialogue: Dialogue, conversations: Conversations) -> Asked:
    chat = conversations.open()
    event = chat.message(QUESTION)
    dialogue.send(event)
    return Asked(chat, event)


def _beside_live(dialogue: Dialogue, conversations: Conversations, live: Target) -> tuple[str | None, str]:
    """The candidate's answer to the same question asked of both at once, and what is to be said of a pass."""
    asked = _ask(dialogue, conversations)
    try:
        of_live = _ask(Dialogue(dialogue.measured, live, dialogue.limit_s), Conversations(GateReplies(live)))
        live_answer = of_live.answer(dialogue.limit_s)
    except (AssertionError, NoAnswerError, RepliesError):  # none of it is the candidate's doing
        live_answer = None
    answer = asked.answer(dialogue.limit_s)
    is_as_bad = live_answer in (None, FALLBACK)
    return answer, "the live release gets none either" if is_as_bad and answer in (None, FALLBACK) else ""
