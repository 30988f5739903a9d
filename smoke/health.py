"""What `/api/health` answers, and the wait until it answers as expected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx

from contracts.health import shape_problems
from smoke.target import Target, described

PATH = "/api/health"


IN_A_ROW = 3
"""Answers that must agree: a proxy picks one of several web processes, and each finds out for itself."""

BETWEEN_ANSWERS_S = 0.1


@dataclass(frozen=True)
class HealthAnswer:
    """What came, and after how long. `body`: decoded; None where it is no JSON."""

    http_status: int
    body: object
    waited_s: float
    line: str

    @classmethod
    def ask(cls, target: Target, timeout_s: float) -> HealthAnswer:
        """Ask once.

        Raises:
            NoAnswerError: nothing came.
        """
        started = time.monotonic()
        response = target.get(PATH, timeout_s)
        return cls(response.status_code, _decoded(response), time.monotonic() - started, described(response))

    @property
    def problems(self) -> list[str]:
        """Where it has not the shape that the schema prescribes, one line each."""
        return shape_problems(self.body) if self.body is not None else [f"no JSON: {self.line}"]

    @property
    def verdict(self) -> str:
        """What it says of the release as a whole, in both ways: `200 healthy`."""
        return f"{self.http_status} {_text(self._field('status'))}"

    def state_of(self, service: str) -> str:
        """What it says of one service."""
        services = self._field("services")
        entry = services.get(service) if isinstance(services, dict) else None
        return _text(entry.get("status") if isinstance(entry, dict) else None)

    def _field(self, name: str) -> Any:
        return self.body.get(name) if isinstance(self.body, dict) else None


@dataclass(frozen=True)
class Wait:
    """For how long (s) answers were waited for, how many came, and the last of them."""

    took_s: float
    asked: int
    last: str


def wait_for(
    ask: Callable[[], HealthAnswer], expected: Callable[[HealthAnswer], bool], limit_s: float
) -> Wait:
    """Ask until some answers in a row are as *expected*, or the limit is over."""
    started, asked, agreed = time.monotonic(), 0, 0
    while True:
        answer = ask()
        asked, agreed = asked + 1, agreed + 1 if expected(answer) else 0
        took_s = round(time.monotonic() - started, 3)
        if agreed == IN_A_ROW or took_s > limit_s:
            return Wait(took_s, asked, answer.line)
        time.sleep(BETWEEN_ANSWERS_S)


def _text(value: object) -> str:
    return "missing" if value is None else value if isinstance(value, str) else repr(value)


def _decoded(response: httpx.Response) -> object:
    try:
        return response.json(parse_constant=_refuse_constant)
    except ValueError:
        return None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
