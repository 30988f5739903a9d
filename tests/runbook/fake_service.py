"""A worker's container, with or without a fake engine: answers commands as a test says, and records them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from docker.errors import NotFound
from fake_exec import FakeExecApi

from runbook.cli import main, run_command_line
from runbook.live_service import Service
from service.operating import arguments as operator_arguments


@dataclass
class FakeContainerExec:
    """`outputs`: exit code and output of each command in turn; the last for ever. `ran`: what was asked."""

    name: str = "runbook-dev-worker-1-r-1"
    outputs: list[tuple[int, str]] = field(default_factory=list)
    ran: list[list[str]] = field(default_factory=list)
    failure: Exception | None = None

    def run(self, command: list[str]) -> tuple[int, str]:
        self.ran.append(command)
        if self.failure is not None:
            raise self.failure
        return self.outputs.pop(0) if len(self.outputs) > 1 else self.outputs[0]

    @property
    def asked(self) -> list[str]:
        """The words after `python3 -m service` of each command."""
        assert all(command[:3] == ["python3", "-m", "service"] for command in self.ran)
        return [" ".join(command[3:]) for command in self.ran]


def answering(*answers: dict[str, Any]) -> FakeContainerExec:
    """A container whose service gives these answers in turn."""
    return FakeContainerExec(outputs=[(0, json.dumps(answer) + "\n") for answer in answers])


def service(inside: FakeContainerExec, releases: Sequence[str] = ("r-1",)) -> Service:
    """The service in it."""
    return Service(inside, tuple(releases))


def worked(
    count: int, left: int = 0, *, rest: dict[str, Any] | None = None, full: bool = False
) -> dict[str, Any]:
    """What the service answers to `queue replay` and `queue drop`."""
    return {"count": count, "is_full": full, "rest": rest, "left": left}


@dataclass
class Worker:
    """A container as the SDK has it, whose commands *inside* answers."""

    inside: FakeContainerExec
    release: str = "r-1"

    @property
    def name(self) -> str:
        return self.inside.name

    @property
    def id(self) -> str:
        return self.inside.name

    @property
    def labels(self) -> dict[str, str]:
        return {"runbook.role": "worker", "runbook.release": self.release}


@dataclass
class WorkerEngine:
    """What `docker.from_env` gives, with one worker of the live release; `stacks`: which were asked for."""

    worker: Worker
    stacks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = FakeExecApi(lambda _container, command: self.worker.inside.run(command))

    @property
    def containers(self) -> WorkerEngine:
        return self

    def list(self, filters: dict[str, str], **_more: bool) -> list[Worker]:
        self.stacks.append(filters["label"])
        return [self.worker]

    def get(self, name: str) -> Worker:
        if name != self.worker.name:
            raise NotFound(f"no such container: {name}")
        return self.worker


def typed(monkeypatch: pytest.MonkeyPatch, inside: FakeContainerExec, *words: str) -> int:
    """Run `bin/runbook` with *words* on an engine whose one worker is *inside*; the exit code."""
    engine = WorkerEngine(Worker(inside))
    monkeypatch.setattr("docker.from_env", lambda: engine)
    code = exit_code(*words)
    assert set(engine.stacks) <= {"runbook.stack=dev"}
    for command in inside.ran:
        operator_arguments.parser().parse_args(command[3:])  # what the service does not take ends the test
    return code


def exit_code(*words: str) -> int:
    """What the command line of *words* ends with."""
    try:
        main(partial(run_command_line, list(words)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
