"""The other stand-ins answer in their services' shapes, for success and for refusal."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from sandbox.kept import KEPT

EMAIL = {"from": "a@sandbox.example", "to": ["b@example.com"], "subject": "Hi", "text": "Hello"}


async def test_clerk_gives_its_keys_to_a_bearer(client: httpx.AsyncClient) -> None:
    """The JWKS holds an RSA signing key; without a bearer token the answer is Clerk's 401."""
    keys = (await client.get("/clerk/v1/jwks")).json()["keys"]
    refused = await client.get("/clerk/v1/jwks", headers={"Authorization": ""})
    assert (keys[0]["kty"], keys[0]["alg"], keys[0]["use"], len(keys[0]["n"])) == ("RSA", "RS256", "sig", 342)
    assert refused.status_code == 401
    assert set(refused.json()["errors"][0]) == {"message", "long_message", "code"}


@pytest.mark.parametrize("events", [{"name": "a"}, [{"name": "a"}]])
async def test_inngest_gives_each_event_an_id(client: httpx.AsyncClient, events: object) -> None:
    """One event or a list of them is taken, and as many ids are returned."""
    answer = await client.post("/inngest/e/key", json=events)
    assert (answer.json()["status"], len(answer.json()["ids"])) == (200, 1)


async def test_sentry_takes_a_compressed_envelope(client: httpx.AsyncClient) -> None:
    """An envelope, gzipped as the SDK sends it, is answered with its event's id."""
    envelope = b'{"event_id":"9ec79c33ec9942ab8353589fcb2e04dc"}\n{"type":"event"}\n{}'
    headers = {"X-Sentry-Auth": "Sentry sentry_key=k", "Content-Encoding": "gzip"}
    answer = await client.post("/sentry/api/1/envelope/", content=gzip.compress(envelope), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"id": "9ec79c33ec9942ab8353589fcb2e04dc"})


async def test_sentry_keeps_what_it_took(client: httpx.AsyncClient) -> None:
    """Each item of an envelope is listed with its payload, also where that has line ends of its own."""
    two_lines = b'{"a":\n1}'
    header = b'{"type":"event","length":%d}' % len(two_lines)
    envelope = b"\n".join([b"{}", header, two_lines, b'{"type":"session"}', b"not JSON", b""])
    await client.post("/sentry/api/1/envelope/?sentry_key=k", content=envelope)
    kept = (await client.get("/sentry/events")).json()
    assert kept == [{"type": "event", "payload": {"a": 1}}, {"type": "session", "payload": "not JSON"}]
    await client.delete("/sentry/events")
    assert (await client.get("/sentry/events")).json() == []


async def test_sentry_refuses_an_inflating_body(client: httpx.AsyncClient) -> None:
    """A small body that inflates beyond the limit is 413, not memory."""
    headers = {"X-Sentry-Auth": "Sentry sentry_key=k", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 5_000_000)
    answer = await client.post("/sentry/api/1/envelope/", content=bomb, headers=headers)
    assert answer.status_code == 413


async def test_resend_lists_domains_for_a_key(client: httpx.AsyncClient) -> None:
    """Domains are listed for a key; without one it is Resend's `missing_api_key`."""
    listed = (await client.get("/resend/domains")).json()
    refused = await client.get("/resend/domains", headers={"Authorization": ""})
    assert listed["data"][0]["status"] == "verified"
    assert (refused.status_code, refused.json()["name"]) == (401, "missing_api_key")


async def test_resend_sends_once_per_idempotency_key(client: httpx.AsyncClient) -> None:
    """The same key with the same e-mail is the same id; with another e-mail it is a conflict."""
    headers = {"Idempotency-Key": "k1"}
    first = await client.post("/resend/emails", json=EMAIL, headers=headers)
    again = await client.post("/resend/emails", json=EMAIL, headers=headers)
    other = await client.post("/resend/emails", json={**EMAIL, "subject": "Ho"}, headers=headers)
    unkeyed = await client.post("/resend/emails", json=EMAIL)
    assert first.json() == again.json() != unkeyed.json()
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    sent = (await client.get("/resend/sent")).json()
    assert sent == [
        {"id": first.json()["id"], "idempotencyKey": "k1", **EMAIL},
        {"id": unkeyed.json()["id"], "idempotencyKey": None, **EMAIL},
    ]


async def test_what_is_kept_is_bounded(client: httpx.AsyncClient) -> None:
    """Of many e-mails only the latest are kept."""
    for number in range(KEPT + 2):
        await client.post("/resend/emails", json={**EMAIL, "subject": str(number)})
    sent = (await client.get("/resend/sent")).json()
    assert [sent[0]["subject"], sent[-1]["subject"], len(sent)] == ["2", str(KEPT + 1), KEPT]


async def test_model_repeats_the_last_user_message(client: httpx.AsyncClient) -> None:
    """The answer is derived from the question alone, in the shape of a chat completion."""
    messages = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hello there"}]
    request = {"model": "m", "messages": messages}
    first, second = [
        (await client.post("/ai/v1/chat/completions", json=request)).json()["choices"] for _ in range(2)
    ]
    assert first == second
    assert first[0]["message"]["content"] == "You said: Hello there"
    assert first[0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/inngest/e/key", [{"data": {}}], 400),
        ("/sentry/api/1/envelope/", [], 400),
        ("/resend/emails", {"from": "a@b.c"}, 422),
        ("/ai/v1/chat/completions", {"model": "m", "messages": []}, 400),
        ("/ai/v1/chat/completions", {"model": "m", "messages": [{"role": "user"}]}, 400),
        ("/clerk/v1/users", {}, 404),
    ],
)
async def test_bad_input_is_a_json_4xx(
    client: httpx.AsyncClient, path: str, body: object, status: int
) -> None:
    """Bad input is refused with JSON, never a 500."""
    answer = await client.post(path, json=body)
    assert answer.status_code == status
    assert isinstance(json.loads(answer.text), dict)
