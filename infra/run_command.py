"""Programs whose output matters only when they fail: then their last lines say why."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """How a program failed: its exit code, and the last lines of all that it printed."""

    code: int
    last: str


def run_command(
    command: Sequence[str],
    *,
    last_lines: int,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Failure | None:
    """Run *command* to its end, in our environment or in *env*; None if it ended well.

    Raises:
        subprocess.TimeoutExpired: it did not end within *timeout_s*.
    """
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode == 0:
        return None
    return Failure(done.returncode, "\n".join(done.stdout.splitlines()[-last_lines:]))
