"""A stack without Pulumi: what the verbs ask of `runbook.workspace.Workspace`, kept in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engine_events import event

from infra.deploy_request import DeployRequest
from infra.stack_settings import REDIS_PASSWORD, RELEASE_KEY
from runbook.operation import OnEvent

KEY = "the key"
"""What `stack_with` hashes the secrets with."""


@dataclass
class FakeWorkspace:
    """`events` are what each operation tells, `failure` what it ends in; `calls` says what was asked for.

    `requests` are those that updates were given, `targets` what each might touch, `refreshed` what each
    refresh looked at. `config` holds the configuration by key, `state` the deployment, `found_outputs` the
    stack's outputs.
    """

    stack: str = "dev"
    state_folder: Path | None = None
    is_made: bool = True
    config: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    found_outputs: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    failure: BaseException | None = None
    calls: list[str] = field(default_factory=list)
    requests: list[DeployRequest] = field(default_factory=list)
    targets: list[tuple[str, ...]] = field(default_factory=list)
    refreshed: list[tuple[str, ...]] = field(default_factory=list)

    def exists(self) -> bool:
        return self.is_made

    def create(self) -> None:
        self.calls.append("create")
        self.is_made = True

    def up(self, on_event: OnEvent, request: DeployRequest, targets: Sequence[str] = ()) -> None:
        self.requests.append(request)
        self.targets.append(tuple(targets))
        self._operate("up", on_event)

    def preview(self, on_event: OnEvent, request: DeployRequest | None = None) -> None:
        if request:
            self.requests.append(request)
        self._operate("preview", on_event)

    def refresh(self, on_event: OnEvent, targets: Sequence[str] = ()) -> None:
        self.refreshed.append(tuple(targets))
        self._operate("refresh", on_event)

    def destroy(self, on_event: OnEvent) -> None:
        self._operate("destroy", on_event)

    def unprotect(self) -> None:
        self.calls.append("unprotect")

    def remove(self) -> None:
        self.calls.append("remove")
        self.is_made = False

    def outputs(self) -> dict[str, Any]:
        return self.found_outputs

    def export(self) -> dict[str, Any]:
        return self.state

    def deployment(self) -> dict[str, Any]:
        return self.state

    def without_pending(self) -> None:
        self.calls.append("without_pending")
        self.state = {**self.state, "pending_operations": []}

    def sort(self) -> None:
        self.calls.append("sort")

    def cancel(self) -> None:
        self.calls.append("cancel")

    def get(self, key: str) -> str | None:
        return self.config.get(key)

    def set(self, key: str, value: str, *, secret: bool = False, path: bool = False) -> None:
        self.config[key] = value

    def is_set(self, key: str) -> bool:
        return key in self.config

    def unset(self, key: str) -> None:
        del self.config[key]

    def secrets(self) -> dict[str, dict[str, str]]:
        kept = json.loads(self.config.get("secrets", "{}"))
        return {"current": kept.get("current", {}), "retired": kept.get("retired", {})}

    def keep_secrets(self, kept: dict[str, dict[str, str]]) -> None:
        self.set("secrets", json.dumps(kept), secret=True)

    def _operate(self, operation: str, on_event: OnEvent) -> None:
        self.calls.append(operation)
        for data in self.events:
            on_event(event(data))
        if self.failure is not None:
            raise self.failure


def stack_with(**current: str) -> FakeWorkspace:
    """A stack that has the generated secrets and those given, and nothing deployed."""
    workspace = FakeWorkspace()
    workspace.keep_secrets({"current": {RELEASE_KEY: KEY, REDIS_PASSWORD: "pw", **current}, "retired": {}})
    return workspace


def changed_as_a_file(workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let each change read and write the whole configuration, as the CLI does; set when the first has read.

    Of two at once, each goes on from what neither has written.
    """
    is_read, both = threading.Event(), threading.Barrier(2)

    def set_(key: str, value: str, *, secret: bool = False, path: bool = False) -> None:
        whole = dict(workspace.config)
        is_read.set()
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        workspace.config = {**whole, key: value}

    monkeypatch.setattr(workspace, "set", set_)
    return is_read
