from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from docker.errors import DockerException
from fake_service import exit_code
from fake_workspace import FakeWorkspace

from contracts.targets import TargetsError
from infra.errors import Refused
from runbook.checklist import code, run, variables
from runbook.checklist.line import Failed, Line, Result, Skipped, probed
from runbook.checklist.run import Checklist
from runbook.errors import RunbookError

GROUPS = ["machine", "stack", "variables", "services", "code"]


@pytest.mark.parametrize(
    "error",
    [
        Failed("wrong"),
        RunbookError("wrong", "do"),
        Refused("wrong"),
        TargetsError("wrong"),
        DockerException("wrong"),
        requests.ReadTimeout("wrong"),
        PermissionError("wrong"),
    ],
    ids=type,
)
def test_whatever_a_probe_meets_is_a_line(error: Exception) -> None:
    """The others are still gone through."""

    def fail() -> str:
        raise error

    line = probed("group", "it", fail)
    assert (line.group, line.name, line.result) == ("group", "it", Result.FAILED)
    assert line.detail.startswith("wrong")
    assert "()" not in line.detail


def test_what_was_not_looked_at_says_why() -> None:
    """It is neither passed nor failed."""

    def skip() -> str:
        raise Skipped("no engine")

    assert probed("group", "it", skip) == Line("group", "it", Result.SKIPPED, "no engine")


def test_a_line_is_aligned() -> None:
    """The names stand under each other."""
    assert str(Line("machine", "targets", Result.PASSED, "x")) == "passed  targets: x"
    assert str(Line("stack", "lock", Result.SKIPPED, "x")) == "skipped lock: x"


def test_lines_are_told_one_at_a_time() -> None:
    """Whichever threads they come from."""
    inside: list[int] = []

    def tell(_line: Line) -> None:
        inside.append(1)
        assert len(inside) == 1
        inside.pop()

    checklist = Checklist(tell)
    line = Line("code", "x", Result.PASSED, "x")
    threads = [threading.Thread(target=lambda: checklist.add([line] * 500)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checklist.lines) == 4000


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    """A stack for the command to find, with its real lines; what takes long passes at once."""
    workspace = FakeWorkspace()
    names = ("WAHA_WEBHOOK_SECRET", "REDIS_PASSWORD", "RELEASE_KEY")
    secrets = dict.fromkeys(names, "hunter2-A1b2C3d4E5f6G7h8I9j0K1l2M3")
    workspace.keep_secrets({"current": secrets, "retired": {}})

    def passes(group: str) -> Callable[..., list[Line]]:
        return lambda *_args, **_more: [Line(group, "all of it", Result.PASSED, "x")]

    monkeypatch.setattr(run, "existing", lambda _stack: workspace)
    monkeypatch.setattr(run, "machine_lines", passes("machine"))
    monkeypatch.setattr(run, "service_lines", passes("services"))
    monkeypatch.setattr(run, "build", lambda _stack: "builds")
    monkeypatch.setattr(code, "run_step", lambda _commands, _log: "fine")
    monkeypatch.setattr(variables, "_settings", lambda _given: "read")
    monkeypatch.setattr("runbook.checklist.stack._deploy_lock", lambda _stack: "free")
    return workspace


def test_all_in_order_exits_0(workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Every group under its name, a line each, and how many ended how."""
    assert exit_code("check") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line in GROUPS] == GROUPS
    assert "  passed  tests: fine" in shown
    assert shown[-1].endswith("skipped")
    assert " 0 failed, " in shown[-1]


def test_as_json_it_is_a_list_of_lines(workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its group, name, result and detail; a secret is none of them."""
    assert exit_code("check", "--json") == 0
    text = capsys.readouterr().out
    lines = json.loads(text)
    assert {tuple(sorted(line)) for line in lines} == {("detail", "group", "name", "result")}
    assert {line["result"] for line in lines} == {"passed", "skipped"}
    assert {"group": "code", "name": "build", "result": "passed", "detail": "builds"} in lines
    assert "hunter2" not in text


def test_one_failed_line_exits_1(workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named again at the end; all others were gone through."""
    workspace.state = {"pending_operations": [{}]}
    assert exit_code("check") == 1
    said = capsys.readouterr()
    assert "error: not as it should be: pending operations\nhint: " in said.err
    assert "  passed  tests: fine" in said.out


def test_what_is_implausible_is_not_asked(workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services are told which variables are wrong."""
    told: list[list[str]] = []
    monkeypatch.setattr(run, "service_lines", lambda _given, wrong: told.append(wrong) or [])
    workspace.set("env", json.dumps({"RATE_LIMIT_PER_MINUTE": "fast"}))
    assert exit_code("check") == 1
    assert told == [["RATE_LIMIT_PER_MINUTE"]]


def test_fast_leaves_out_what_takes_long(
    workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests and build, which says so; lint and types are looked at."""
    assert exit_code("check", "--fast") == 0
    shown = capsys.readouterr().out
    assert "  skipped tests: --fast leaves it out" in shown
    assert "  skipped build: --fast leaves it out" in shown
    assert "  passed  types: fine" in shown


def test_a_file_stands_for_the_stacks_environment(
    workspace: FakeWorkspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stack's other lines stay; its own secrets are not looked at."""
    file = tmp_path / ".env"
    file.write_text("WAHA_WEBHOOK_SECRET=changeme\nREDIS_URL=redis://127.0.0.1\n")
    assert exit_code("check", "--env-file", str(file)) == 1
    said = capsys.readouterr()
    assert "failed  WAHA_WEBHOOK_SECRET: is a placeholder" in said.out
    assert "passed  secrets: 3 set" in said.out
    assert "error: not as it should be: WAHA_WEBHOOK_SECRET\n" in said.err


def test_an_environment_that_cannot_be_read_is_a_line(
    workspace: FakeWorkspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code is looked at all the same."""
    assert exit_code("check", "--env-file", str(tmp_path / "nowhere")) == 1
    shown = capsys.readouterr().out
    assert "failed  environment: --env-file" in shown
    assert "passed  tests: fine" in shown


def test_a_stack_that_is_not_there_yet_can_be_checked(
    workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By this process's environment: a dev stack needs none."""
    monkeypatch.setattr(run, "existing", lambda _stack: None)
    for name in ("WAHA_WEBHOOK_SECRET", "WAHA_API_KEY", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    assert exit_code("check", "--fast") == 0
    assert "skipped stack: there is no stack dev yet" in capsys.readouterr().out
    assert exit_code("check", "--fast", "--stack", "production") == 1
    assert "failed  WAHA_WEBHOOK_SECRET: is not set" in capsys.readouterr().out
