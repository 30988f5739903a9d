"""The branch of a hotfix: begun at the commit that is live, so that nothing else is deployed with the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from infra.manifest import REPOSITORY
from infra.provenance import GitState, git_state, run_git
from runbook.errors import RunbookError
from runbook.git_state import named

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True)
class HotfixBranch:
    """The branch `hotfix/NAME` of the checkout at *folder*, for a fix of the commit *live*."""

    name: str
    live: str
    folder: Path = REPOSITORY

    @property
    def branch(self) -> str:
        """What git calls it."""
        return f"hotfix/{self.name}"

    def is_checked_out(self) -> bool:
        """Whether the checkout is on it."""
        return self._state().branch == self.branch

    def begin(self) -> None:
        """Check it out, made at the live commit if it is new.

        Raises:
            RunbookError: the tree has changes that would come along, or git does not know the commit.
        """
        git = self._state()
        if git.dirty:
            raise RunbookError(
                f"what is not committed would come along: {named(git)}",
                "commit it or put it away (`git stash`)",
            )
        if self._succeeds("rev-parse", "--verify", "--quiet", f"refs/heads/{self.branch}"):
            self._run("switch", self.branch)
        else:
            self._run("switch", "--create", self.branch, self.live)

    def check_ready(self, *, was_deployed: bool = False) -> None:
        """See that it has the fix, committed, and nothing that does not come from the live commit.

        *was_deployed*: what is live is this branch's fix.

        Raises:
            RunbookError: it does not; says what to do.
        """
        git = self._state()
        if git.dirty:
            raise RunbookError(
                f"the fix is not committed: {named(git)}", "`git commit -a`, then run this again"
            )
        if not self._succeeds("merge-base", "--is-ancestor", self.live, "HEAD"):
            raise RunbookError(
                f"{self.branch} does not come from {self.live}, which is live now",
                f"`git rebase --onto {self.live} …`, or begin another: `bin/runbook hotfix ANOTHER-NAME`",
            )
        if not was_deployed and self._run("rev-parse", "HEAD") == self._run(
            "rev-parse", f"{self.live}^{{commit}}"
        ):
            raise RunbookError(
                f"{self.branch} is what is live: there is no fix on it yet",
                "make it, `git commit -a`, then run this again",
            )

    def merge_back(self, main: str) -> list[str]:
        """The commands that bring the fix to the branch *main*."""
        return [
            f"git push origin {self.branch}",
            f"git switch {main}",
            f"git merge --no-ff {self.branch}",
            f"git push origin {main}",
            f"git branch --delete {self.branch}",
        ]

    def _state(self) -> GitState:
        git = git_state(self.folder)
        if git is None:
            raise RunbookError(f"{self.folder} is no git checkout", "a hotfix needs the commit that is live")
        return git

    def _succeeds(self, *arguments: str) -> bool:
        return run_git(self.folder, *arguments).returncode == 0

    def _run(self, *arguments: str) -> str:
        done = run_git(self.folder, *arguments)
        if done.returncode != 0:
            raise RunbookError(
                f"`git {' '.join(arguments)}`: {done.stderr.strip()}",
                f"does this checkout have the commit {self.live}? `git fetch` may bring it",
            )
        return done.stdout.strip()


def checked_name(name: str) -> str:
    """*name*, if it can be part of a branch's.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name) or name.endswith((".lock", ".")) or ".." in name:
        raise ValueError(f"{name!r} cannot name a branch: letters, digits, hyphens, underscores, dots")
    return name
