from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import Refused
from infra.provenance import GitState
from runbook import git_state as module
from runbook.errors import RunbookError
from runbook.git_state import refuse_dirty

DIRTY = GitState("4cb1406aaaaa", "main", tuple(f"service/file{number}.py" for number in range(7)))


def checkout_is(monkeypatch: pytest.MonkeyPatch, state: GitState | None) -> None:
    """Let git say *state*."""
    monkeypatch.setattr(module, "git_state", lambda _folder: state)


def test_production_is_deployed_from_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree with changes is refused: five of them are named, the others counted."""
    checkout_is(monkeypatch, DIRTY)
    with pytest.raises(RunbookError, match="runbook/production would be deployed") as refusal:
        refuse_dirty("acme/runbook/production")
    message = refusal.value.message
    assert "file4.py and 2 more" in message
    assert "file5.py" not in message
    assert "--force" in refusal.value.hint


def test_few_changes_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a count of those left out; no name steers the terminal."""
    checkout_is(monkeypatch, GitState("4cb1406aaaaa", "main", ("a", "b\x1b[2J")))
    with pytest.raises(RunbookError) as refusal:
        refuse_dirty("production")
    assert refusal.value.message.endswith("a, b?[2J")


def test_forced_it_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The operator takes it upon themselves, and reads what."""
    checkout_is(monkeypatch, DIRTY)
    refuse_dirty("production", force=True)
    assert "warning: stack production would be deployed with what is not committed" in capsys.readouterr().err


@pytest.mark.parametrize("stack", ["dev", "dev-7", "acme/runbook/dev"])
def test_a_dev_stack_takes_any_tree(
    monkeypatch: pytest.MonkeyPatch, stack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is what it is for."""
    checkout_is(monkeypatch, DIRTY)
    refuse_dirty(stack)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("behind", "words"), [(1, "1 commit behind"), (3, "3 commits behind")])
def test_behind_the_upstream_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, behind: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old commit may be what is wanted."""
    checkout_is(monkeypatch, GitState("4cb1406aaaaa", "main", (), 0, behind))
    refuse_dirty("production")
    assert f"warning: branch main is {words} its upstream" in capsys.readouterr().err


def test_without_git_production_is_warned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It can be deployed from an unpacked archive; a dev stack is not bothered."""
    checkout_is(monkeypatch, None)
    refuse_dirty("dev", folder=tmp_path)
    assert capsys.readouterr().err == ""
    refuse_dirty("production", folder=tmp_path)
    assert "is no git checkout" in capsys.readouterr().err


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of which git does not tell how it is."""

    def git_state(_folder: Path) -> GitState:
        raise Refused("git cannot tell how /src is: fatal: detected dubious ownership", "mend it")

    monkeypatch.setattr(module, "git_state", git_state)


@pytest.mark.usefixtures("refused")
def test_what_git_cannot_tell_is_not_deployed_to_production() -> None:
    """Root in a checkout of another user's, for example: it may well have changes."""
    with pytest.raises(RunbookError, match="detected dubious ownership") as refusal:
        refuse_dirty("production")
    assert refusal.value.hint == "mend it; --force deploys it as it is"


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(("stack", "force"), [("production", True), ("dev", False)])
def test_forced_or_of_a_dev_stack_it_is_a_warning(
    stack: str, force: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """In git's words."""
    refuse_dirty(stack, force=force)
    assert "warning: git cannot tell how /src is: fatal: detected dubious" in capsys.readouterr().err


def test_a_real_checkout_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is replaced, git itself is: outside of a repository nothing is refused."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    refuse_dirty("production", folder=tmp_path)
