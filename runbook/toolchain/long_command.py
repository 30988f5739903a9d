"""A command that may take minutes: output to a file, and a sign of life for the operator."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runbook.errors import RunbookError

Report = Callable[[str], None]

_LAST_LINES = 12


def run(
    what: str,
    command: Sequence[str],
    log: Path,
    report: Report,
    *,
    env: Mapping[str, str] | None = None,
    each_s: float = 15,
) -> None:
    """Run *command*, in our environment or in *env*; say *what* now and each *each_s* seconds.

    Raises:
        RunbookError: it failed; the message holds its last lines, the hint names *log*.
    """
    report(what)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        code = _wait(process, what, report, each_s)
    if code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        raise RunbookError(f"{what} failed (exit {code}):\n{last}", f"the whole output is in {log}")


def _wait(process: subprocess.Popen[bytes], what: str, report: Report, each_s: float) -> int:
    spent_s = 0.0
    try:
        while True:
            try:
                return process.wait(each_s)
            except subprocess.TimeoutExpired:
                spent_s += each_s
                report(f"{what}: {spent_s:.0f} s")
    except BaseException:  # Ctrl-C too: nothing is left at work behind the operator's back
        process.kill()
        process.wait()
        raise
