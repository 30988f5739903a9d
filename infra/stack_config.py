"""What an operator sets for a stack: read once from Pulumi's configuration, all problems together."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.base_images import Mode

REDIS_PASSWORD = "REDIS_PASSWORD"  # noqa: S105 - the name of a secret
RELEASE_KEY = "RELEASE_KEY"
"""Keys the hashes of secrets in a release's id, so that an id says nothing about a secret's value."""
GENERATED = (REDIS_PASSWORD, RELEASE_KEY)
"""Secrets that only the infrastructure uses; made for a stack when it is made."""


class Layout(BaseModel):
    """`pulumi config` keys of the project, with their defaults. Ports are on `bind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Mode = Mode.AUTO
    sandbox: bool = False
    bind: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    candidate_port: int = Field(default=8081, ge=1, le=65535)
    sandbox_port: int = Field(default=8082, ge=1, le=65535)
    baseline_port: int = Field(default=8083, ge=1, le=65535)
    keep_releases: int = Field(default=2, ge=0, le=10)
    alertmanager_url: str = ""
    web_replicas: int = Field(default=2, ge=1, le=32)
    worker_replicas: int = Field(default=1, ge=1, le=32)
    web_memory_mb: int = Field(default=256, ge=64)
    worker_memory_mb: int = Field(default=256, ge=64)

    @property
    def url(self) -> str:
        """Where the public frontend answers, from this machine."""
        everywhere = self.bind == "0.0.0.0"  # noqa: S104 - what the operator may have set
        return f"http://{'127.0.0.1' if everywhere else self.bind}:{self.port}"

    @model_validator(mode="after")
    def _ports_differ(self) -> Layout:
        ports = [self.port, self.candidate_port, self.baseline_port]
        ports += [self.sandbox_port] if self.sandbox else []
        if len(set(ports)) < len(ports):
            raise ValueError(f"port, candidate_port, baseline_port, sandbox_port should differ, got {ports}")
        return self


@dataclass(frozen=True)
class StackConfig:
    """A stack's whole configuration.

    `secrets` (name to value) and `retired` (keyed hash to value) come from the one encrypted key `secrets`,
    a JSON object with `current` and `retired`; they go only into secret outputs and keyed hashes.
    """

    stack: str
    layout: Layout
    env: dict[str, str]
    secrets: dict[str, str]
    retired: dict[str, str]

    @property
    def prefix(self) -> str:
        """What the names of the stack's containers, volumes and networks begin with."""
        return f"{pulumi.get_project()}-{self.stack}"


def read_stack_config() -> StackConfig:
    """Read the stack's configuration.

    Raises:
        pulumi.RunError: a message naming every wrong key with its value, and what to do.
    """
    config = pulumi.Config()
    problems: list[str] = []
    layout = _layout(config, problems)
    env = _strings(config.get_object("env"), "env", problems)
    kept = config.get_object("secrets") or {}
    secrets = _strings(kept.get("current"), "secrets.current", problems)
    retired = _strings(kept.get("retired"), "secrets.retired", problems)
    for name in GENERATED:
        if not secrets.get(name):
            problems.append(f"secrets.{name}: is missing; `bin/runbook up` generates it")
    if problems:
        raise pulumi.RunError("the stack's configuration is wrong:\n  " + "\n  ".join(problems))
    return StackConfig(
        stack=pulumi.get_stack(),
        layout=layout,
        env=env,
        secrets=secrets,
        retired=retired,
    )


def _layout(config: pulumi.Config, problems: list[str]) -> Layout:
    try:
        return Layout.model_validate(config.get_object("layout") or {})
    except ValidationError as error:
        problems.extend(layout_problems(error))
        return Layout()


def layout_problems(error: ValidationError) -> list[str]:
    """A line for each thing that is wrong with a layout: its key, why, its value."""
    return [
        f"layout{''.join(f'.{part}' for part in found['loc'])}: {found['msg']}, got {found['input']!r}"
        for found in error.errors()
    ]


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
