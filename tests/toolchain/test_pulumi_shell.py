"""What `bin/pulumi` reads from a command line, and does not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from infra.errors import Refused
from runbook.toolchain.pulumi_shell import named_stack, run_cli, verb


@pytest.mark.parametrize(
    ("arguments", "stack"),
    [
        ("up --stack prod --yes", "prod"),
        ("up -s prod", "prod"),
        ("preview --stack=prod", "prod"),
        ("stack init prod", "prod"),
        ("stack select prod --create", "prod"),
        ("stack rm prod", "prod"),
        ("--cwd stack stack rm --yes prod", "prod"),
        ("-s=prod up", "prod"),
        ("-sprod up", "prod"),
        ("stack ls", None),
        ("up --yes", None),
        ("up --stack", None),
        ("", None),
    ],
)
def test_the_stack_of_a_command_line(arguments: str, stack: str | None) -> None:
    """A stack that is named on the command line is found in each form that the CLI takes."""
    assert named_stack(arguments.split()) == stack


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("up --yes", "up"),
        ("--non-interactive up", "up"),
        ("--stack prod destroy --yes", "destroy"),
        ("-s prod refresh", "refresh"),
        ("-s=prod up", "up"),
        ("-sprod up", "up"),
        ("--stack=prod dn", "dn"),
        ("--cwd preview --color never -v 3 destroy", "destroy"),
        ("-e -Q --logtostderr up", "up"),
        ("--message preview up", "up"),
        ("config set message up", "config"),
        ("--help", ""),
        ("--stack", ""),
        ("", ""),
    ],
)
def test_the_verb_of_a_command_line(arguments: str, expected: str) -> None:
    """The first word that is no option, nor the value of one, is the verb."""
    assert verb(arguments.split()) == expected


@pytest.mark.parametrize("named", ["up", "update", "refresh", "destroy", "down", "dn", "import"])
def test_what_changes_a_stack_holds_its_lock(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the stack is named: a freeze refuses it, and no CLI is run."""

    def refuse(stack: str, what: str) -> NoReturn:
        raise Refused(f"{stack}: {what}: frozen")

    monkeypatch.setattr("runbook.toolchain.pulumi_shell.ensure_engine", lambda _report: None)
    monkeypatch.setattr("runbook.toolchain.pulumi_shell.ensure_cli", lambda _report: Path("/no/such/cli"))
    monkeypatch.setattr("runbook.toolchain.pulumi_shell.hold", refuse)
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("it would have run without the lock"))
    whole = "organization/runbook/dev-x"
    for line in (f"--stack dev-x {named}", f"-s dev-x {named} --yes", f"{named} --stack={whole}"):
        with pytest.raises(Refused, match=f"^dev-x: bin/pulumi {named}: frozen"):
            run_cli(line.split())


@pytest.mark.parametrize(
    ("arguments", "selected", "runbook_stack", "meant"),
    [
        ("config", None, None, "dev"),
        ("stack", None, "", "dev"),
        ("config set --path a b", None, "dev-2", "dev-2"),
        ("stack output", "prod", "dev-2", None),
        ("config --stack prod", None, "dev-2", None),
        ("stack ls", None, "dev-2", None),
        ("stack rm", None, "dev-2", None),
        ("version", None, "dev-2", None),
    ],
)
def test_the_stack_that_is_meant_where_none_is_named(
    arguments: str,
    selected: str | None,
    runbook_stack: str | None,
    meant: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RUNBOOK_STACK, else dev, as for every verb; one that the operator selected stays selected."""
    given: list[str | None] = []

    def run(_cli: Path, _words: list[str], env: dict[str, str]) -> NoReturn:
        given.append(env.get("PULUMI_STACK"))
        raise SystemExit

    shell = "runbook.toolchain.pulumi_shell"
    monkeypatch.setattr(f"{shell}.ensure_cli", lambda _report: Path("/no/such/cli"))
    monkeypatch.setattr(f"{shell}._selected_stack", lambda _cli, _env: selected)
    monkeypatch.setattr(f"{shell}.pulumi_environment", lambda *_: {})
    monkeypatch.setattr("os.execve", run)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.delenv("RUNBOOK_STACK", raising=False)
    if runbook_stack is not None:
        monkeypatch.setenv("RUNBOOK_STACK", runbook_stack)
    with pytest.raises(SystemExit):
        run_cli(arguments.split())
    assert given == [meant]


def test_a_stack_in_pulumi_s_own_variable_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the backend has none of that name: another is not what the operator meant."""
    shell = "runbook.toolchain.pulumi_shell"
    monkeypatch.setattr(f"{shell}.ensure_cli", lambda _report: Path("/no/such/cli"))
    monkeypatch.setattr(f"{shell}._selected_stack", lambda _cli, _env: None)
    monkeypatch.setattr(f"{shell}.pulumi_environment", lambda *_: {})
    given: dict[str, str] = {}

    def run(_cli: Path, _words: list[str], env: dict[str, str]) -> NoReturn:
        given.update(env)
        raise SystemExit

    monkeypatch.setattr("os.execve", run)
    monkeypatch.setenv("PULUMI_STACK", "prd")
    with pytest.raises(SystemExit):
        run_cli(["config"])
    assert given["PULUMI_STACK"] == "prd"


def test_the_stack_that_is_meant_is_the_one_whose_lock_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the command line names none."""

    def refuse(stack: str, what: str) -> NoReturn:
        raise Refused(f"{stack}: {what}: frozen")

    shell = "runbook.toolchain.pulumi_shell"
    monkeypatch.setattr(f"{shell}.ensure_engine", lambda _report: None)
    monkeypatch.setattr(f"{shell}.ensure_cli", lambda _report: Path("/no/such/cli"))
    monkeypatch.setattr(f"{shell}._selected_stack", lambda _cli, _env: None)
    monkeypatch.setattr(f"{shell}.hold", refuse)
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("it would have run without the lock"))
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setenv("RUNBOOK_STACK", "dev-x")
    with pytest.raises(Refused, match=r"^dev-x: bin/pulumi up: frozen"):
        run_cli(["up"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("KeyboardInterrupt()", "error: interrupted\n"),
        ("requests.ConnectionError('refused')", "error: the Docker engine: refused\n"),
        ("Refused('frozen', 'wait')", "error: frozen\nhint: wait\n"),
    ],
)
def test_what_ends_it_is_told_in_words(error: str, said: str) -> None:
    """No traceback: also of Ctrl-C while the lock is waited for."""
    code = (
        "import requests, runpy; from infra.errors import Refused\n"
        "import runbook.toolchain.pulumi_cli as cli\n"
        f"def fail(_report): raise {error}\n"
        "cli.ensure_cli = fail\n"
        "runpy.run_module('runbook.toolchain.pulumi_shell', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "version"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (1, said)
