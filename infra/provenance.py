"""Who deployed what, from where: what the ledger notes beside a release's evidence."""

from __future__ import annotations

import datetime
import getpass
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from infra.errors import Refused, encodable, printable
from infra.manifest import REPOSITORY

_SHORT = 12
_TIMEOUT_S = 10
_AHEAD_BEHIND = re.compile(r"\+(?P<ahead>\d+) -(?P<behind>\d+)")
_NO_REPOSITORY = "not a git repository (or any "
"""How git says that there is none here or above. Of one that is named, and is away, it says it otherwise."""

_FIELDS_BEFORE_PATH = {"1": 8, "2": 9, "u": 10, "?": 1}
"""By the kind of a line of `git status --porcelain=v2`, how many fields stand before the path."""

_NAMES_A_REPOSITORY = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
    }
)


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


class Sources(BaseModel):
    """Git's commit (`+` marks uncommitted changes), and where that is.

    `branch` is empty and `dirty` false without git, `behind` and `ahead` are None without an upstream.
    """

    model_config = ConfigDict(frozen=True)

    commit: str = ""
    branch: str = ""
    dirty: bool = False
    behind: int | None = None
    ahead: int | None = None


def provenance(folder: Path = REPOSITORY) -> dict[str, Any]:
    """Who does something, when, and from which sources."""
    return {**who_and_when(), **read_sources(folder).model_dump()}


def who_and_when() -> dict[str, Any]:
    """Operator, and time (UTC, ISO 8601)."""
    return {"by": operator(), "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def read_sources(folder: Path = REPOSITORY) -> Sources:
    """The sources in *folder* as they are now; without a commit where git cannot tell it."""
    try:
        git = git_state(folder) or GitState("")
    except Refused:  # `up` has refused or told it: a rollback or a blocklist must not end here
        git = GitState("")
    return Sources(
        commit=git.commit + "+" if git.commit and git.dirty else git.commit,
        branch=git.branch,
        dirty=git.dirty,
        behind=git.behind,
        ahead=git.ahead,
    )


def operator() -> str:
    """Whoever runs this, as `user@host`."""
    return encodable(f"{_user()}@{socket.gethostname()}")


def git_state(folder: Path = REPOSITORY) -> GitState | None:
    """The checkout at *folder*, asking nobody else; None where git knows of none or is missing.

    Raises:
        Refused: there is one, and git does not tell how it is; in git's words.
    """
    arguments = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
    try:
        done = run_git(folder, "--no-optional-locks", *arguments, timeout_s=_TIMEOUT_S)
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        said = f"`git status` did not answer within {_TIMEOUT_S} s"
        raise Refused(f"git cannot tell how {folder} is: {said}", "run it to see what holds it up") from error
    if done.returncode == 0:
        return _parsed(done.stdout)
    if _NO_REPOSITORY in done.stderr:
        return None
    said = printable(" ".join(done.stderr.split())) or f"exit code {done.returncode}"
    raise Refused(f"git cannot tell how {folder} is: {said}", "do what git says, until `git status` answers")


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


def run_git(
    folder: Path, *arguments: str, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git on the repository of *folder*, whichever one the environment names, as for a hook of git's."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        # In English: what git says is looked at.
        env={name: value for name, value in os.environ.items() if name not in _NAMES_A_REPOSITORY}
        | {"LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=timeout_s,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many CI containers
        return "unknown"
