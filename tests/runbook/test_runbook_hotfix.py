"""A hotfix begins at what is live, has the fix committed, and is merged back."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from fake_service import exit_code
from fake_stack import moves_of
from records import deployed, history_of, outputs_of, record, route
from repository import git

from runbook.errors import RunbookError
from runbook.hotfix_branch import HotfixBranch, checked_name
from runbook.verbs.hotfix import live_commit


def commit(folder: Path, text: str) -> str:
    """The commit of *text* as the only file's content."""
    (folder / "service.py").write_text(text)
    git(folder, "add", "service.py")
    git(folder, "commit", "-m", text)
    return git(folder, "rev-parse", "--short=12", "HEAD")


@pytest.fixture
def live(tmp_path: Path) -> HotfixBranch:
    """A checkout on `main`, a commit further than what is live."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    found = commit(tmp_path, "live")
    commit(tmp_path, "newer")
    return HotfixBranch("answers", found, tmp_path)


def test_it_begins_at_the_live_commit(live: HotfixBranch) -> None:
    """Not at what was written since."""
    assert not live.is_checked_out()
    live.begin()
    assert live.is_checked_out()
    assert git(live.folder, "rev-parse", "--short=12", "HEAD") == live.live


def test_another_repository_in_the_environment_stays_on_its_branch(
    live: HotfixBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git sets it for a hook."""
    other = tmp_path.with_name("other")
    other.mkdir()
    git(other, "init", "--quiet", "--initial-branch=theirs")
    commit(other, "theirs")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    live.begin()
    assert live.is_checked_out()
    assert git(other, "branch", "--list", "--format=%(refname:short)") == "theirs"


def test_beginning_again_goes_on_where_it_was(live: HotfixBranch) -> None:
    """The fix that is on it already stays."""
    live.begin()
    fix = commit(live.folder, "fix")
    git(live.folder, "switch", "main")
    live.begin()
    assert git(live.folder, "rev-parse", "--short=12", "HEAD") == fix
    live.check_ready()


def test_what_is_not_committed_does_not_come_along(live: HotfixBranch) -> None:
    """Half-finished work would be deployed with the fix."""
    (live.folder / "service.py").write_text("half")
    with pytest.raises(RunbookError, match=r"would come along: service\.py"):
        live.begin()
    assert not live.is_checked_out()


def test_a_branch_without_a_fix_is_not_deployed(live: HotfixBranch) -> None:
    """It is what is live."""
    live.begin()
    with pytest.raises(RunbookError, match="there is no fix on it yet"):
        live.check_ready()


def test_a_fix_that_is_live_is_seen_through(live: HotfixBranch) -> None:
    """The command was interrupted when the traffic had moved, and is run again."""
    live.begin()
    deployed = replace(live, live=commit(live.folder, "fix"))
    deployed.check_ready(was_deployed=True)
    with pytest.raises(RunbookError, match="there is no fix on it yet"):
        deployed.check_ready()


def test_a_fix_that_is_not_committed_is_not_deployed(live: HotfixBranch) -> None:
    """What is live must be found again by its commit."""
    live.begin()
    (live.folder / "service.py").write_text("fix")
    with pytest.raises(RunbookError, match=r"the fix is not committed: service\.py"):
        live.check_ready()


def test_a_branch_from_elsewhere_is_not_deployed(live: HotfixBranch) -> None:
    """Another release went live meanwhile: the fix would take it back."""
    live.begin()
    commit(live.folder, "fix")
    git(live.folder, "switch", "main")
    later = HotfixBranch(live.name, commit(live.folder, "live now"), live.folder)
    later.begin()
    with pytest.raises(RunbookError, match=f"does not come from {later.live}, which is live now"):
        later.check_ready()


def test_a_commit_that_git_does_not_know_is_named(live: HotfixBranch) -> None:
    """It was deployed from another clone."""
    with pytest.raises(RunbookError, match="0123456789ab") as refusal:
        HotfixBranch("x", "0123456789ab", live.folder).begin()
    assert "git fetch" in refusal.value.hint


def test_the_service_is_made_ready_only_where_a_fix_is_deployed(
    live: HotfixBranch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch must be had where no wheel or base image can be: the index may be away."""
    verb, did = import_module("runbook.verbs.hotfix"), list[str]()
    answers = {
        "read_history": history_of(outputs_of(record("r-1", commit=live.live))),
        "HotfixBranch": live,
        "_deploy": {"release": "r-2", "url": "http://127.0.0.1:8080"},
    }
    for name in ("ensure_engine", "open_workspace", "prepare", "watch_live", *answers):
        monkeypatch.setattr(verb, name, lambda *_, name=name: (did.append(name), answers.get(name))[1])
    begins = ["ensure_engine", "open_workspace", "read_history", "HotfixBranch"]
    assert exit_code("hotfix", "answers") == 0
    assert live.is_checked_out()
    assert exit_code("hotfix", "answers") == 1  # there is no fix on it yet
    assert did == begins * 2
    commit(live.folder, "fix")
    assert exit_code("hotfix", "answers") == 0
    assert did == [*begins * 3, "prepare", "_deploy", "watch_live"]


def test_the_commands_merge_it_back(live: HotfixBranch) -> None:
    """They do what they say, once there is somewhere to push to."""
    origin = live.folder / "origin.git"
    git(live.folder, "init", "--quiet", "--bare", str(origin))
    (live.folder / ".git/info/exclude").write_text("origin.git\n")
    git(live.folder, "remote", "add", "origin", str(origin))
    live.begin()
    (live.folder / "fix.py").write_text("fix")
    git(live.folder, "add", "fix.py")
    git(live.folder, "commit", "-m", "the fix")
    for command in live.merge_back("main"):
        git(live.folder, *command.split()[1:])
    assert git(origin, "show", "main:fix.py") == "fix"
    assert git(origin, "show", "main:service.py") == "newer"
    assert git(live.folder, "branch", "--list", live.branch) == ""


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a..b", "a.lock", "ä", "x" * 80, "a;b", "end."])
def test_a_name_that_no_branch_can_have_is_refused(name: str) -> None:
    """Before git sees it."""
    with pytest.raises(ValueError, match="cannot name a branch"):
        checked_name(name)


def test_the_live_commit_is_that_of_the_live_release() -> None:
    """Not of one that did not keep the traffic."""
    refused = record("r-3", commit="3333", refusal=["traffic: r-3 did not keep the traffic"])
    live = [record("r-1", commit="1111", branch="main"), record("r-2", commit="2222", branch="next")]
    assert live_commit(history_of(outputs_of(*live, refused))) == ("2222", "next")


def test_the_live_release_is_what_the_proxy_serves() -> None:
    """Whatever the state says: a rollback whose state has not followed, for example."""
    outputs = outputs_of(record("r-1", commit="1111"), record("r-2", commit="2222"))
    assert live_commit(history_of(outputs, route("r-1"))) == ("1111", "main")


def test_after_an_interrupted_update_a_hotfix_begins_at_what_went_live() -> None:
    """Its move is all that is known of it; one by an older version says nothing, and the record counts."""
    *before, last = moves_of("r-1", "r-2", "r-3")
    told = last.model_copy(update={"commit": "3333", "branch": "next"})
    outputs = outputs_of(record("r-1", commit="1111"), record("r-2", commit="2222"))
    assert live_commit(history_of(outputs, route("r-3", *before, told))) == ("3333", "next")
    again = moves_of("r-3", "r-2")[1].model_copy(update={"id": "b"})
    assert live_commit(history_of(outputs, route("r-2", *before, told, again))) == ("2222", "main")


def test_after_a_rollback_a_hotfix_begins_at_what_came_back() -> None:
    """Not at the commit that whoever typed `rollback` had checked out, which may be the bad one."""
    live = [record("r-1", commit="1111"), record("r-2", commit="2222")]
    back = record("r-1", "rollback", commit="2222")
    assert live_commit(history_of(outputs_of(*live, back))) == ("1111", "main")


def test_a_release_from_a_dirty_tree_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Its commit is not all that is live."""
    assert live_commit(history_of(outputs_of(record("r-1", commit="1111+")))) == ("1111", "main")
    assert "changes after 1111 that are not in it" in capsys.readouterr().err


def test_without_a_commit_there_is_no_hotfix() -> None:
    """Nothing is live, or it came from no git checkout."""
    with pytest.raises(RunbookError, match="nothing is live yet"):
        live_commit(history_of(deployed()))
    with pytest.raises(RunbookError, match="not deployed from a git checkout"):
        live_commit(history_of(outputs_of(record("r-1", commit=""))))
