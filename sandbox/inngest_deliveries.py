"""Inngest's executor: for each event a run of each function that it triggers, called until it is done."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from sandbox.inngest_signature import canonical, signature

KEPT_RUNS = 10_000
CALLS_AT_ONCE = 50
CALL_TIMEOUT_S = 60
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5
"""Of the pauses between calls, unless the app itself says when; Inngest's own are longer."""
DEFAULT_RETRIES = 3


@dataclass(frozen=True)
class Function:
    """What an app has registered. `url`: where it is called, its own id and step in the query."""

    id: str
    event: str
    url: str
    retries: int


@dataclass
class Run:
    """One run. `answers`: the statuses of its calls, 0 where there was no answer."""

    id: str
    function: str
    event: dict[str, Any]
    status: str = "waiting"
    answers: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For whoever looks: `status` is waiting, completed or failed."""
        return {
            "runId": self.id,
            "function": self.function,
            "event": self.event,
            "status": self.status,
            "answers": self.answers,
        }


class Deliveries:
    """Runs, latest kept. Calls are signed with *signing_key*; without one they are a dev server's."""

    def __init__(self, signing_key: str | None) -> None:
        self._signing_key = signing_key
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(CALLS_AT_ONCE)
        self._client: httpx.AsyncClient | None = None

    @property
    def waiting(self) -> int:
        """How many runs are not done yet."""
        return len(self._tasks)

    def listed(self) -> list[dict[str, Any]]:
        """The runs, oldest first, as JSON objects."""
        return [run.to_json() for run in self._runs.values()]

    def begin(self, function: Function, event: dict[str, Any]) -> None:
        """Run *function* on *event*, from now until it is done."""
        run = Run(secrets.token_hex(13).upper(), function.id, event)
        self._runs[run.id] = run
        if len(self._runs) > KEPT_RUNS:
            self._runs.popitem(last=False)
        task = asyncio.create_task(self._deliver(run, function))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, run: Run, function: Function) -> None:
        for attempt in range(function.retries + 1):
            async with self._at_once:
                answer = await self._call(run, function, attempt)
            run.answers.append(answer.status_code if answer else 0)
            if answer and answer.is_success:
                run.status = "completed"
                return
            if answer and answer.headers.get("x-inngest-no-retry") == "true":
                break
            await asyncio.sleep(_pause_s(attempt, answer))
        run.status = "failed"

    async def _call(self, run: Run, function: Function, attempt: int) -> httpx.Response | None:
        """The app's answer to one call; None if there was none."""
        body = canonical(_body(run, attempt, function.retries + 1))
        headers = {"Content-Type": "application/json", **self.identification(body)}
        try:
            return await self.client().post(function.url, content=body, headers=headers)
        except httpx.HTTPError:
            return None

    def identification(self, body: bytes) -> dict[str, str]:
        """The headers that say who calls."""
        if self._signing_key is None:
            return {"X-Inngest-Server-Kind": "dev"}
        signed = signature(body, self._signing_key)
        return {"X-Inngest-Server-Kind": "cloud", "X-Inngest-Signature": signed}

    def client(self) -> httpx.AsyncClient:
        """The client for all calls, made in the event loop that uses it."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False)
        return self._client


def called_at(app_url: str, function_id: str) -> str:
    """The URL of a function of the app at *app_url*."""
    return f"{app_url}?{urlencode({'fnId': function_id, 'stepId': 'step'})}"


def _body(run: Run, attempt: int, most_attempts: int) -> dict[str, Any]:
    context = {
        "attempt": attempt,
        "disable_immediate_execution": False,
        "env": "production",
        "fn_id": run.function,
        "max_attempts": most_attempts,
        "run_id": run.id,
        "stack": {"current": 0, "stack": []},
        "use_api": False,
    }
    return {
        "ctx": context,
        "event": run.event,
        "events": [run.event],
        "steps": {},
        "use_api": False,
        "version": 1,
    }


def _pause_s(attempt: int, answer: httpx.Response | None) -> float:
    """Until the next call: as the app says, in whichever form, or longer each time."""
    told = answer.headers.get("retry-after", "") if answer else ""
    if told.isdecimal():
        return float(min(int(told), CALL_TIMEOUT_S * 10))
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        return float(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S))
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
