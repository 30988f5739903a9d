"""Monitors that are not there, or do not run: what is said, and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_stack import FakeStack

from infra.stack_settings import StackSettings
from runbook.errors import RunbookError
from runbook.monitor_containers import monitor_container, refuse_unless_running


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the configuration of stack `dev`, which has monitors."""
    (tmp_path / "Pulumi.dev.yaml").touch()
    monkeypatch.setattr("runbook.workspace.REPOSITORY", tmp_path)
    where = "runbook.monitor_containers"
    monkeypatch.setattr(f"{where}.configuration_file", lambda stack: tmp_path / f"Pulumi.{stack}.yaml")
    monkeypatch.setattr(f"{where}.layout_of", lambda stack: StackSettings(monitoring=stack == "dev"))
    return tmp_path


def test_a_mistyped_stack_is_none_that_lacks_monitors(stack: FakeStack) -> None:
    """Those that there are, are named."""
    with pytest.raises(RunbookError, match="there is no stack 'dve'") as refusal:
        monitor_container("dve", "logs")
    assert refusal.value.hint == "there are dev; `bin/runbook up --stack dve` makes it"


def test_without_monitors_the_setting_is_named(stack: FakeStack, checkout: Path) -> None:
    """And that the update replaces the proxy."""
    (checkout / "Pulumi.prod.yaml").touch()
    with pytest.raises(RunbookError, match="stack prod has no monitors") as refusal:
        monitor_container("prod", "logs")
    assert "runbook:layout.monitoring true --stack prod" in refusal.value.hint
    assert "bin/runbook up --replace-infrastructure --stack prod" in refusal.value.hint


def test_monitors_that_are_gone_are_made_by_up(stack: FakeStack) -> None:
    """The stack has them by its settings."""
    with pytest.raises(RunbookError, match="there is no container runbook-dev-prometheus") as refusal:
        refuse_unless_running("dev")
    assert refusal.value.hint == "`bin/runbook up --stack dev` makes it"


@pytest.mark.parametrize(
    ("part", "status", "said", "hint"),
    [
        (
            "proxy",
            "exited",
            "runbook-dev-proxy is exited: nobody is served",
            "docker start runbook-dev-proxy",
        ),
        ("prometheus", "paused", "runbook-dev-prometheus is paused", "docker unpause runbook-dev-prometheus"),
    ],
)
def test_what_does_not_run_is_named(stack: FakeStack, part: str, status: str, said: str, hint: str) -> None:
    """A proxy that is down is an outage, not a Prometheus that does not answer."""
    stack.engine.containers.add("runbook-dev-prometheus")
    refuse_unless_running("dev")
    stack.engine.containers.get(f"runbook-dev-{part}").status = status
    with pytest.raises(RunbookError, match=said) as refusal:
        refuse_unless_running("dev")
    assert hint in refusal.value.hint
