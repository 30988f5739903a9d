"""One run of the Pulumi CLI with its engine's events as they come.

The Automation API's `Stack.up` asks the CLI for all outputs and the history afterwards: a second that an
update with nothing to do does not have. The event log holds the outputs already.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pulumi.automation import EngineEvent

from runbook.child import run_child

OnEvent = Callable[[EngineEvent], None]
_POLL_INTERVAL_S = 0.05
_HAS_EVENT_LOG = {"PULUMI_DEBUG_COMMANDS": "true"}  # the option is hidden; the Automation API uses it too


class OperationFailed(Exception):
    """The CLI ended with an error; its events said why, or else the message does."""


def run_operation(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    on_event: OnEvent,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Run *command* (`pulumi up …`) in *folder* and hand each event to *on_event*, in order, from one thread.

    *on_stop* is called, once, when we are told to stop.

    Raises:
        OperationFailed: exit code other than 0.
        KeyboardInterrupt: we were told to stop; the CLI was too, and has left the state in order.
    """
    with tempfile.TemporaryDirectory() as temporary:
        log, said = Path(temporary) / "events.jsonl", Path(temporary) / "output.txt"
        log.touch()
        # The CLI repeats as text what the events say; it is kept for what goes wrong before the first.
        with said.open("wb") as output, _following(log, on_event):
            code = run_child(
                [*command, "--event-log", str(log)],
                folder=folder,
                env={**env, **_HAS_EVENT_LOG},
                output=output,
                on_stop=on_stop,
            )
        if code != 0:
            text = said.read_text(encoding="utf-8", errors="replace")
            raise OperationFailed(error_in(text) or f"the Pulumi CLI ended with exit code {code}")


def error_in(text: str) -> str:
    """What the CLI's *text* says went wrong, each thing once; all of it where no line is an error."""
    errors = [line.partition("error: ")[2] for line in text.splitlines() if "error: " in line]
    return "\n".join(dict.fromkeys(errors)) or text.strip()


@contextmanager
def _following(log: Path, on_event: OnEvent) -> Iterator[None]:
    """Hand on each line of *log* while it grows, and what is left of it at the end."""
    ended = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as thread:
        follower = thread.submit(_follow, log, on_event, ended)
        try:
            yield
        finally:
            ended.set()
    follower.result()


def _follow(log: Path, on_event: OnEvent, ended: threading.Event) -> None:
    partial = b""  # bytes: a line may have been written as far as the middle of a character
    with log.open("rb") as lines:
        while True:
            last = ended.wait(_POLL_INTERVAL_S)
            *whole, partial = (partial + lines.read()).split(b"\n")
            for line in filter(None, whole):
                event = _event(line)
                if event is not None:
                    on_event(event)
            if last:
                return


def _event(line: bytes) -> EngineEvent | None:
    """The event; None for one that this SDK does not know: a later CLI may have more kinds of step."""
    try:
        return EngineEvent.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
