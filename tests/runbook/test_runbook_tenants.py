"""`tenants`: what is asked of the service, and what an operator reads."""

from __future__ import annotations

import json

import pytest
from fake_service import answering, exit_code, typed

from runbook.verbs.tenants import tenants

ACME = {"id": "acme", "credits": 10, "used": 3, "reserved": 1, "left": 6, "owner_email": "o@example.org"}
FREE = {"id": "free", "credits": None, "used": 7, "reserved": 0, "left": None, "owner_email": None}


def test_accounts_are_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Unlimited is a word; nobody is a dash."""
    assert typed(monkeypatch, answering({"tenants": [ACME, FREE]}), "tenants", "list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["acme", "10", "3", "1", "6", "o@example.org"]
    assert lines[2] == ["free", "unlimited", "7", "0", "unlimited", "-"]


def test_no_account_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty table; as JSON it is an empty list."""
    inside = answering({"tenants": []})
    assert typed(monkeypatch, inside, "tenants", "list") == 0
    assert "no tenant of stack dev has an account yet" in capsys.readouterr().err
    assert typed(monkeypatch, inside, "tenants", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_one_account_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table, and as JSON what the service said."""
    inside = answering(ACME)
    assert typed(monkeypatch, inside, "tenants", "show", "acme") == 0
    assert inside.asked == ["tenants show --json -- acme"]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert typed(monkeypatch, inside, "tenants", "show", "acme", "--json") == 0
    assert json.loads(capsys.readouterr().out) == ACME


@pytest.mark.parametrize(
    ("answer", "left"), [(ACME, "6 credits left, owner o@example.org"), (FREE, "unlimited left, owner -")]
)
def test_a_grant_says_what_is_left(
    answer: dict[str, object], left: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what the tenant has now."""
    inside = answering(answer)
    assert typed(monkeypatch, inside, "tenants", "grant", "acme", "unlimited") == 0
    assert inside.asked == ["tenants grant --json -- acme unlimited"]
    assert capsys.readouterr().err == f"tenant {answer['id']}: {left}\n"


@pytest.mark.parametrize(("flags", "invited"), [([], False), (["--invite"], True)])
def test_an_owner_is_set_and_invited_if_asked(
    flags: list[str], invited: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a mail is on its way is said."""
    inside = answering({**ACME, "invited": invited})
    assert typed(monkeypatch, inside, "tenants", "owner", "acme", "o@example.org", *flags) == 0
    assert inside.asked == [" ".join(["tenants owner --json", *flags, "-- acme o@example.org"])]
    assert ("an invitation is on its way to o@example.org" in capsys.readouterr().err) is invited


@pytest.mark.parametrize(
    "words",
    [
        ["grant", "acme", "many"],
        ["grant", "acme", "1.5"],
        ["grant", "", "5"],
        ["grant", "a\nb", "5"],
        ["show", "x" * 129],
        ["grant", "acme"],
        ["owner", "acme", "nobody"],
        ["owner", "acme", "a@b@c"],
    ],
)
def test_a_wrong_value_is_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 before the engine is asked."""
    assert exit_code("tenants", *words) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("verb", [str(command.name) for command in tenants.registered_commands])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what it does."""
    assert exit_code("tenants", verb, "--help") == 0
    assert "Usage: " in capsys.readouterr().out
