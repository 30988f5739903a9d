"""Mail: sent once, repeated where that helps, bounded in time, and never an address in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
import stamina
import structlog
from structlog.testing import LogCapture

from sandbox.app import create_app
from service.telemetry import resend
from service.telemetry.mail import Mail, NoMailer, invitation
from service.telemetry.resend import Pace, Resend, header_key

OWNER = "owner@example.org"
MAIL = Mail(to=OWNER, subject="Credits", text="They are used up.", idempotency_key="billing/acme/2026-01-01")

Answer = Callable[[int, httpx.Request], httpx.Response]


class Post:
    """A Resend that answers as told; what it was asked stands in `asked`."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[httpx.Request] = []
        self.logs = LogCapture()
        self._answer = answer
        client = httpx.AsyncClient(base_url="http://resend", transport=httpx.MockTransport(self._take))
        self.resend = build(client, self.logs)

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(len(self.asked), request)


def build(client: httpx.AsyncClient, logs: LogCapture) -> Resend:
    """The mailer over *client*."""
    log = structlog.wrap_logger(None, processors=[logs])
    return Resend(client, sender="Assistant <notices@example.org>", log=log)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "EVERY_S", 0.001)


async def test_mail_reaches_resend_once() -> None:
    """The mail arrives as Resend's API has it, and the same key sends it no second time."""
    transport = httpx.ASGITransport(create_app())
    headers = {"Authorization": "Bearer re_key"}
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as looking:
        client = httpx.AsyncClient(transport=transport, base_url="http://sandbox/resend", headers=headers)
        mailer = build(client, LogCapture())
        assert [await mailer.send(MAIL), await mailer.send(MAIL)] == [True, True]
        (sent,) = (await looking.get("/resend/sent")).json()
    assert sent == {
        "id": sent["id"],
        "idempotencyKey": MAIL.idempotency_key,
        "from": "Assistant <notices@example.org>",
        "to": [OWNER],
        "subject": MAIL.subject,
        "text": MAIL.text,
    }


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_is_tried_again_with_the_same_key(status: int) -> None:
    """Too many requests and Resend's own failures are repeated, as the same mail."""
    post = Post(lambda number, _: httpx.Response(status if number < 3 else 200, json={}))
    with stamina.set_testing(True, attempts=4):
        assert await post.resend.send(MAIL)
    assert [request.headers["Idempotency-Key"] for request in post.asked] == [MAIL.idempotency_key] * 3


async def test_lost_connection_is_tried_again() -> None:
    """No answer is no reason to give up: the key makes a second request safe."""

    def answer(number: int, request: httpx.Request) -> httpx.Response:
        if number == 1:
            raise httpx.ReadError("cut", request=request)
        return httpx.Response(200, json={})

    post = Post(answer)
    with stamina.set_testing(True, attempts=4):
        assert await post.resend.send(MAIL)
    assert len(post.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
async def test_what_stays_wrong_is_not_repeated(status: int) -> None:
    """A refusal that will be the same next time is logged with Resend's word for it, without addresses."""
    error = {"name": "validation_error", "message": f"Invalid `to`: {OWNER}"}
    post = Post(lambda _number, _request: httpx.Response(status, json=error))
    assert not await post.resend.send(MAIL)
    assert len(post.asked) == 1
    (line,) = post.logs.entries
    assert (line["event"], line["reason"], line["code"]) == (
        "Mail was not sent",
        f"HTTP {status}",
        "validation_error",
    )
    assert OWNER not in json.dumps(line)


async def test_long_retry_after_is_not_waited_for() -> None:
    """A pause longer than a mail's time ends the attempts at once."""
    post = Post(lambda _number, _request: httpx.Response(429, headers={"Retry-After": "3600"}))
    async with asyncio.timeout(20):
        assert not await post.resend.send(MAIL)
    assert len(post.asked) == 1


async def test_short_retry_after_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Retry-After within reason is the pause before the next attempt."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    post = Post(lambda number, _: httpx.Response(429 if number == 1 else 200, headers={"Retry-After": "3"}))
    assert await post.resend.send(MAIL)
    assert 3.0 in pauses


async def test_sending_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Resend that never answers costs no more than the time for one mail."""
    monkeypatch.setattr(resend, "TIMEOUT_S", 0.05)
    logs = LogCapture()

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    client = httpx.AsyncClient(base_url="http://resend", transport=httpx.MockTransport(hang))
    async with asyncio.timeout(20):
        assert not await build(client, logs).send(MAIL)
    assert [line["event"] for line in logs.entries] == ["Mail was not sent"]


async def test_requests_keep_resends_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests a second: the third of three at once waits a whole second."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace = Pace(0.5, lambda: 100.0)
    for _ in range(3):
        await pace.turn()
    assert pauses == [0.0, 0.5, 1.0]


async def test_without_resend_nothing_is_sent_and_it_is_told() -> None:
    """The log says that a mail was not sent."""
    logs = LogCapture()
    assert not await NoMailer(structlog.wrap_logger(None, processors=[logs])).send(MAIL)
    assert [line["event"] for line in logs.entries] == ["Mail was not sent"]


def test_invitation_is_one_for_each_tenant_and_address() -> None:
    """Its key tells tenant and address apart, does not show the address, and ignores its case."""
    keys = {
        invitation(tenant, address, "https://app.example.org").idempotency_key
        for tenant, address in [("acme", OWNER), ("acme", OWNER.upper()), ("acme", "b@c.de"), ("bar", OWNER)]
    }
    assert len(keys) == 3
    assert all(key.startswith(("invitation/acme/", "invitation/bar/")) and "@" not in key for key in keys)
    mail = invitation("acme", OWNER, "https://app.example.org")
    assert (mail.to, "https://app.example.org" in mail.text, "acme" in mail.text) == (OWNER, True, True)


@pytest.mark.parametrize("key", ["billing/Bäckerei Schön/2026", "k" * 300, "ü" * 128, "a\r\nX: b"])
def test_any_key_fits_the_header(key: str) -> None:
    """Whatever a tenant is called, its key is short ASCII without blanks; equal keys stay equal."""
    header = header_key(key)
    assert len(header) <= 256
    assert header.isascii()
    assert not set(header) & set(" \r\n")
    assert header == header_key(key) != header_key(key + "x")
