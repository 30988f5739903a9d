"""What the Pulumi program declares: run with Pulumi's own mocks, without a CLI, a provider or an engine."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import set_all_config, set_mocks

PROJECT, STACK = "runbook", "dev-declared"
PREFIX = f"{PROJECT}-{STACK}"
SECRETS = {
    "REDIS_PASSWORD": "the-password-of-redis",
    "RELEASE_KEY": "the-key-of-the-releases",
    "WAHA_API_KEY": "the-key-of-the-api",
    "WAHA_WEBHOOK_SECRET": "the-secret-of-the-webhooks",
}


@dataclass(frozen=True)
class Declared:
    """One resource as the program registered it; `depends_on` are names of resources."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    depends_on: frozenset[str]


@dataclass
class DeclaredStack:
    """All that the program registered, in that order, and what it logged."""

    resources: list[Declared] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Declared:
        [found] = [each for each in self.resources if each.name == name]
        return found

    def of(self, kind: str) -> list[Declared]:
        """Those whose type ends with *kind*."""
        return [each for each in self.resources if each.type.endswith(f":{kind}")]

    def containers(self) -> list[Declared]:
        """Those that are started."""
        return [each for each in self.of("Container") if each.inputs.get("start", True)]


class _Outputs(pulumi_mocks.Mocks):
    """Every resource comes out as it went in."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs

    def call(self, args: pulumi_mocks.MockCallArgs) -> Any:
        known = {"pulumi:pulumi:readStackOutputs": {"outputs": dict(self._outputs)}}
        return known.get(args.token, {})

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> Any:
        made = {"value": "id-of-the-state"} if args.name == "stack-id" else {}
        return f"id-of-{args.name}", {**args.inputs, **made}


class _Recorder(pulumi_mocks.MockMonitor):
    """Notes the options too, which mocks are not shown, and applies the stack's transforms."""

    def __init__(self, mocks: pulumi_mocks.Mocks, stack: DeclaredStack) -> None:
        super().__init__(mocks)
        self._stack = stack

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        answer = super().RegisterResource(request)
        declared = Declared(
            type=request.type,
            name=request.name,
            inputs=_whole(pulumi.runtime.rpc.deserialize_properties(request.object)),
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            ignore_changes=tuple(request.ignoreChanges),
            depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
        )
        if request.type != "pulumi:pulumi:Stack":
            self._stack.resources.append(declared)
        return answer


def _whole(value: Any) -> Any:
    """On the wire all numbers are floating; a provider is given whole ones as such."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def declare(
    engine_host: str,
    *,
    stack: str = STACK,
    layout: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = SECRETS,
    request: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    preview: bool = False,
) -> DeclaredStack:
    """What the program declares for a dev stack; raises what the program raises."""
    declared = DeclaredStack()
    mocks = _Outputs(outputs or {})
    logger = logging.getLogger("declared")
    with _environment(engine_host, request), _logged(logger, declared.log), _event_loop():
        config = {"layout": {"sandbox": True, "images": "debian", **(layout or {})}, "env": dict(env or {})}
        if secrets is not None:
            config["secrets"] = {"current": dict(secrets), "retired": {}}

        def run() -> None:
            set_mocks(mocks, PROJECT, stack, preview, logger, _Recorder(mocks, declared))
            set_all_config({f"{PROJECT}:{key}": json.dumps(value) for key, value in config.items()})
            pulumi.runtime.test(lambda: runpy.run_module("infra", run_name="__main__") and None)()

        contextvars.copy_context().run(run)  # the stack, and what is registered with it, is the context's
    return declared


@contextmanager
def _event_loop() -> Iterator[None]:
    """Pulumi asks for the thread's loop; an earlier test's `asyncio.run` leaves none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        loop.close()


@contextmanager
def _environment(engine_host: str, request: Mapping[str, Any] | None) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= {
        "DOCKER_HOST": engine_host,
        **({"RUNBOOK_DEPLOY_REQUEST": json.dumps(request)} if request else {}),
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


@contextmanager
def _logged(logger: logging.Logger, lines: list[str]) -> Iterator[None]:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
