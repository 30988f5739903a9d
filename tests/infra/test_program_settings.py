"""What the program says of a configuration that it cannot go by."""

from __future__ import annotations

import pulumi
import pytest
from declared_stack import SECRETS, STACK, declare
from fake_docker_api import fake_docker


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
