"""Whoever has the id of a request must find in the logs what became of it."""

from __future__ import annotations

import time

from contracts.targets import Targets
from smoke.chat import Conversations
from smoke.dialogue import Dialogue
from smoke.evidence import Measured
from smoke.logs import lines_of, read_logs
from smoke.options import Options

WANTED = ("received", "verified", "processed")
"""The values of `event` on the lines of a message that is answered."""

BETWEEN_READINGS_S = 0.25


def test_logs_carry_the_request_id(
    measured: Measured, dialogue: Dialogue, conversations: Conversations, options: Options, targets: Targets
) -> None:
    """A webhook's id stands on a JSON line for each thing that happened to it, up to its reply."""
    webhook = dialogue.send(conversations.open().message("find me in the logs"))
    request_id = str(webhook.headers["X-Webhook-Request-Id"])
    missing, lines = list(WANTED), list[str]()
    deadline = time.monotonic() + targets.smoke.reply_within_s
    while missing and (not lines or time.monotonic() < deadline):
        if lines:
            time.sleep(BETWEEN_READINGS_S)
        lines = read_logs(options.logs_command or ())
        told = {line.get("event") for line in lines_of(request_id, lines)}
        missing = [event for event in WANTED if event not in told]
    detail = f"no JSON line with requestId {request_id} says {', '.join(missing)}"
    found = len(WANTED) - len(missing)
    measured(found, len(WANTED), unit="events", samples=len(lines), ok=not missing, detail=detail)
