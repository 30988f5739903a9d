"""The environment that is checked: a stack's configuration, a file's, or this process's own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from infra.components.sandbox_app import ENVIRONMENT as SANDBOX_ENVIRONMENT
from infra.plan import MADE
from runbook.checklist.addresses import is_sandbox
from runbook.checklist.line import Skipped
from runbook.errors import RunbookError
from runbook.new_stack import SANDBOX_SECRETS
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace
from service.settings import ENVIRONMENT_NAMES

_BESIDE = ("CLERK_API_URL",)
"""What is read here and nowhere in the service."""


@dataclass(frozen=True)
class Given:
    """An environment, by name; `source` says whose.

    `made` are names whose value an update makes itself. `sandbox_url` and `live_url` are those of a stack
    that is deployed.
    """

    values: Mapping[str, str]
    source: str
    is_live: bool
    made: frozenset[str] = frozenset()
    sandbox_url: str | None = None
    live_url: str | None = None

    def get(self, name: str) -> str | None:
        """The value; None where it is not set, or empty."""
        return self.values.get(name) or None

    def reached(self, url: str) -> str:
        """Where *url* is reached from this machine: the sandbox's is one on a stack's own network.

        Raises:
            Skipped: the sandbox does not run.
        """
        if not is_sandbox(url):
            return url
        if self.sandbox_url is None:
            raise Skipped("the sandbox does not run yet: `bin/runbook up` starts it")
        return self.sandbox_url + urlsplit(url).path


def of_stack(workspace: Workspace) -> Given:
    """The environment of the release that the next update of a stack would deploy.

    Raises:
        RunbookError: the stack's configuration cannot be read.
    """
    layout, plain = _object(workspace, "layout"), _object(workspace, "env")
    outputs = workspace.outputs()
    env = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in plain.items()
    }
    return Given(
        values={
            **(SANDBOX_ENVIRONMENT if layout.get("sandbox") is True else {}),
            **env,
            **workspace.secrets()["current"],
        },
        source=f"the configuration of stack {workspace.stack}",
        is_live=not is_dev(workspace.stack),
        made=frozenset(MADE),
        sandbox_url=outputs.get("sandbox_url"),
        live_url=outputs.get("url"),
    )


def of_new_stack(stack: str, env: Mapping[str, str] | None = None) -> Given:
    """This process's environment (or *env*); for a dev stack over that which `up` would make for it."""
    named = _named(os.environ if env is None else env)
    if not is_dev(stack):
        return Given(named, "this process's environment", is_live=True)
    made = frozenset({*MADE, *SANDBOX_SECRETS, "SENTRY_DSN"}) - named.keys()
    values = {**SANDBOX_ENVIRONMENT, **named}
    return Given(values, "this process's environment, and what `up` makes", is_live=False, made=made)


def of_file(file: Path, stack: str) -> Given:
    """The environment that a file of `NAME=value` lines gives.

    Raises:
        RunbookError: it, or a file that one of its NAME_FILE lines names, cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise RunbookError(f"--env-file {file}: {reason}", "name a readable file") from error
    read = dotenv_values(stream=StringIO(text), interpolate=False)
    values = {name: value.replace("\0", "") for name, value in read.items() if value is not None}
    return Given(_named(values), str(file), is_live=not is_dev(stack))


def beside(given: Given, found: Given) -> Given:
    """*given*, asked where *found*, a stack that is deployed, has its parts."""
    return replace(given, sandbox_url=found.sandbox_url, live_url=found.live_url)


def _named(env: Mapping[str, str]) -> dict[str, str]:
    """What of *env* is the service's; a value may stand in a file that NAME_FILE names."""
    found: dict[str, str] = {}
    for name in (*ENVIRONMENT_NAMES, *_BESIDE):
        if value := env.get(name):
            found[name] = value
        elif file := env.get(f"{name}_FILE"):
            try:
                found[name] = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
                raise RunbookError(f"{name}_FILE: {file}: {reason}", "name a readable file") from error
    return found


def _object(workspace: Workspace, key: str) -> dict[str, Any]:
    """A map in the stack's configuration; empty where there is none."""
    if not workspace.is_set(key):
        return {}
    try:
        found = json.loads(workspace.get(key) or "{}")
        return dict(found)
    except (ValueError, TypeError) as error:
        raise RunbookError(
            f"the configuration `{key}` of stack {workspace.stack!r} is no map of names to values",
            f"mend it: `bin/pulumi config set --path runbook:{key}.NAME VALUE`",
        ) from error
