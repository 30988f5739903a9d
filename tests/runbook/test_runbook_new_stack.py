from __future__ import annotations

import pytest
from fake_engine import FakeEngine
from fake_workspace import FakeWorkspace

from infra.stack_settings import GENERATED
from runbook.errors import RunbookError
from runbook.new_stack import ensure_secrets, ensure_stack


def test_a_dev_stack_is_made_with_all_that_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its sandbox, the sandbox's secrets and the generated ones; names are said, values are not."""
    workspace = FakeWorkspace("dev-7", is_made=False)
    ensure_stack(workspace, FakeEngine())
    assert workspace.calls == ["create"]
    assert workspace.config["layout.sandbox"] == workspace.config["layout.monitoring"] == "true"
    current = workspace.secrets()["current"]
    sandbox = {"WAHA_API_KEY", "WAHA_WEBHOOK_SECRET", "RESEND_API_KEY", "SENTRY_DSN"}
    assert current.keys() == {*GENERATED, *sandbox}
    said = capsys.readouterr().err
    assert "making stack dev-7" in said
    assert all(name in said and value not in said for name, value in current.items())


def test_another_stack_has_no_sandbox() -> None:
    """Its secrets for the outside are the operator's to set."""
    workspace = FakeWorkspace("production", is_made=False)
    ensure_stack(workspace, FakeEngine())
    assert workspace.config.keys() == {"secrets"}
    assert workspace.secrets()["current"].keys() == set(GENERATED)


def test_generated_values_are_long_and_each_another() -> None:
    """Nobody guesses them."""
    first, second = FakeWorkspace(), FakeWorkspace()
    ensure_stack(first, FakeEngine())
    ensure_stack(second, FakeEngine())
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
    ensure_stack(workspace, FakeEngine())
    before = dict(workspace.config)
    capsys.readouterr()
    ensure_stack(workspace, FakeEngine())
    assert workspace.config == before
    assert workspace.calls == []
    assert capsys.readouterr().err == ""


def test_one_that_was_killed_half_way_goes_on() -> None:
    """A stack without secrets is given them: the secrets come last, and all at once."""
    workspace = FakeWorkspace(is_made=True, config={"layout.sandbox": "true"})
    ensure_stack(workspace, FakeEngine())
    assert workspace.is_set("secrets")


@pytest.mark.parametrize(
    ("resources", "containers", "what"),
    [
        (
            [{"type": "pulumi:pulumi:Stack"}, {"type": "docker:index/network:Network"}],
            [],
            "has 1 resources in",
        ),
        ([], ["runbook-dev-redis"], "has 1 containers on this engine"),
    ],
)
def test_a_stack_that_runs_is_given_no_other_secrets(
    resources: list[dict[str, str]], containers: list[str], what: str
) -> None:
    """A checkout without its configuration would lock Redis and every release out; it is told which file."""
    workspace, engine = FakeWorkspace(state={"resources": resources}), FakeEngine()
    for name in containers:
        engine.containers.add(name)
    with pytest.raises(
        RunbookError, match=f"Pulumi.dev.yaml has no secrets, but stack dev {what}"
    ) as refusal:
        ensure_secrets(workspace, engine)
    assert "take Pulumi.dev.yaml from git or from the checkout" in refusal.value.hint
    assert not workspace.is_set("secrets")


def test_a_name_that_no_host_can_have_makes_no_stack() -> None:
    """The longest that can be resolved is one; with an organization and a project, too."""
    longest = "dev-" + "x" * 34
    ensure_stack(FakeWorkspace(f"acme/runbook/{longest}", is_made=False), FakeEngine())
    assert len(f"runbook-{longest}-web-32-r-1234567") == 63
    workspace = FakeWorkspace(f"{longest}x", is_made=False)
    with pytest.raises(RunbookError, match="has 39 characters, 38 at most"):
        ensure_stack(workspace, FakeEngine())
    assert workspace.calls == []


def test_monitors_that_are_off_stay_off() -> None:
    """What the stack's file says comes first."""
    workspace = FakeWorkspace("dev-7", config={"layout.monitoring": "false"})
    ensure_stack(workspace, FakeEngine())
    assert workspace.config["layout.monitoring"] == "false"
