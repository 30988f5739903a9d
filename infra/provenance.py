"""Who deployed what, from where: what the ledger notes beside a release's evidence."""

from __future__ import annotations

import datetime
import getpass
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.manifest import REPOSITORY

_SHORT = 12
_TIMEOUT_S = 10
_AHEAD_BEHIND = re.compile(r"\+(?P<ahead>\d+) -(?P<behind>\d+)")
_FIELDS_BEFORE_PATH = {"1": 8, "2": 9, "u": 10, "?": 1}
"""By the kind of a line of `git status --porcelain=v2`, how many fields stand before the path."""


@dataclass(frozen=True)
class GitState:
    """A checkout as git sees it. `changed`: paths that differ from the commit, those git does not know too.

    `branch` is empty where none is checked out; `ahead` and `behind` count commits against the upstream as
    it was last fetched, and are None where there is none.
    """

    commit: str
    branch: str = ""
    changed: tuple[str, ...] = ()
    ahead: int | None = None
    behind: int | None = None

    @property
    def dirty(self) -> bool:
        """Whether something was changed and not committed."""
        return bool(self.changed)


def provenance(folder: Path = REPOSITORY) -> dict[str, Any]:
    """Who does something, when, and from which sources."""
    return {**who_and_when(), **sources(folder)}


def who_and_when() -> dict[str, Any]:
    """Operator, and time (UTC, ISO 8601)."""
    return {"by": operator(), "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def sources(folder: Path = REPOSITORY) -> dict[str, Any]:
    """Git's commit (`+` marks uncommitted changes), and where that is.

    `branch` is empty and `dirty` false without git, `behind` and `ahead` are None without an upstream. The
    state keeps nothing of a None: who reads the ledger asks with `get`.
    """
    git = git_state(folder) or GitState("")
    return {
        "commit": git.commit + "+" if git.commit and git.dirty else git.commit,
        "branch": git.branch,
        "dirty": git.dirty,
        "behind": git.behind,
        "ahead": git.ahead,
    }


def operator() -> str:
    """Whoever runs this, as `user@host`."""
    return f"{_user()}@{socket.gethostname()}"


def git_state(folder: Path = REPOSITORY) -> GitState | None:
    """The checkout at *folder*, asking nobody else; None where git knows of none or is missing."""
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
    return None if status is None else _parsed(status)


def _parsed(status: str) -> GitState:
    """What `git status --porcelain=v2 --branch -z` says: `# key value` first, then the changes."""
    headers: dict[str, str] = {}
    changed: list[str] = []
    entries = iter(status.split("\0"))
    for entry in filter(None, entries):
        kind = entry[0]
        if kind == "#":
            key, _, value = entry[2:].partition(" ")
            headers[key] = value
        else:
            changed.append(entry.split(" ", _FIELDS_BEFORE_PATH[kind])[-1])
            if kind == "2":
                next(entries)  # of a renamed file, where it was
    oid, branch = headers.get("branch.oid", ""), headers.get("branch.head", "")
    counted = _AHEAD_BEHIND.fullmatch(headers.get("branch.ab", ""))
    return GitState(
        commit="" if oid.startswith("(") else oid[:_SHORT],
        branch="" if branch.startswith("(") else branch,
        changed=tuple(changed),
        ahead=int(counted["ahead"]) if counted else None,
        behind=int(counted["behind"]) if counted else None,
    )


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many CI containers
        return "unknown"
