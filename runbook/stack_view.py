"""A stack as state and engine together show it: what every verb that speaks of releases goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from docker.errors import DockerException

from infra.history import History, read_records
from infra.observed import observe_stack
from infra.release_record import ReleaseRecord
from runbook.console import say
from runbook.workspace import Workspace


def read_history(workspace: Workspace, outputs: Mapping[str, Any] | None = None) -> History:
    """The releases of the stack; what is live is what the proxy serves. Says where the state disagrees.

    Where the engine cannot be asked, they are as the state has them, which is said too.
    """
    outputs = workspace.outputs() if outputs is None else outputs
    try:
        history = History.of(outputs, observe_stack(workspace.stack))
    except (DockerException, requests.RequestException) as error:
        say(f"warning: the engine cannot be asked what is live ({error}): this is what the state says")
        return History.in_state(outputs)
    if history.disagreement:
        say(f"warning: {history.disagreement}; the next `bin/runbook up` or `rollback` puts that right")
    return history


def refused_in(deployment: Mapping[str, Any]) -> tuple[ReleaseRecord, ...]:
    """The records of releases that did not pass their trial, from a stack's state, oldest first."""
    for resource in deployment.get("resources") or []:
        if resource["urn"].endswith("pulumi-python:dynamic:Resource::trial"):
            return read_records((resource.get("outputs") or {}).get("refused"))
    return ()
