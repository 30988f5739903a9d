"""`StackId`: tells what this state has made from what another checkout's stack of the same name has.

It is the first resource of a stack: its value, made once and kept in the state, is a label of every container
and network. What carries another value is somebody else's and is left alone.
"""

from __future__ import annotations

import secrets
from typing import Any

import docker
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from infra.errors import Refused
from infra.observed import STACK_LABEL, removal_by_hand, stack_containers

STATE_LABEL = "runbook.state"
NAME = "stack-id"


class StackIdProvider(ResourceProvider):
    """Makes the id, unless the engine has a stack of this name that this state knows nothing of."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make it.

        Raises:
            Refused: another checkout has a stack of this name on this engine.
        """
        if not props["is_known"]:
            refuse_foreign(props["stack"], docker.from_env())
        value = secrets.token_hex(8)
        return CreateResult(value, {**props, "value": value})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never: it is the state's for as long as there is one."""
        return DiffResult(changes=False)


class StackId(Resource):
    """The id, as `value`."""

    value: pulumi.Output[str]

    def __init__(self, stack: str, *, is_known: bool) -> None:
        """*is_known*: the state had this stack before it had an id."""
        super().__init__(StackIdProvider(), NAME, {"stack": stack, "is_known": is_known, "value": None})


def refuse_foreign(stack: str, engine: docker.DockerClient) -> None:
    """See that the engine has nothing of a *stack* of this name."""
    networks = engine.networks.list(filters={"label": f"{STACK_LABEL}={stack}"})
    names = [str(each.name) for each in stack_containers(stack, engine)]
    found = [*names, *(str(network.name) for network in networks)]
    if found:
        raise Refused(
            f"this engine has a stack {stack} that is not in this checkout's state: {', '.join(found[:3])}"
            f"{' …' if len(found) > 3 else ''}",
            "deploy it from the checkout (or state backend) that made it, or make another with --stack; if "
            f"that state is lost: {removal_by_hand(stack)}, then `bin/runbook up`; nobody is served "
            "meanwhile, and the volumes with the data stay",
        )
