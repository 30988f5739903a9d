"""`blocklist`: what is asked of the service, and what an operator reads."""

from __future__ import annotations

import json

import pytest
from fake_service import FakeContainerExec, answering, exit_code, typed

from infra.provenance import provenance
from runbook.verbs.blocklist import blocklist

ENTRY = {"network": "203.0.113.0/24", "reason": "floods", "since": 1_764_000_000_000, "by": "me@here"}
DONE = {"network": "203.0.113.7/32", "takes_effect_within_s": 2.0}


def test_what_is_blocked_is_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With since when, by whom and why."""
    assert typed(monkeypatch, answering({"networks": [ENTRY]}), "blocklist", "list") == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["203.0.113.0/24", "2025-11-24", "16:00:00", "me@here", "floods"]


def test_nothing_blocked_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not an empty table; as JSON it is an empty list."""
    inside = answering({"networks": []})
    assert typed(monkeypatch, inside, "blocklist", "list") == 0
    assert capsys.readouterr().err == "nothing is blocked in stack dev\n"
    assert typed(monkeypatch, inside, "blocklist", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_adding_says_who_and_when_it_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator's name goes along; a reason is one argument, whatever is in it."""
    inside = answering(DONE)
    words = ["blocklist", "add", "203.0.113.7", "--reason", "--force; reboot", "--json"]
    assert typed(monkeypatch, inside, *words) == 0
    assert inside.ran[0][3:] == [
        *("blocklist", "add", "--json", "--reason=--force; reboot"),
        *(f"--by={provenance()['by']}", "--", "203.0.113.7"),
    ]
    said = capsys.readouterr()
    assert json.loads(said.out) == DONE
    assert said.err == "203.0.113.7/32 is blocked; every web process knows within 2 s\n"


def test_a_sender_is_blocked_with_force_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service refuses; its words are shown."""
    refusal = json.dumps({"error": "203.0.113.7/32 has a sender", "hint": "--force blocks it all the same"})
    inside = FakeContainerExec(outputs=[(1, refusal), (0, json.dumps(DONE))])
    assert typed(monkeypatch, inside, "blocklist", "add", "203.0.113.7") == 1
    expected = "error: 203.0.113.7/32 has a sender\nhint: --force blocks it all the same\n"
    assert capsys.readouterr().err == expected
    assert typed(monkeypatch, inside, "blocklist", "add", "203.0.113.7", "--force") == 0
    assert "--force" in inside.ran[1]


def test_removing_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And when it holds."""
    inside = answering(DONE)
    assert typed(monkeypatch, inside, "blocklist", "remove", "203.0.113.7") == 0
    assert inside.asked == ["blocklist remove --json -- 203.0.113.7"]
    assert "is not blocked any more" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["", "hello", "203.0.113.7;reboot", "$(id)", "2001:db8::/x", "a" * 60])
@pytest.mark.parametrize("verb", ["add", "remove"])
def test_what_cannot_be_a_network_is_usage(
    verb: str, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before the engine is asked, with the value."""
    assert exit_code("blocklist", verb, network) == 2
    assert "no IP address or network" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("verb", [str(command.name) for command in blocklist.registered_commands])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what it does."""
    assert exit_code("blocklist", verb, "--help") == 0
    assert "Usage: " in capsys.readouterr().out
