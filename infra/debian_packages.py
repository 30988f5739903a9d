"""Debian packages for this machine, installed where that is ours to do: as root on Debian or Ubuntu."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence

from infra.errors import PartMissing
from infra.run_command import run_command

WAIT_S = 300
POLL_INTERVAL_S = 1.0

_APT_GET = ("apt-get", "-q", "-o", f"DPkg::Lock::Timeout={WAIT_S}")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "LC_ALL": "C"}
_LAST_LINES = 8

_LOCKED = "Could not get lock"
"""apt itself waits for dpkg's lock alone: not for those on its lists and downloads."""


def can_install() -> bool:
    """Whether packages may be installed here: apt-get exists and we are root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(packages: Sequence[str], report: Callable[[str], None]) -> None:
    """Install *packages* with apt, saying so.

    Raises:
        PartMissing: not root, no apt, or apt failed; the message holds apt's last lines. Another apt at work,
            such as a fresh machine's own, is waited for.
    """
    names = " ".join(packages)
    if not can_install():
        raise PartMissing(
            f"missing on this machine: {names}", f"install {names}, or run this as root on Debian or Ubuntu"
        )
    report(f"installing {names} (apt-get)")
    _run([*_APT_GET, "update"], report)
    _run([*_APT_GET, "install", "-y", "--no-install-recommends", *packages], report)


def _run(command: list[str], report: Callable[[str], None]) -> None:
    until, waiting = time.monotonic() + WAIT_S, False
    while failure := run_command(command, last_lines=_LAST_LINES, env={**os.environ, **_QUIET}):
        if _LOCKED not in failure.last or time.monotonic() > until:
            raise PartMissing(
                f"{' '.join(command)} failed (exit {failure.code}):\n{failure.last}",
                "mend apt, then run this again",
            )
        if not waiting:
            report("waiting for another apt to end")
            waiting = True
        time.sleep(POLL_INTERVAL_S)
