"""Faults on demand: what is wrong with a service now, and the layer that makes it so.

A fault acts before the service does anything, so that a request it hits has no effect. With `after` it acts
on the answer only: the message is sent (and recorded), but the caller waits, gets an error, or hears nothing.
A caller that gives up during a `latency_ms` without `after` has caused nothing either.

With `hosts` a fault hits only requests that come from one of these names, or addresses: for the others
nothing is wrong. The names are looked up as the requests come (`sandbox.hosts`); one that cannot be resolved
matches nobody. A service has one fault at a time: a new one replaces the old, whichever hosts each is for.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, fields
from typing import Any, Self

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.hosts import Hosts

CLOSE_EXTENSION = "sandbox.close"
"""The ASGI extension through which the server lets a fault close the connection (see `sandbox.server`)."""

MAX_LATENCY_MS = 600_000
MAX_HOSTS = 100


class FaultError(Exception):
    """A fault or a service that does not exist; the message names the offending part."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one service: `latency_ms`, at most one of `status`, `hang` and `down`, or both.

    `hosts`: for whom; empty for everybody.
    """

    latency_ms: int = 0
    status: int | None = None
    hang: bool = False
    down: bool = False
    after: bool = False
    hosts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: object) -> Self:
        """A fault from its JSON object.

        Raises:
            FaultError: naming the unknown field, the wrong value or the contradiction.
        """
        if not isinstance(raw, dict):
            raise FaultError(f"a fault should be a JSON object, got {raw!r}")
        for name, value in raw.items():
            _check(name, value)
        fault = cls(**{**raw, "hosts": tuple(raw.get("hosts", ()))})
        effects = [name for name in ("status", "hang", "down") if raw.get(name)]
        if len(effects) > 1:
            raise FaultError(f"{' and '.join(effects)} exclude each other: set one")
        if not effects and not fault.latency_ms:
            raise FaultError("a fault needs at least one of latency_ms, status, hang, down")
        return fault

    def to_json(self) -> dict[str, Any]:
        """The fields that differ from no fault."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


def _check(name: str, value: object) -> None:
    if name not in _EXPECTED:
        raise FaultError(f"unknown field {name!r}: a fault has {', '.join(_EXPECTED)}")
    expected, holds = _EXPECTED[name]
    if not holds(value):
        raise FaultError(f"{name}: should be {expected}, got {value!r}")


def _whole(low: int, high: int) -> tuple[str, Any]:
    return f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high


def _are_hosts(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= MAX_HOSTS
        and all(isinstance(name, str) and 0 < len(name) <= 253 for name in value)
    )


_FLAG = ("true or false", lambda value: isinstance(value, bool))
_EXPECTED: dict[str, tuple[str, Any]] = {
    "latency_ms": _whole(0, MAX_LATENCY_MS),
    "status": _whole(400, 599),
    "hang": _FLAG,
    "down": _FLAG,
    "after": _FLAG,
    "hosts": (f"a list of 1 to {MAX_HOSTS} host names or addresses", _are_hosts),
}


class Faults:
    """The faults of a fixed set of services."""

    def __init__(self, services: list[str], hosts: Hosts | None = None) -> None:
        self._services = services
        self._hosts = hosts or Hosts()
        self._faults: dict[str, Fault] = {}

    def set(self, service: str, fault: Fault) -> None:
        """Replace the fault of *service*.

        Raises:
            FaultError: there is no such service.
        """
        self._faults[self._known(service)] = fault

    def end(self, service: str) -> None:
        """End the fault of *service*, if it has one.

        Raises:
            FaultError: there is no such service.
        """
        self._faults.pop(self._known(service), None)

    async def of(self, service: str, address: str) -> Fault | None:
        """The fault that *service* has now for a request from *address*."""
        fault = self._faults.get(service)
        if fault and fault.hosts and not await self._hosts.include(fault.hosts, address):
            return None
        return fault

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Service to fault, only those that have one."""
        return {service: fault.to_json() for service, fault in self._faults.items()}

    def _known(self, service: str) -> str:
        if service not in self._services:
            raise FaultError(f"unknown service {service!r}: there are {', '.join(self._services)}")
        return service


class Faulty:
    """ASGI layer: one service, behind the fault it has at the time of the request."""

    def __init__(self, app: ASGIApp, service: str, faults: Faults) -> None:
        self._app = app
        self._service = service
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or what the fault makes of it."""
        with contextlib.suppress(ClientDisconnect):
            fault = await self._faults.of(self._service, scope["client"][0] if scope.get("client") else "")
            if fault is None:
                await self._app(scope, receive, send)
            else:
                await self._serve_faulty(fault, scope, receive, send)

    async def _serve_faulty(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._held_answer(scope, receive) if fault.after else None
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.hang:
            await _until_disconnect(receive)
        elif fault.down:
            scope["extensions"][CLOSE_EXTENSION]["close"]()
            await _until_disconnect(receive)
        elif fault.status is not None:
            await _failure(self._service, fault.status)(scope, receive, send)
        elif answer is None:
            await self._app(scope, receive, send)
        else:
            for message in answer:
                await send(message)

    async def _held_answer(self, scope: Scope, receive: Receive) -> list[Message]:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        return held


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _failure(service: str, status: int) -> JSONResponse:
    message = f"fault set on {service}"
    return JSONResponse({"message": message, "error": message, "statusCode": status}, status_code=status)
