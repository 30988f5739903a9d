"""A stack's configuration: read once from Pulumi's, all problems together."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pydantic import ValidationError

from infra.errors import Refused, encodable
from infra.stack_name import name_stack
from infra.stack_settings import GENERATED, StackSettings, layout_problems, stack_name_problem


@dataclass(frozen=True)
class StackConfig:
    """A stack's whole configuration.

    `secrets` (name to value) and `retired` (keyed hash to value) come from the one encrypted key `secrets`,
    a JSON object with `current` and `retired`; they go only into secret outputs and keyed hashes.
    """

    stack: str
    layout: StackSettings
    env: dict[str, str]
    secrets: dict[str, str]
    retired: dict[str, str]

    @property
    def prefix(self) -> str:
        """What the names of the stack's containers, volumes and networks begin with."""
        return f"{pulumi.get_project()}-{self.stack}"


def for_this_stack(text: str) -> str:
    """*text* for people, with this stack named in each command: `bin/pulumi` shows it as it is."""
    organization, stack = pulumi.get_organization() or "organization", pulumi.get_stack()
    is_local = organization == "organization"
    return name_stack(text, stack if is_local else f"{organization}/{pulumi.get_project()}/{stack}")


def read_stack_config() -> StackConfig:
    """Read the stack's configuration.

    Raises:
        Refused: a message naming every wrong key with its value, and what to do.
    """
    config = pulumi.Config()
    problems = [problem] if (problem := stack_name_problem(pulumi.get_stack())) else []
    layout = _layout(config, problems)
    env = _strings(config.get_object("env"), "env", problems)
    kept = config.get_object("secrets") or {}
    secrets = _strings(kept.get("current"), "secrets.current", problems)
    retired = _strings(kept.get("retired"), "secrets.retired", problems)
    if kept:
        source = f"take Pulumi.{pulumi.get_stack()}.yaml from git or the checkout that deploys the stack"
        missing = [name for name in GENERATED if not secrets.get(name)]
        problems += [f"secrets.{name}: is missing; {source}" for name in missing]
        problems += [
            f"secrets.{name}: is not UTF-8 text; `bin/runbook secrets set {name}`"
            for name, value in secrets.items()
            if encodable(value) != value
        ]
    else:
        problems.append("secrets: there are none; `bin/runbook up` generates them")
    if problems:
        raise Refused("the stack's configuration is wrong:\n  " + "\n  ".join(problems))
    return StackConfig(
        stack=pulumi.get_stack(),
        layout=layout,
        env=env,
        secrets=secrets,
        retired=retired,
    )


def _layout(config: pulumi.Config, problems: list[str]) -> StackSettings:
    try:
        return StackSettings.model_validate(config.get_object("layout") or {})
    except ValidationError as error:
        problems.extend(layout_problems(error))
        return StackSettings()


def _strings(found: object, key: str, problems: list[str]) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        problems.append(f"{key}: should be a map of names to values")
        return {}
    for name, value in found.items():
        if not isinstance(value, str | int | float | bool):
            problems.append(f"{key}.{name}: should be a string")
    return {name: value if isinstance(value, str) else _scalar(value) for name, value in found.items()}


def _scalar(value: object) -> str:
    """Pulumi reads `true` and `60` in YAML as such; the environment has only strings."""
    return str(value).lower() if isinstance(value, bool) else str(value)
