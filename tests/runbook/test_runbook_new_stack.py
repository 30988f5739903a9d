from __future__ import annotations

import pytest
from fake_workspace import FakeWorkspace

from infra.stack_config import GENERATED
from runbook.new_stack import ensure_stack


def test_a_dev_stack_is_made_with_all_that_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its sandbox, the sandbox's secrets and the generated ones; names are said, values are not."""
    workspace = FakeWorkspace("dev-7", is_made=False)
    ensure_stack(workspace)
    assert workspace.calls == ["create"]
    assert workspace.config["layout.sandbox"] == "true"
    current = workspace.secrets()["current"]
    sandbox = {"WAHA_API_KEY", "WAHA_WEBHOOK_SECRET", "RESEND_API_KEY", "SENTRY_DSN"}
    assert current.keys() == {*GENERATED, *sandbox}
    said = capsys.readouterr().err
    assert "making stack dev-7" in said
    assert all(name in said and value not in said for name, value in current.items())


def test_another_stack_has_no_sandbox() -> None:
    """Its secrets for the outside are the operator's to set."""
    workspace = FakeWorkspace("production", is_made=False)
    ensure_stack(workspace)
    assert workspace.config.keys() == {"secrets"}
    assert workspace.secrets()["current"].keys() == set(GENERATED)


def test_generated_values_are_long_and_each_another() -> None:
    """Nobody guesses them."""
    first, second = FakeWorkspace(), FakeWorkspace()
    ensure_stack(first)
    ensure_stack(second)
    values = [
        value
        for workspace in (first, second)
        for name, value in workspace.secrets()["current"].items()
        if name != "SENTRY_DSN"  # the sandbox's, which lets in anybody
    ]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 32


def test_a_stack_that_is_there_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Its secrets above all: everything that runs was given them."""
    workspace = FakeWorkspace()
    ensure_stack(workspace)
    before = dict(workspace.config)
    capsys.readouterr()
    ensure_stack(workspace)
    assert workspace.config == before
    assert workspace.calls == []
    assert capsys.readouterr().err == ""


def test_one_that_was_killed_half_way_goes_on() -> None:
    """A stack without secrets is given them: the secrets come last, and all at once."""
    workspace = FakeWorkspace(is_made=True, config={"layout.sandbox": "true"})
    ensure_stack(workspace)
    assert workspace.is_set("secrets")
