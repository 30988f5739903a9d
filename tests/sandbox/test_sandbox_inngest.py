"""Inngest's stand-in: an event is taken once, and its run is called, signed, until it is done."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import fastapi
import httpx
import inngest
import inngest.fast_api
import pytest
import uvicorn
from starlette.types import ASGIApp

from sandbox.app import create_app
from sandbox.inngest import Inngest
from sandbox.inngest_deliveries import Deliveries, Function, called_at
from sandbox.settings import Settings, SettingsError

KEY = "signkey-test-00ffee"
EVENT = {"name": "a/b", "id": "1", "data": {"entry": "1-0"}}


@dataclass
class App:
    """An app of Inngest's own package with one function, which does as told at each call."""

    calls: list[Any] = field(default_factory=list)
    behave: Callable[[int], None] = lambda _number: None

    def served(self, **options: Any) -> fastapi.FastAPI:
        client = inngest.Inngest(app_id="app", event_key="k", signing_key=KEY, **options)

        @client.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="a/b"), retries=5)
        async def run(context: inngest.Context) -> None:
            self.calls.append((context.attempt, dict(context.event.data)))
            self.behave(len(self.calls))

        app = fastapi.FastAPI()
        inngest.fast_api.serve(app, client, [run])
        return app


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The URL of *app* on a free port, served in this event loop."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def sandbox_for(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a sandbox that is told where *app* is."""
    async with serving(app) as url:
        sandbox = create_app(inngest=Inngest(KEY, f"{url}/api/inngest"))
        transport = httpx.ASGITransport(sandbox)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            yield client


async def ended(client: httpx.AsyncClient, runs: int = 1) -> list[dict[str, Any]]:
    """The sandbox's runs, as soon as so many have ended."""
    async with asyncio.timeout(60):
        while True:
            listed: list[dict[str, Any]] = (await client.get("/inngest/runs")).json()
            if sum(run["status"] != "waiting" for run in listed) >= runs:
                return listed
            await asyncio.sleep(0.01)


def fail_first(error: Exception) -> Callable[[int], None]:
    """The first call fails so."""

    def behave(number: int) -> None:
        if number == 1:
            raise error

    return behave


async def test_event_is_run_once_for_its_id() -> None:
    """The app's function is called with the event, once, however often the event is sent."""
    app = App()
    async with sandbox_for(app.served()) as client:
        for _ in range(3):
            answer = await client.post("/inngest/e/k", json=EVENT)
            assert (answer.status_code, answer.json()["ids"]) == (200, ["1"])
        (run,) = await ended(client)
    assert (run["status"], run["answers"], app.calls) == ("completed", [200], [(0, {"entry": "1-0"})])


@pytest.mark.parametrize(
    ("error", "answers", "status"),
    [
        (RuntimeError("x"), [500, 200], "completed"),
        (inngest.RetryAfterError("x", 50), [500, 200], "completed"),
        (inngest.NonRetriableError("x"), [500], "failed"),
    ],
)
async def test_failure_is_called_again(error: Exception, answers: list[int], status: str) -> None:
    """A function that failed is called again with the next attempt's number, unless it forbids that."""
    app = App(behave=fail_first(error))
    async with sandbox_for(app.served()) as client:
        await client.post("/inngest/e/k", json=EVENT)
        (run,) = await ended(client)
    assert (run["answers"], run["status"]) == (answers, status)
    assert [attempt for attempt, _ in app.calls] == list(range(len(answers)))


async def test_app_says_when_it_is_called_again() -> None:
    """Retry-After is obeyed: the second call does not come before it."""
    called_at_s: list[float] = []

    def behave(number: int) -> None:
        called_at_s.append(time.monotonic())
        if number == 1:
            raise inngest.RetryAfterError("x", 700)  # counts from here

    async with sandbox_for(App(behave=behave).served()) as client:
        await client.post("/inngest/e/k", json=EVENT)
        await ended(client)
    first, second = called_at_s
    assert second - first > 0.6


async def test_wrong_key_is_refused_by_the_package() -> None:
    """Calls signed by another key get 401, and the function is not run."""
    app, deliveries = App(), Deliveries("signkey-test-aabb")
    async with serving(app.served()) as url:
        deliveries.begin(Function("app-f", "a/b", called_at(f"{url}/api/inngest", "app-f"), 0), EVENT)
        async with asyncio.timeout(60):
            while deliveries.waiting:  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.01)
    (run,) = deliveries.listed()
    assert (run["answers"], app.calls) == ([401], [])


async def test_app_may_register_itself() -> None:
    """An app that syncs by itself registers with its signing key, and is called where it says."""
    sandbox = create_app(inngest=Inngest(KEY))
    async with serving(sandbox) as url, httpx.AsyncClient() as client:
        app = App()
        async with serving(app.served(api_base_url=url)) as app_url:
            assert (await client.put(f"{app_url}/api/inngest")).is_success
            await client.post(f"{url}/e/k", json=EVENT)
            async with asyncio.timeout(60):
                while not app.calls:  # noqa: ASYNC110 - the other side is a server
                    await asyncio.sleep(0.01)
            refused = await client.post(f"{url}/fn/register", json={"functions": []})
    assert (app.calls, refused.status_code) == ([(0, {"entry": "1-0"})], 401)


async def test_without_an_app_events_are_taken() -> None:
    """Nobody is called where there is no function, and the event's sender need not know."""
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        assert (await client.post("/inngest/e/k", json=EVENT)).status_code == 200
        assert (await client.get("/inngest/runs")).json() == []


@pytest.mark.parametrize("functions", [None, [{}], "x", [{"id": "f", "steps": {}, "triggers": []}]])
async def test_what_is_no_function_is_not_registered(functions: Any) -> None:
    """A registration that names no functions in their shape is 400."""
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.post("/inngest/fn/register", content=json.dumps({"functions": functions}))
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("name", "value"), [("SANDBOX_INNGEST_SIGNING_KEY", "secret!"), ("SANDBOX_INNGEST_APP_URL", "web:80")]
)
def test_settings_say_what_they_should_be(name: str, value: str) -> None:
    """A key that is not hexadecimal and a URL without scheme are refused by name."""
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: value})
