"""A stack's first configuration: the generated secrets, and in dev stacks the sandbox and its secrets."""

from __future__ import annotations

import secrets

from infra.stack_config import GENERATED
from runbook.console import say
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace

_SANDBOX_SECRETS = ("WAHA_API_KEY", "WAHA_WEBHOOK_SECRET")


def ensure_stack(workspace: Workspace) -> None:
    """Make the stack if there is none, and the secrets that it lacks; keep all that is set."""
    if not workspace.exists():
        say(f"making stack {workspace.stack}")
        workspace.create()
    kept = workspace.secrets()
    wanted = [*GENERATED, *(_SANDBOX_SECRETS if is_dev(workspace.stack) else ())]
    missing = [name for name in wanted if name not in kept["current"]]
    if not missing:
        return
    say(f"generating secrets of stack {workspace.stack}: {', '.join(missing)}")
    if is_dev(workspace.stack):
        workspace.set("layout.sandbox", "true", path=True)
    fresh = {name: secrets.token_urlsafe(32) for name in missing}
    workspace.keep_secrets({**kept, "current": {**kept["current"], **fresh}})
