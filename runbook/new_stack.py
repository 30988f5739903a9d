"""A stack's first configuration: the generated secrets, and in dev stacks the sandbox and its secrets."""

from __future__ import annotations

import secrets

import docker
from docker.errors import DockerException

from infra.observed import stack_containers
from infra.stack_name import bare_name
from infra.stack_settings import GENERATED, stack_name_problem
from runbook.console import say
from runbook.errors import RunbookError
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace, configuration_file

SANDBOX_SECRETS = ("WAHA_API_KEY", "WAHA_WEBHOOK_SECRET", "RESEND_API_KEY")
_SANDBOX_DSN = "http://sandbox@sandbox:9000/sentry/1"


def ensure_stack(workspace: Workspace, engine: docker.DockerClient | None = None) -> None:
    """Make the stack if there is none, and the secrets that every stack has.

    Raises:
        RunbookError: no stack can have that name, or it runs with secrets that are not known here.
    """
    if problem := stack_name_problem(bare_name(workspace.stack)):
        raise RunbookError(problem, "give a shorter one with --stack")
    if not workspace.exists():
        say(f"making stack {workspace.stack}")
        workspace.create()
    ensure_secrets(workspace, engine)


def ensure_secrets(workspace: Workspace, engine: docker.DockerClient | None = None) -> None:
    """Generate what every stack has, unless its configuration has secrets already.

    Raises:
        RunbookError: the stack is there already, with secrets that this checkout does not have.
    """
    if workspace.is_set("secrets"):
        return
    if there := _what_is_there(workspace, engine):
        file = configuration_file(workspace.stack).name
        raise RunbookError(
            f"{file} has no secrets, but stack {workspace.stack} {there}: new ones would not be those that "
            "its Redis and its releases have",
            f"take {file} from git or from the checkout that deploys the stack; or is `--stack` wrong?",
        )
    fresh = {name: secrets.token_urlsafe(32) for name in GENERATED}
    if is_dev(workspace.stack):
        fresh |= {name: secrets.token_urlsafe(32) for name in SANDBOX_SECRETS} | {"SENTRY_DSN": _SANDBOX_DSN}
        workspace.set("layout.sandbox", "true", path=True)
        if not workspace.is_set("layout.monitoring"):
            workspace.set("layout.monitoring", "true", path=True)
    say(f"generating secrets of stack {workspace.stack}: {', '.join(fresh)}")
    workspace.keep_secrets({"current": fresh, "retired": {}})


def _what_is_there(workspace: Workspace, engine: docker.DockerClient | None) -> str:
    """What there is of the stack, in words; empty where it has only been made."""
    kinds = (str(each.get("type")) for each in workspace.export().get("resources") or [])
    if made := [kind for kind in kinds if not kind.startswith("pulumi:")]:
        return f"has {len(made)} resources in its state"
    try:
        found = stack_containers(workspace.stack, engine or docker.from_env())
    except DockerException:  # `secrets set` may come before there is an engine
        return ""
    return f"has {len(found)} containers on this engine" if found else ""
