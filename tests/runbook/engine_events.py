"""Events of Pulumi's engine, as its log has them."""

from __future__ import annotations

import json
from typing import Any

from pulumi.automation import EngineEvent

_PARENTS = "urn:pulumi:dev::runbook::"
CONTAINER = "docker:index/container:Container"
STACK = "pulumi:pulumi:Stack"


def urn(name: str, kind: str = CONTAINER) -> str:
    """The URN of a resource that a component holds."""
    return f"{_PARENTS}runbook:infra:Release${kind}::{name}"


def pre(op: str, name: str, kind: str = CONTAINER) -> dict[str, Any]:
    """A step begins."""
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": urn(name, kind), "type": kind}}}


def done(op: str, name: str, kind: str = CONTAINER, **state: Any) -> dict[str, Any]:
    """A step has ended well; *state* is what the resource is now."""
    new = {"new": state} if state else {}
    return {"resOutputsEvent": {"metadata": {"op": op, "urn": urn(name, kind), "type": kind, **new}}}


def failed(op: str, name: str) -> dict[str, Any]:
    """A step has failed."""
    return {"resOpFailedEvent": {"metadata": {"op": op, "urn": urn(name), "type": CONTAINER}}}


def outputs(values: dict[str, Any]) -> dict[str, Any]:
    """The stack's outputs, at the end of an update."""
    state = {"type": STACK, "urn": urn("runbook-dev", STACK), "outputs": values}
    return {"resOutputsEvent": {"metadata": {"op": "same", "urn": state["urn"], "type": STACK, "new": state}}}


def diagnostic(severity: str, message: str, *, ephemeral: bool = False) -> dict[str, Any]:
    """Something that the engine, the program or a provider says."""
    return {
        "diagnosticEvent": {
            "severity": severity,
            "message": f"<{{%reset%}}>{message}<{{%reset%}}>\n",
            "prefix": f"<{{%fg 9%}}>{severity}: <{{%reset%}}>",
            "ephemeral": ephemeral,
        }
    }


def event(data: dict[str, Any]) -> EngineEvent:
    """What the SDK makes of a line of the log."""
    return EngineEvent.from_json(json.loads(json.dumps(data)))
