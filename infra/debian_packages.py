"""Debian packages for this machine, installed where that is ours to do: as root on Debian or Ubuntu."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

from infra.errors import PartMissing
from infra.quoted_command import failure_of

_APT_GET = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
_LAST_LINES = 8


def can_install() -> bool:
    """Whether packages may be installed here: apt-get exists and we are root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(packages: Sequence[str], report: Callable[[str], None]) -> None:
    """Install *packages* with apt, saying so.

    Raises:
        PartMissing: not root, no apt, or apt failed; the message holds apt's last lines.
    """
    names = " ".join(packages)
    if not can_install():
        raise PartMissing(
            f"missing on this machine: {names}", f"install {names}, or run this as root on Debian or Ubuntu"
        )
    report(f"installing {names} (apt-get)")
    _run([*_APT_GET, "update"])
    _run([*_APT_GET, "install", "-y", "--no-install-recommends", *packages])


def _run(command: list[str]) -> None:
    if failure := failure_of(command, last_lines=_LAST_LINES, env={**os.environ, **_QUIET}):
        raise PartMissing(
            f"{' '.join(command)} failed (exit {failure.code}):\n{failure.last}",
            "mend apt, then run this again",
        )
