"""Whether what would be deployed is what git knows: a production release is found again by its commit."""

from __future__ import annotations

from pathlib import Path

from infra.errors import Refused
from infra.manifest import REPOSITORY
from infra.provenance import GitState, git_state
from runbook.console import say
from runbook.errors import RunbookError
from runbook.tables import cell
from runbook.toolchain.environment import is_dev

_NAMED = 5


def refuse_dirty(stack: str, force: bool = False, *, folder: Path = REPOSITORY) -> None:
    """See that a production stack is deployed from a commit; warn where the checkout is behind its upstream.

    Dev stacks may be deployed from any tree. *force* turns the refusal into a warning.

    Raises:
        RunbookError: the tree has changes that are not committed, or git does not tell whether it has, and
            *stack* is no dev stack.
    """
    try:
        git = git_state(folder)
    except Refused as error:
        if not is_dev(stack) and not force:
            raise RunbookError(error.message, f"{error.hint}; --force deploys it as it is") from error
        say(f"warning: {error.message}: what is deployed cannot be told by a commit")
        return
    if git is None:
        if not is_dev(stack):
            say(f"warning: {folder} is no git checkout: what is deployed cannot be told by a commit")
        return
    if git.dirty and not is_dev(stack):
        changes = f"stack {stack} would be deployed with what is not committed: {named(git)}"
        if not force:
            raise RunbookError(changes, "commit it or put it away (`git stash`); --force deploys it as it is")
        say(f"warning: {changes}")
    if git.behind:
        say(f"warning: {behind(git)}: is this what should be deployed?")


def named(git: GitState) -> str:
    """The changed files, up to five by name."""
    more = len(git.changed) - _NAMED
    return ", ".join(map(cell, git.changed[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def behind(git: GitState) -> str:
    """How far the branch is behind its upstream, in words."""
    commits = "1 commit" if git.behind == 1 else f"{git.behind} commits"
    return f"branch {cell(git.branch)} is {commits} behind its upstream"
