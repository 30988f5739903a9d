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

NOTHING, OF_MODEL, NO_MODEL = "nothing", "a text of the model", "no model is configured"
_FAILED = (NOTHING, "the fallback")
_SAID = {None: NOTHING, FALLBACK: _FAILED[1], GATE_REPLY: "the gate's stub", ACKNOWLEDGEMENT: NO_MODEL}


@dataclass(frozen=True)
class Asked:
    """A question that was accepted, and where its answer will be."""

    chat: Chat
    event: Event

    def answer(self, within_s: float) -> str:
        """What was replied within the time, or rather who wrote it."""
        self.chat.wait_for_reply(self.event, within_s)
        reply = self.chat.reply_to(self.event)
        return _SAID.get(reply.text if reply else None, OF_MODEL)


def test_the_model_answers(
    measured: Measured, dialogue: Dialogue, conversations: Conversations, baseline: Target | None
) -> None:
    """A message for the real model is answered by it; or the live release's is not answered by it either."""
    answer, of_live = _ask(dialogue, conversations).answer(dialogue.limit_s), None
    if answer in (*_FAILED, NO_MODEL) and baseline is not None:
        answer, of_live = _beside_live(dialogue, conversations, baseline)
    note = _excuse(answer, of_live)
    ok = bool(note) or answer == OF_MODEL
    detail = "the model, its address or its key?" + (f" The live release: {of_live}" if of_live else "")
    measured(answer, OF_MODEL, samples=1, ok=ok, detail=detail, note=note)


def _excuse(answer: str, of_live: str | None) -> str:
    """Why *answer* is no reason to refuse a release, beside the live one's, if that could be asked."""
    if answer == NO_MODEL and of_live != OF_MODEL:
        return NO_MODEL
    return "the live release gets none either" if answer in _FAILED and of_live in _FAILED else ""


def _ask(dialogue: Dialogue, conversations: Conversations) -> Asked:
    chat = conversations.open()
    event = chat.message(QUESTION)
    dialogue.send(event)
    return Asked(chat, event)


def _beside_live(dialogue: Dialogue, conversations: Conversations, live: Target) -> tuple[str, str | None]:
    """The answers to the same question asked of both at once: the candidate's, and the live release's.

    None for one that did not take the question, or does not tell its replies: nothing is known of its model.
    One that does not answer at all has to be replaceable.
    """
    asked = _ask(dialogue, conversations)
    try:
        of_live = _ask(Dialogue(dialogue.measured, live, dialogue.limit_s), Conversations(GateReplies(live)))
        live_answer = of_live.answer(dialogue.limit_s)
    except NoAnswerError:  # none of it is the candidate's doing
        live_answer = NOTHING
    except (AssertionError, RepliesError):
        live_answer = None
    return asked.answer(dialogue.limit_s), live_answer
