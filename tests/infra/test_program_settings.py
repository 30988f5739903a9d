"""What the program says of a configuration that it cannot go by."""

from __future__ import annotations

import pulumi
import pytest
import stamina
from declared_stack import SECRETS, STACK, declare
from fake_docker_api import fake_docker

from contracts.targets import TargetsError


def said_of(secrets: dict[str, str] | None) -> str:
    """The refusal of a stack with these *secrets*."""
    with fake_docker() as engine, pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, secrets=secrets)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["REDIS_PASSWORD", "RELEASE_KEY"])
def test_a_generated_secret_that_is_missing_beside_others_is_elsewhere(name: str) -> None:
    """Nothing generates it anew: the stack that runs has it."""
    said = said_of({key: value for key, value in SECRETS.items() if key != name})
    assert f"secrets.{name}: is missing; take Pulumi.{STACK}.yaml from git" in said
    assert "generates" not in said


def test_values_that_the_service_would_refuse_are_refused() -> None:
    """Before anything is deployed, each with its name, beside what is wrong with the names."""
    env = {"LOG_LEVEL": "WARNING", "MAX_BODY_BYTES": 1024, "WAHA_TYPING": False, "AI_MODEL": "", "PROT": 80}
    with fake_docker() as engine, pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, env=env)
    assert str(refusal.value).splitlines() == [
        "the release's configuration is wrong:",
        "  env.PROT: the service has no such setting",
        "  env.LOG_LEVEL: should be DEBUG or INFO, got 'WARNING'",
        "  env.MAX_BODY_BYTES: should be a number of bytes, 65536 to 2097152, got '1024'",
    ]


def test_a_request_that_cannot_be_read_is_told() -> None:
    """It is typed by hand where `bin/pulumi up` is to replace the proxy."""
    with fake_docker() as engine, pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, request={"replace-infrastructure": True})
    assert "RUNBOOK_DEPLOY_REQUEST: replace-infrastructure: Extra inputs are not permitted" in str(
        refusal.value
    )


def test_targets_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their own words, and not in a traceback."""

    def read_targets() -> None:
        raise TargetsError("targets.toml: watch: got 3")

    monkeypatch.setattr("infra.program.read_targets", read_targets)
    with fake_docker() as engine, pytest.raises(pulumi.RunError, match=r"^targets.toml: watch: got 3$"):
        declare(engine.host)


def test_a_secret_that_is_no_text_is_named() -> None:
    """No container's file could hold it as it is, and Pulumi says nothing that helps."""
    said = said_of({**SECRETS, "WAHA_API_KEY": "\udcff"})
    assert (
        f"secrets.WAHA_API_KEY: is not UTF-8 text; `bin/runbook secrets set WAHA_API_KEY --stack {STACK}`"
        in said
    )


def test_a_stack_without_any_secret_is_given_them_by_up() -> None:
    """Which sees whether the stack is new."""
    assert f"secrets: there are none; `bin/runbook up --stack {STACK}` generates them" in said_of(None)


def test_a_retry_is_not_told_to_the_operator() -> None:
    """A state that is just being written is read again: nothing that a warning should be about."""
    stamina.instrumentation.set_on_retry_hooks(None)
    try:
        with fake_docker() as engine:
            declare(engine.host)
        assert stamina.instrumentation.get_on_retry_hooks() == ()
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
