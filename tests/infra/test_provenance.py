from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import rpc
from repository import git

from infra.errors import Refused
from infra.provenance import GitState, Sources, git_state, operator, provenance, read_sources


def commit(folder: Path, name: str) -> None:
    """One more file, committed."""
    (folder / name).write_text(name)
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", name)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit on branch `main`."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    return folder


def test_a_clean_checkout(checkout: Path) -> None:
    """Its commit in short and its branch; without an upstream nothing is counted."""
    head = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert git_state(checkout) == GitState(head, "main")
    found = provenance(checkout)
    assert found["commit"] == head
    assert (found["branch"], found["dirty"], found["ahead"], found["behind"]) == ("main", False, None, None)


def test_another_repository_in_the_environment_is_not_asked(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git sets it for a hook, or a CI for itself: what is deployed is this checkout."""
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q", "-b", "theirs")
    commit(tmp_path / "other", "theirs")
    before = git_state(checkout)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert git_state(checkout) == before
    (checkout / "first").write_text("changed")
    changed = git_state(checkout)
    assert changed
    assert changed.changed == ("first",)


def test_changes_of_every_kind_are_named(checkout: Path) -> None:
    """Edited, staged, renamed, deleted, unknown to git; a name may hold blanks and signs."""
    for name in ("edited", "renamed", "deleted"):
        commit(checkout, name)
    (checkout / "edited").write_text("else")
    git(checkout, "mv", "renamed", "a new name")
    (checkout / "deleted").unlink()
    (checkout / "un\nknown ü").write_text("x")
    (checkout / "staged").write_text("x")
    git(checkout, "add", "staged")
    state = git_state(checkout)
    assert state
    assert state.dirty
    assert set(state.changed) == {"edited", "a new name", "deleted", "un\nknown ü", "staged"}
    assert provenance(checkout)["commit"] == state.commit + "+"


def test_a_conflict_is_a_change(checkout: Path) -> None:
    """What is not merged yet is not committed."""
    git(checkout, "switch", "-q", "-c", "other")
    (checkout / "first").write_text("theirs")
    git(checkout, "commit", "-q", "-a", "-m", "theirs")
    git(checkout, "switch", "-q", "main")
    (checkout / "first").write_text("ours")
    git(checkout, "commit", "-q", "-a", "-m", "ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(checkout, "merge", "other")
    assert git_state(checkout).changed == ("first",)  # type: ignore[union-attr]


def test_ahead_and_behind_of_the_upstream(checkout: Path, tmp_path: Path) -> None:
    """Counted against what was fetched last; nothing is fetched."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(checkout), str(clone))
    for name in ("second", "third"):
        commit(checkout, name)
    commit(clone, "ours")
    assert (provenance(clone)["ahead"], provenance(clone)["behind"]) == (1, 0)
    git(clone, "fetch", "-q")
    assert (provenance(clone)["ahead"], provenance(clone)["behind"]) == (1, 2)


def test_no_branch_and_no_commit(checkout: Path, tmp_path: Path) -> None:
    """A detached head has no branch; a repository without a commit has none to name."""
    git(checkout, "checkout", "-q", "--detach")
    assert git_state(checkout).branch == ""  # type: ignore[union-attr]
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "main")
    assert git_state(empty) == GitState("", "main")
    (empty / "x").write_text("x")
    assert provenance(empty)["commit"] == ""


def test_without_git(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no repository, or on a machine without the program, there is nothing to tell, and no error."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    nothing = {"commit": "", "branch": "", "dirty": False, "behind": None, "ahead": None}
    assert git_state(tmp_path) is None
    assert provenance(tmp_path).items() >= nothing.items()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout) is None
    assert provenance(checkout).items() >= nothing.items()


def not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git find that somebody else owns the checkout, as root finds one that is mounted in a container."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", "/dev/null")


def test_a_checkout_that_git_refuses_is_no_archive(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's words say what to do, in English whatever the locale; who only notes the sources goes on."""
    not_ours(monkeypatch)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with pytest.raises(Refused, match=rf"dubious ownership .* --add safe\.directory {checkout}\n"):
        git_state(checkout)
    assert read_sources(checkout) == Sources()


def test_a_worktree_whose_repository_is_away_is_no_archive(checkout: Path) -> None:
    """As where a container has nothing but the worktree."""
    git(checkout, "worktree", "add", "-q", str(checkout.with_name("beside")))
    (checkout / ".git").rename(checkout / "gone")
    with pytest.raises(Refused, match="not a git repository: "):
        git_state(checkout.with_name("beside"))


def test_a_git_that_does_not_answer_is_no_archive(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk tells nothing of what is committed."""
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("infra.provenance._TIMEOUT_S", 0.1)
    with pytest.raises(Refused, match=r"`git status` did not answer within 0\.1 s"):
        git_state(checkout)


def test_an_operator_has_a_name_that_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever bytes the environment holds: it is noted in the proxy's route, and in the state."""
    monkeypatch.setenv("LOGNAME", "ka\udcffi")
    assert operator().startswith("ka?i@")


@pytest.mark.parametrize("has_upstream", [True, False])
def test_the_state_can_hold_it(checkout: Path, tmp_path: Path, has_upstream: bool) -> None:
    """JSON values alone, and they come back from Pulumi's wire as they went; of a None nothing comes."""
    folder = tmp_path / "clone" if has_upstream else checkout
    if has_upstream:
        git(tmp_path, "clone", "-q", str(checkout), str(folder))
    found = provenance(folder)
    assert json.loads(json.dumps(found)) == found

    async def sent() -> Any:
        wire = await rpc.serialize_properties({"entry": found}, {})
        return rpc.deserialize_properties(wire)["entry"]

    kept = {name: value for name, value in found.items() if value is not None}
    assert len(found) - len(kept) == (0 if has_upstream else 2)
    assert asyncio.run(sent()) == kept
