"""One run of the Pulumi CLI with its engine's events as they come.

The Automation API's `Stack.up` asks the CLI for all outputs and the history afterwards: a second that an
update with nothing to do does not have. The event log holds the outputs already.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi.automation import EngineEvent

OnEvent = Callable[[EngineEvent], None]
_LOOK_EACH_S = 0.05
_HAS_EVENT_LOG = {"PULUMI_DEBUG_COMMANDS": "true"}  # the option that the Automation API itself uses is hidden


class OperationFailed(Exception):
    """The CLI ended with an error; its events said why, or else the message does."""


def run_operation(command: list[str], folder: Path, env: dict[str, str], on_event: OnEvent) -> None:
    """Run *command* (`pulumi up …`) in *folder* and hand each event to *on_event*.

    Raises:
        OperationFailed: exit code other than 0.
        KeyboardInterrupt: we were told to stop; the CLI was too, and has left the state in order.
    """
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "events.jsonl"
        log.touch()
        with (
            subprocess.Popen(
                [*command, "--event-log", str(log)],
                cwd=folder,
                env={
                    **os.environ,
                    **env,
                    "PULUMI_DEBUG_COMMANDS": "true",
                },  # without it there is no --event-log
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
            _termination_stops(process),
            _following(log, on_event),
        ):
            # The CLI repeats as text what the events say; it is kept for what goes wrong before the first.
            output, _ = process.communicate()
    if process.returncode != 0:
        raise OperationFailed(_last_error(output))


@contextmanager
def _following(log: Path, on_event: OnEvent) -> Iterator[None]:
    """Hand on each line of *log* while it grows, and what is left of it at the end."""
    ended = threading.Event()

    def follow() -> None:
        with log.open(encoding="utf-8") as lines:
            partial = ""
            while True:
                last = ended.wait(_LOOK_EACH_S)
                *whole, partial = (partial + lines.read()).split("\n")
                for line in filter(None, whole):
                    on_event(EngineEvent.from_json(_loads(line)))
                if last:
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _termination_stops(process: subprocess.Popen[str]) -> Iterator[None]:
    """SIGTERM to us stops *process* in order, as Ctrl-C does (which a terminal sends to both)."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _loads(line: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    return event


def _last_error(output: str) -> str:
    """What the CLI's text says went wrong."""
    errors = [line.partition("error: ")[2] for line in output.splitlines() if "error: " in line]
    return "\n".join(dict.fromkeys(errors)) or output.strip()
