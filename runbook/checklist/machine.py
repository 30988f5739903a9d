"""This machine and this checkout: targets, engine, git."""

from __future__ import annotations

from pathlib import Path

import docker

from contracts.targets import read_targets
from infra.errors import Refused
from infra.manifest import REPOSITORY
from infra.provenance import git_state
from runbook.checklist.line import Failed, Line, Skipped, probed
from runbook.git_state import behind, named
from runbook.toolchain.environment import is_dev

GROUP = "machine"
_ANSWERS_WITHIN_S = 5


def machine_lines(stack: str) -> list[Line]:
    """A line for each."""
    return [
        probed(GROUP, "targets", _targets),
        probed(GROUP, "docker engine", _engine),
        probed(GROUP, "git", lambda: git(stack)),
    ]


def git(stack: str, folder: Path = REPOSITORY) -> str:
    """Branch and commit, whether something is not committed, and how far it is from its upstream.

    Raises:
        Failed: a production stack would be deployed with what is not committed.
        Refused: git does not tell whether a production stack would be.
        Skipped: there is no git to ask.
    """
    try:
        found = git_state(folder)
    except Refused as error:
        if is_dev(stack):
            raise Skipped(error.message) from error
        raise
    if found is None:
        raise Skipped(f"{folder} is no git checkout, or git is not installed")
    where = f"{found.branch or 'no branch'} at {found.commit or 'no commit yet'}"
    if found.dirty and not is_dev(stack):
        raise Failed(f"{where}, not committed: {named(found)}; `up` refuses it without --force")
    parts = [where, f"not committed: {named(found)}" if found.dirty else "nothing to commit"]
    if found.behind:
        parts.append(behind(found))
    if found.ahead:
        parts.append(f"{found.ahead} not pushed")
    return ", ".join(parts)


def _targets() -> str:
    read_targets()
    return "targets.toml is complete"


def _engine() -> str:
    return f"version {docker.from_env(timeout=_ANSWERS_WITHIN_S).version()['Version']} answers"
