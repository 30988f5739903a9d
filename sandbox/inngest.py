"""Inngest: takes events once for each id, and calls the functions of an app (`inngest_deliveries.py`).

An app registers at `/fn/register`, or is asked for its functions by a signed PUT, as Inngest's page does it:
the sandbox asks the app at *app_url* when the first event comes, and calls it there whatever URL it gives.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, bearer_token, in_shape, read_json, read_object
from sandbox.inngest_deliveries import DEFAULT_RETRIES, Deliveries, Function, called_at
from sandbox.inngest_signature import canonical, registration_token

REMEMBERED_S = 24 * 3600
MOST_REMEMBERED = 200_000
MOST_WAITING = 20_000
ASK_AGAIN_S = 0.5
ASK_TIMES = 240


class EventIds:
    """The ids of the last 24 hours' events, bounded."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()

    def is_new(self, event_id: str) -> bool:
        """Whether no event had *event_id*, which is remembered from now on."""
        now = time.monotonic()
        while self._seen and (
            len(self._seen) >= MOST_REMEMBERED or next(iter(self._seen.values())) < now - REMEMBERED_S
        ):
            self._seen.popitem(last=False)
        if event_id in self._seen:
            return False
        self._seen[event_id] = now
        return True


class Inngest:
    """The event API, the registry of functions, and the way from one to the other."""

    def __init__(self, signing_key: str | None = None, app_url: str | None = None) -> None:
        """*app_url*: the app's `/api/inngest`, for one that registers nowhere."""
        self.deliveries = Deliveries(signing_key)
        self._signing_key = signing_key
        self._app_url = app_url
        self._event_ids = EventIds()
        self._functions: list[Function] = []
        self._waiting: list[dict[str, Any]] = []
        self._asking: asyncio.Task[None] | None = None

    def app(self) -> Starlette:
        """`/e/{key}`, for any event key, and `/fn/register`, for apps that have the signing key."""
        return Starlette(
            routes=[
                Route("/e/{key}", self._take_events, methods=["POST"]),
                Route("/fn/register", self._register, methods=["POST"]),
            ],
            exception_handlers=in_shape(_inngest_error),
        )

    async def _take_events(self, request: Request) -> Response:
        body = await read_json(request)
        events = body if isinstance(body, list) else [body]
        for event in events:
            _check(event)
        if len(self._waiting) + self.deliveries.waiting + len(events) > MOST_WAITING:
            raise RefusedError(503, "too many runs are waiting")
        return JSONResponse({"ids": [self._take(event) for event in events], "status": 200})

    def _take(self, event: dict[str, Any]) -> str:
        event_id = event.get("id") or secrets.token_hex(13).upper()
        if self._event_ids.is_new(event_id):
            self._trigger({"data": {}, "ts": int(time.time() * 1000), **event, "id": event_id})
        return str(event_id)

    def _trigger(self, event: dict[str, Any]) -> None:
        """Begin the event's runs; without any function they wait while an app is asked for its own."""
        if not self._functions and self._app_url:
            self._waiting.append(event)
            self._asking = self._asking or asyncio.create_task(self._ask(self._app_url))
        for function in self._functions:
            if function.event == event["name"]:
                self.deliveries.begin(function, event)

    async def _register(self, request: Request) -> Response:
        token = bearer_token(request) or ""
        if self._signing_key and not hmac.compare_digest(token, registration_token(self._signing_key)):
            raise RefusedError(401, "Unauthorized")
        self._learn((await read_object(request)).get("functions"))
        return JSONResponse({"ok": True, "status": 200, "modified": True})

    def _learn(self, functions: object) -> None:
        """Call these functions from now on.

        Raises:
            RefusedError: 400 if they are not what an app registers.
        """
        try:
            self._functions = [self._function(raw) for raw in functions]  # type: ignore[attr-defined]
        except (TypeError, KeyError, IndexError) as error:
            raise RefusedError(400, f"these are no functions: {type(error).__name__}") from error
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._trigger(event)

    def _function(self, raw: dict[str, Any]) -> Function:
        step = raw["steps"]["step"]
        return Function(
            id=raw["id"],
            event=raw["triggers"][0]["event"],
            url=called_at(self._app_url, raw["id"]) if self._app_url else step["runtime"]["url"],
            retries=step.get("retries", {}).get("attempts", DEFAULT_RETRIES),
        )

    async def _ask(self, app_url: str) -> None:
        """Ask the app for its functions until it gives them."""
        body = canonical({"url": app_url})
        for _ in range(ASK_TIMES):
            headers = {"X-Inngest-Sync-Kind": "in_band", **self.deliveries.identification(body)}
            try:
                answer = await self.deliveries.client().put(app_url, content=body, headers=headers)
                if answer.is_success:
                    self._learn(answer.json().get("functions"))
                    break
            except (httpx.HTTPError, ValueError, RefusedError):
                pass  # it is not up yet
            await asyncio.sleep(ASK_AGAIN_S)
        self._asking = None


def _check(event: object) -> None:
    if not isinstance(event, dict) or not isinstance(event.get("name"), str) or not event["name"]:
        raise RefusedError(400, "event name is empty")
    if not isinstance(event.get("id", ""), str):
        raise RefusedError(400, "event id is no text")


def _inngest_error(status: int, message: str) -> dict[str, Any]:
    return {"error": message, "status": status}
