from __future__ import annotations

import json

import pytest
import typer

from runbook import console
from runbook.console import print_json, say, say_error, show
from runbook.options import DEFAULT_STACK, Stack

TEXT = "a\tb [bold]x[/bold] :key: \\[ " + "long " * 60


def test_a_result_is_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret with brackets, tabs or colons comes out as it went in."""
    show(TEXT)
    assert capsys.readouterr().out == TEXT + "\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in it, and however long its lines are."""
    print_json({"text": TEXT})
    assert json.loads(capsys.readouterr().out) == {"text": TEXT}


def test_progress_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to standard error, in one line, without markup."""
    say("making [1/2] :key: " + "long " * 60)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "making [1/2] :key: " + "long " * 60 + "\n"


@pytest.mark.parametrize(
    ("typed", "variable", "named"),
    [
        ([], None, ""),
        (["--stack", "dev-2"], None, " --stack dev-2"),
        ([], "dev-2", " --stack dev-2"),
        (["--stack", "dev"], "dev-2", " --stack dev"),
    ],
)
def test_commands_that_are_named_are_about_the_verb_s_stack(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: list[str],
    variable: str | None,
    named: str,
) -> None:
    """Typed as they are, they reach no other: not the default one, and not that of the environment."""
    monkeypatch.setattr(console, "_SPOKEN_OF", [])
    monkeypatch.delenv("RUNBOOK_STACK", raising=False)
    if variable:
        monkeypatch.setenv("RUNBOOK_STACK", variable)
    app = typer.Typer()

    @app.command()
    def verb(stack: Stack = DEFAULT_STACK) -> None:
        say("`bin/runbook up` is next")
        say_error("it is wrong", "`bin/runbook rollback`")

    app(typed, standalone_mode=False)
    said = capsys.readouterr().err
    assert f"`bin/runbook up{named}` is next" in said
    assert f"hint: `bin/runbook rollback{named}`" in said
