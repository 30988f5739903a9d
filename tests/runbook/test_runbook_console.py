from __future__ import annotations

import json

import pytest

from runbook.console import print_json, say, show

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
