"""Faults: set, listed, ended; refused when nonsensical; before or after the effect; never on the controls."""

from __future__ import annotations

import time

import httpx
import pytest
from starlette.applications import Starlette

from sandbox.app import create_app

TEXT = {"session": "default", "chatId": "491@c.us", "text": "Hello"}


async def test_a_status_fault_answers_instead_of_the_service(client: httpx.AsyncClient) -> None:
    """While the fault is set the service answers with its status and does nothing; then it works again."""
    assert (await client.put("/faults/waha", json={"status": 503})).json() == {"status": 503}
    assert (await client.post("/waha/api/sendText", json=TEXT)).status_code == 503
    assert (await client.get("/waha/sent")).json() == []
    assert (await client.delete("/faults/waha")).status_code == 204
    assert (await client.post("/waha/api/sendText", json=TEXT)).status_code == 201


async def test_a_fault_after_the_effect_leaves_the_effect(client: httpx.AsyncClient) -> None:
    """With `after` the text is sent although the caller is told that it failed."""
    await client.put("/faults/waha", json={"status": 500, "after": True})
    assert (await client.post("/waha/api/sendText", json=TEXT)).status_code == 500
    assert len((await client.get("/waha/sent")).json()) == 1


@pytest.mark.parametrize("after", [False, True])
async def test_latency_delays_the_right_answer(client: httpx.AsyncClient, after: bool) -> None:
    """A slow service answers as ever, only later."""
    await client.put("/faults/waha", json={"latency_ms": 50, "after": after})
    started = time.monotonic()
    answer = await client.get("/waha/ping")
    assert (answer.status_code, answer.json()) == (200, {"message": "pong"})
    assert time.monotonic() - started >= 0.05


async def test_faults_of_one_service_leave_the_others_and_the_controls(client: httpx.AsyncClient) -> None:
    """Only the named service is affected; health, faults and what was sent always answer."""
    await client.put("/faults/waha", json={"status": 500})
    paths = ("/healthz", "/faults", "/waha/sent", "/convex/version")
    assert [(await client.get(path)).status_code for path in paths] == [200, 200, 200, 200]
    assert (await client.get("/faults")).json() == {"waha": {"status": 500}}


@pytest.mark.parametrize(
    ("service", "fault", "named"),
    [
        ("whatsapp", {"hang": True}, "whatsapp"),
        ("waha", {"latency": 5}, "latency"),
        ("waha", {"latency_ms": "5"}, "latency_ms"),
        ("waha", {"latency_ms": True}, "latency_ms"),
        ("waha", {"status": 200}, "status"),
        ("waha", {"hang": 1}, "hang"),
        ("waha", {"hang": True, "down": True}, "hang and down"),
        ("waha", {}, "at least one"),
        ("waha", {"hosts": ["web-1"]}, "at least one"),
        ("waha", {"down": True, "hosts": "web-1"}, "hosts"),
        ("waha", {"down": True, "hosts": []}, "hosts"),
        ("waha", {"down": True, "hosts": ["web-1", ""]}, "hosts"),
        ("waha", {"down": True, "hosts": [7]}, "hosts"),
        ("waha", [], "object"),
    ],
)
async def test_a_nonsensical_fault_is_400_naming_what_is_wrong(
    client: httpx.AsyncClient, service: str, fault: object, named: str
) -> None:
    """An unknown service or field, a wrong value, a contradiction are refused by name and change nothing."""
    answer = await client.put(f"/faults/{service}", json=fault)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert (await client.get("/faults")).json() == {}


async def test_ending_the_fault_of_an_unknown_service_is_400(client: httpx.AsyncClient) -> None:
    """A mistyped service name does not pass for an ended fault; ending no fault is fine."""
    assert (await client.delete("/faults/wahaa")).status_code == 400
    assert (await client.delete("/faults/waha")).status_code == 204


def client_at(address: str, app: Starlette) -> httpx.AsyncClient:
    """A client of *app* whose requests come from *address*."""
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://sandbox")


async def test_a_fault_for_hosts_hits_them_and_nobody_else() -> None:
    """Whoever asks from an address of a named host has the fault; for all others the service is well."""
    app = create_app()
    async with client_at("127.0.0.1", app) as named, client_at("192.0.2.9", app) as another:
        fault = {"status": 503, "hosts": ["localhost"]}
        assert (await another.put("/faults/convex", json=fault)).json() == fault
        assert (await another.get("/faults")).json() == {"convex": fault}
        paths = ("/convex/version", "/ai/v1")
        assert [(await named.get(path)).status_code for path in paths] == [503, 404]
        assert (await another.get("/convex/version")).status_code == 200
        await another.delete("/faults/convex")
        assert (await named.get("/convex/version")).status_code == 200


async def test_a_host_that_cannot_be_resolved_is_nobody() -> None:
    """A mistyped name hits no request, and no request fails by it."""
    app = create_app()
    async with client_at("127.0.0.1", app) as client:
        await client.put("/faults/convex", json={"down": True, "hosts": ["no-such-host.invalid"]})
        assert (await client.get("/convex/version")).status_code == 200
