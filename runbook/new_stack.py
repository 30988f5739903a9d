"""A stack's first configuration: the generated secrets, and in dev stacks the sandbox and its secrets."""

from __future__ import annotations

import secrets

from infra.stack_config import GENERATED
from runbook.console import say
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace

SANDBOX_SECRETS = ("WAHA_API_KEY", "WAHA_WEBHOOK_SECRET", "RESEND_API_KEY")
_SANDBOX_DSN = "http://sandbox@sandbox:9000/sentry/1"


def ensure_stack(workspace: Workspace) -> None:
    """Make the stack if there is none, and the secrets that every stack has."""
    if not workspace.exists():
        say(f"making stack {workspace.stack}")
        workspace.create()
    ensure_secrets(workspace)


def ensure_secrets(workspace: Workspace) -> None:
    """Generate what every stack has, unless its configuration has secrets already."""
    if workspace.is_set("secrets"):
        return
    fresh = {name: secrets.token_urlsafe(32) for name in GENERATED}
    if is_dev(workspace.stack):
        fresh |= {name: secrets.token_urlsafe(32) for name in SANDBOX_SECRETS} | {"SENTRY_DSN": _SANDBOX_DSN}
        workspace.set("layout.sandbox", "true", path=True)
    say(f"generating secrets of stack {workspace.stack}: {', '.join(fresh)}")
    workspace.keep_secrets({"current": fresh, "retired": {}})
