"""The containers of a stack's monitors: found, or said how to have them."""

from __future__ import annotations

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from infra.observed import start_command
from infra.stack_name import prefix_of
from runbook.errors import RunbookError
from runbook.layout import layout_of
from runbook.workspace import configuration_file, no_stack


def monitor_container(stack: str, part: str) -> Container:
    """The one that is named `part`, running or not.

    Raises:
        RunbookError: there is none; the hint says what makes it.
    """
    name = f"{prefix_of(stack)}-{part}"
    try:
        return docker.from_env().containers.get(name)
    except NotFound:
        pass
    if not configuration_file(stack).is_file():
        raise no_stack(stack)
    if layout_of(stack).monitoring:
        raise RunbookError(f"there is no container {name}", f"`bin/runbook up --stack {stack}` makes it")
    raise RunbookError(
        f"stack {stack} has no monitors",
        f"`bin/pulumi config set --path runbook:layout.monitoring true --stack {stack}`, then "
        f"`bin/runbook up --replace-infrastructure --stack {stack}`",
    )


def refuse_unless_running(stack: str) -> None:
    """Raise a RunbookError where proxy or Prometheus does not run: then nobody answers for the monitors."""
    proxy, prometheus = (monitor_container(stack, part) for part in ("proxy", "prometheus"))
    for each, meaning in ((proxy, ": nobody is served, and no monitor can be asked"), (prometheus, "")):
        if each.status != "running":
            raise RunbookError(f"{each.name} is {each.status}{meaning}", f"`{start_command(each)}`")
