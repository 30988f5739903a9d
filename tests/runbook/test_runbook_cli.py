from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from docker.errors import DockerException
from waiting import wait_until

from contracts.targets import TargetsError
from infra.errors import PartMissing, Refused
from runbook.child import run_child
from runbook.cli import main, run_command_line
from runbook.errors import RunbookError
from runbook.verbs import VERBS
from runbook.verbs.secret_store import secrets

SECRET_VERBS = [["secrets", str(command.name or "get")] for command in secrets.registered_commands]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals are handled as before once a test has ended; Ctrl-C as in a terminal while it runs."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def exit_code(command: Callable[[], object]) -> int:
    """What *command* on the command line ends with."""
    with pytest.raises(SystemExit) as end:
        main(command)
    return int(end.value.code or 0)


def failing(error: BaseException) -> Callable[[], object]:
    """A command that ends in *error*, run as Typer runs a verb."""
    only = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

    @only.command()
    def fail() -> None:
        raise error

    return partial(only, [])


@pytest.mark.parametrize("words", [*([name] for name in VERBS), *SECRET_VERBS, []], ids=" ".join)
def test_every_verb_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what a verb does and exits 0."""
    assert exit_code(partial(run_command_line, [*words, "--help"])) == 0
    assert "Usage:" in capsys.readouterr().out


def test_no_verb_runs_with_a_docker_context_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would ask this machine's own engine. What one can type is told all the same."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    assert exit_code(partial(run_command_line, ["lock", "show"])) == 1
    assert "error: the docker context 'prod' cannot be read" in capsys.readouterr().err
    assert exit_code(partial(run_command_line, ["lock", "show", "--help"])) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["deploy"],
        ["up", "--wherever"],
        ["up", "--stack"],
        ["load", "--rate", "fast"],
        ["load", "--rate", "0"],
        ["sign", "--algorithm", "md5"],
        ["outputs", "--stack", "../dev"],
        ["outputs", "--stack", "a b"],
        ["outputs", "--stack", ""],
        ["outputs", "--stack", "a/b/c/d"],
        ["secrets", "set"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown verb or option, or a value that cannot be right, exits 2 before anything is done."""
    assert exit_code(partial(run_command_line, words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Error: " in said.err


def test_a_stack_before_the_verb_is_told_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """Many type it there."""
    assert exit_code(partial(run_command_line, ["--stack", "prod", "outputs"])) == 2
    assert "--stack comes after the verb, as in `bin/runbook outputs --stack prod`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (RunbookError("no stack 'x'", "make it"), ["error: no stack 'x'", "hint: make it"]),
        (Refused("cannot", "do this"), ["error: cannot", "hint: do this"]),
        (Refused("cannot"), ["error: cannot"]),
        (PartMissing("no mmdebstrap", "install it"), ["error: no mmdebstrap", "hint: install it"]),
        (TargetsError("load: one\nload: two"), ["error: load: one", "load: two", "hint: mend targets.toml"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_an_error_and_a_hint(
    error: Exception, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What was wrong and what to do stand on standard error, exit code 1, and no traceback."""
    assert exit_code(failing(error)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == lines


@pytest.mark.parametrize(
    "error", [DockerException("the engine is gone"), OSError(28, "No space left on device")], ids=type
)
def test_a_foreign_error_is_words_too(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """What the engine or the machine refuses is quoted, without a traceback."""
    assert exit_code(failing(error)) == 1
    said = capsys.readouterr().err
    assert str(error) in said
    assert said.startswith("error: ")
    assert "\nhint: " in said
    assert "Traceback" not in said


def test_brackets_in_a_message_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A message is shown to the letter, whatever rich would read into it."""
    assert exit_code(failing(RunbookError("ports: [8080] :key: [/x]", "[bold]"))) == 1
    assert capsys.readouterr().err == "error: ports: [8080] :key: [/x]\nhint: [bold]\n"


def test_another_exit_code_is_kept() -> None:
    """A verb that ends itself ends with its own code."""
    assert exit_code(failing(typer.Exit(3))) == 3


def test_a_verb_that_is_done_exits_0() -> None:
    """No error, no exit code."""
    main(lambda: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_it_stops_in_order(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C, SIGTERM and a closed terminal alike: what was started gets SIGINT and is waited for."""
    program = f"""
import os, signal, sys
signal.alarm(20)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # it may come before we wait for it
os.kill({os.getpid()}, {int(number)})
signal.sigwait([signal.SIGINT])
open("ended", "w").write("in order")
"""
    only = typer.Typer()
    only.command()(lambda: run_child([sys.executable, "-c", program], folder=tmp_path))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert exit_code(partial(only, [])) == 1
    assert (tmp_path / "ended").read_text() == "in order"
    assert "error: interrupted\nhint: " in capsys.readouterr().err


def test_told_to_stop_in_the_middle_of_a_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is just being started is told to stop, too: it does not go on alone."""

    class SlowStart(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            wait_until((tmp_path / "begun").exists)
            os.kill(os.getpid(), signal.SIGTERM)

    program = """
import signal
signal.alarm(20)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
open("begun", "w")
signal.sigwait([signal.SIGINT])
open("ended", "w")
"""
    monkeypatch.setattr(subprocess, "Popen", SlowStart)
    only = typer.Typer()
    only.command()(lambda: run_child([sys.executable, "-c", program], folder=tmp_path))
    assert exit_code(partial(only, [])) == 1
    assert (tmp_path / "ended").exists()
    assert "error: interrupted\nhint: " in capsys.readouterr().err


def test_nohup_is_respected() -> None:
    """A hang-up that was being ignored goes on being ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    main(lambda: os.kill(os.getpid(), signal.SIGHUP))
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_it_is_a_program() -> None:
    """`python -m runbook` is the same, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "runbook", "nonsense"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert done.stdout == ""
