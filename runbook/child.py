"""Programs that we start and wait for: when we are told to stop, they are told once, and waited for.

Each has a session of its own. A terminal's Ctrl-C would otherwise reach it beside our own signal, and the
Pulumi CLI takes a second one as "at once, in whatever state".
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import psutil  # type: ignore[import-untyped]

from runbook.console import say

_POLL_INTERVAL_S = 1.0


def run_child(
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    inherit: bool = True,
    output: IO[bytes] | int | None = None,
    on_stop: Callable[[], None] | None = None,
) -> int:
    """Run *command* in *folder*, *env* added to the environment; the exit code.

    Without *inherit*, *env* is all of it. *output* takes both of its output streams; by default it has ours.
    *on_stop* is called, once, when we are told to stop.

    Raises:
        KeyboardInterrupt: we were told to stop; so was the program, and it has ended.
    """
    whole_env = {**(os.environ if inherit else {}), **(env or {})}
    with _started(command, folder, whole_env, output, on_stop) as process:
        return _end_of(process)


@contextmanager
def child_beside(
    command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None = None, output: IO[bytes]
) -> Iterator[Callable[[], int]]:
    """Run *command* as `run_child` does, while the block goes on; gives what waits for its exit code."""
    with _started(command, folder, {**os.environ, **(env or {})}, output) as process:
        yield process.wait


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """The first that tells us to stop is heard at the end: in the middle of a start it is not known what."""
    came: list[int] = []
    is_starting = True
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ours = threading.current_thread() is threading.main_thread()
    handlers = {int(each): found for each in stops if ours and callable(found := signal.getsignal(each))}

    def hear(number: int, frame: FrameType | None) -> None:
        if is_starting:
            came.append(number)
        else:  # while the handlers are put back
            handlers[number](number, frame)

    try:
        for each in handlers:
            signal.signal(each, hear)
        yield
    finally:
        is_starting = False
        for each, handler in handlers.items():
            signal.signal(each, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _started(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    output: IO[bytes] | int | None,
    on_stop: Callable[[], None] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """*command*, running; told to stop, and waited for, where we are told in the block or meanwhile."""
    process = None
    try:
        with _signals_deferred():
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,
            )
        yield process
    except KeyboardInterrupt:
        if process:
            _stop(process, on_stop)
        raise


def stop_children() -> None:
    """End what we started and did not detach, with its own children: a daemon in its own session stays."""
    for process in psutil.Process().children(recursive=True):
        try:
            if os.getsid(process.pid) == os.getsid(0):
                process.terminate()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def _stop(process: subprocess.Popen[bytes], on_stop: Callable[[], None] | None = None) -> None:
    """Let *process* end in order; told again, at once."""
    say("stopping: what is under way ends first; interrupt again to stop at once")
    process.send_signal(signal.SIGINT)
    try:
        if on_stop:
            on_stop()
        _end_of(process)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        _end_of(process)
        raise


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for the exit code; not without end at once, which would miss a signal that came just before."""
    while True:
        try:
            return process.wait(_POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            continue
