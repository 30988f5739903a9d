from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fake_service import exit_code
from fake_volumes import VolumesEngine

from infra.deploy_lock import DeployLock
from infra.lock_holder import Holder, Kind

DEAD = 2**22 + 1  # above every pid that Linux gives


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> DeployLock:
    """The lock of stack dev, in the engine that the command finds."""
    engine = VolumesEngine()
    monkeypatch.setattr("docker.from_env", lambda: engine)
    return DeployLock("dev")


def process(**change: object) -> Holder:
    """This process as a holder, changed."""
    return replace(Holder.here(Kind.PROCESS, "up r-1"), **change)  # type: ignore[arg-type]


def elsewhere() -> Holder:
    """A deployment from another machine."""
    return process(by="anna@laptop", place="another machine")


def test_a_free_lock_is_shown(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """As such, for people and for machines."""
    assert exit_code("lock", "show") == 0
    assert capsys.readouterr().out == "free\n"
    assert exit_code("lock", "show", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"stack": "dev", "held": False}


@pytest.mark.parametrize(
    ("change", "gone"), [({}, False), ({"pid": DEAD}, True), ({"place": "another machine"}, False)]
)
def test_a_deployment_is_shown(
    lock: DeployLock, change: dict[str, object], gone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who, since when, why, and whether it is gone where that can be seen from here; never its token."""
    holder = lock.take(process(**change))
    assert exit_code("lock", "show") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"held by {holder}")
    assert ("which is gone" in shown) is gone
    assert exit_code("lock", "show", "--json") == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert (found["kind"], found["holder"], found["pid"]) == ("process", holder.by, holder.pid)
    assert (found["message"], found["since"], found["gone"]) == ("up r-1", holder.since, gone)
    assert holder.token not in text


def test_a_freeze_is_taken_shown_and_ended(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """By anybody: it is said whose it was."""
    assert exit_code("lock", "acquire", "-m", "incident 42") == 0
    holder = lock.read()
    assert holder
    assert (holder.kind, holder.message) == (Kind.MANUAL, "incident 42")
    assert exit_code("lock", "show") == 0
    assert capsys.readouterr().out == f"frozen by {holder}\n"
    assert exit_code("lock", "release") == 0
    assert f"it was {holder}" in capsys.readouterr().err
    assert lock.read() is None
    assert exit_code("lock", "release") == 0
    assert "nothing to do" in capsys.readouterr().err


def test_what_is_held_cannot_be_frozen(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither during a deployment nor twice."""
    held = lock.take(process())
    assert exit_code("lock", "acquire", "-m", "incident 42") == 1
    assert f"error: stack dev is being worked on by {held}" in capsys.readouterr().err
    lock.remove(held)
    assert exit_code("lock", "acquire", "-m", "incident 42") == 0
    assert exit_code("lock", "acquire", "-m", "another") == 1
    assert "frozen by" in capsys.readouterr().err
    assert lock.read().message == "incident 42"  # type: ignore[union-attr]


@pytest.mark.parametrize("message", ["", "  ", "a\nb", "\x1b[2J", "x" * 201])
def test_a_message_is_a_line(lock: DeployLock, message: str) -> None:
    """Anything else is usage, and takes nothing."""
    assert exit_code("lock", "acquire", "-m", message) == 2
    assert exit_code("lock", "acquire") == 2
    assert lock.read() is None


def test_a_deployment_is_not_released(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """`release` ends freezes; the hint names the way out."""
    held = lock.take(process())
    assert exit_code("lock", "release") == 1
    assert "lock break" in capsys.readouterr().err
    assert lock.read() == held


def test_a_live_process_is_not_broken(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even by its name: the process is to be ended, and how is said."""
    held = lock.take(process())
    assert exit_code("lock", "break", "--holder", held.by) == 1
    assert f"hint: end it first: kill {held.pid}" in capsys.readouterr().err
    assert lock.read() == held


def test_a_dead_process_is_broken_without_a_question(
    lock: DeployLock, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was broken is said."""
    held = lock.take(process(pid=DEAD))
    assert exit_code("lock", "break") == 0
    assert f"broken: the deploy lock of stack dev, held by {held}" in capsys.readouterr().err
    assert lock.read() is None
    assert exit_code("lock", "break") == 0
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--holder", "bert@laptop"]])
def test_a_holder_elsewhere_must_be_named(
    lock: DeployLock, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal by --holder; who it is and what is at stake are told."""
    held = lock.take(elsewhere())
    assert exit_code("lock", "break", *arguments) == 1
    assert f"stack dev is locked by {held}" in capsys.readouterr().err
    assert lock.read() == held
    assert exit_code("lock", "break", "--holder", "anna@laptop") == 0
    assert lock.read() is None


@pytest.mark.parametrize(("typed", "code"), [("anna@laptop", 0), ("yes", 1)])
def test_at_a_terminal_the_name_is_typed(
    lock: DeployLock, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    """And nothing else will do."""
    lock.take(elsewhere())
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setattr("typer.prompt", lambda _text, **_more: typed)
    assert exit_code("lock", "break") == code
    assert (lock.read() is None) is (code == 0)


def test_another_holder_since_is_not_broken(lock: DeployLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the name was being typed, the lock went to somebody else: theirs stays."""
    theirs = lock.take(elsewhere())
    monkeypatch.setattr("rich.console.Console.is_terminal", True)

    def typed(_text: str, **_more: object) -> str:
        lock.remove(theirs)
        lock.take(process(token="next"))
        return "anna@laptop"

    monkeypatch.setattr("typer.prompt", typed)
    assert exit_code("lock", "break") == 1
    assert lock.read().token == "next"  # type: ignore[union-attr]
