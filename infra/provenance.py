"""Who deployed what, from where: what the ledger notes beside a release's evidence."""

from __future__ import annotations

import datetime
import getpass
import socket
import subprocess

from infra.manifest import REPOSITORY


def provenance() -> dict[str, str]:
    """Operator, time (UTC, ISO 8601) and git commit; `+` marks a tree with uncommitted changes."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"by": f"{_user()}@{socket.gethostname()}", "at": now, "commit": _commit()}


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit + "+" if commit and _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many CI containers
        return "unknown"
