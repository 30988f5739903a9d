"""Reading replies: from the gate lane page by page, from the real sandbox, and refusing what is neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from reference_flaws import Flaws
from reference_server import serving
from reference_target import ReferenceTarget
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from sandbox.app import create_app
from smoke.replies import GateReplies, RepliesError, SentReplies
from smoke.target import NoAnswerError, Target, open_client

Answer = Callable[[httpx.Request], httpx.Response]


@contextmanager
def target_at(url: str) -> Iterator[Target]:
    """A client of a server that really listens."""
    with open_client(url) as client:
        yield Target(client, "secret", answer_timeout_s=60)


def target_answering(answer: Answer) -> Target:
    """A target whose every request is answered by *answer*."""
    client = httpx.Client(base_url="http://target", transport=httpx.MockTransport(answer))
    return Target(client, "secret", answer_timeout_s=5)


def test_all_pages_are_read_and_none_twice() -> None:
    """Replies beyond one page are found, and asking again finds only what is new."""
    release = ReferenceTarget(Flaws())
    release.replies = [{"chatId": f"{n % 2}@c.us", "replyTo": f"false_{n}"} for n in range(2500)]
    with serving(release.app()) as url, target_at(url) as target:
        replies = GateReplies(target)
        assert len(replies.of_chat("1@c.us")) == 1250
        release.replies.append({"chatId": "1@c.us", "replyTo": "false_late"})
        assert [reply.reply_to for reply in replies.of_chat("1@c.us")][-1] == "false_late"
        assert len(replies.of_chat("1@c.us")) == 1251


def test_no_connection_is_used_twice() -> None:
    """Not by one thread after another either: each request comes from a port of its own."""
    ports = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        ports.append(scope["client"][1])
        await PlainTextResponse("here")(scope, receive, send)

    with serving(app) as url, target_at(url) as target, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(target.get, ["/"] * 40))
    assert [answer.text for answer in answers] == ["here"] * 40
    assert all(answer.headers["connection"] == "close" for answer in answers)
    assert len(set(ports)) == len(ports) == 40


def test_the_sandbox_is_read_as_it_is() -> None:
    """What the real sandbox lists as sent is understood."""
    with serving(create_app()) as url, target_at(url) as target:
        text = {"session": "default", "chatId": "1@c.us", "text": "Hi", "reply_to": "false_1@c.us_A"}
        httpx.post(f"{url}/waha/api/sendText", json=text)
        sent = SentReplies(target, f"{url}/waha/sent")
        assert [reply.reply_to for reply in sent.of_chat("1@c.us")] == ["false_1@c.us_A"]
        assert sent.of_chat("2@c.us") == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(404), "--replies-url"),
        (httpx.Response(500, text="oh"), "answered 500 oh"),
        (httpx.Response(200, html="<p>"), "not replies"),
        (httpx.Response(200, json={"replies": [{"chatId": 1}], "next": "1"}), "replies.0.chatId"),
        (httpx.Response(200, json={"replies": []}), "next"),
    ],
)
def test_what_is_no_page_of_replies_is_refused(answer: httpx.Response, said: str) -> None:
    """An unreadable answer is one error that shows it."""
    replies = GateReplies(target_answering(lambda request: answer))
    with pytest.raises(RepliesError, match=said):
        replies.of_chat("1@c.us")


def test_pages_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target whose every page is full does not keep the suite for ever."""
    monkeypatch.setattr("smoke.replies.MAX_PAGES", 3)
    page = json.dumps({"replies": [{"chatId": "1@c.us", "replyTo": None}] * 1000, "next": "1"})
    replies = GateReplies(target_answering(lambda request: httpx.Response(200, text=page)))
    with pytest.raises(RepliesError, match="no end after 3"):
        replies.of_chat("1@c.us")


@pytest.mark.parametrize(
    ("error", "timed_out"),
    [(httpx.ReadTimeout("slow"), True), (httpx.ReadError("reset"), False), (httpx.DecodingError("x"), False)],
)
def test_every_failed_request_is_one_error(error: httpx.HTTPError, timed_out: bool) -> None:
    """Whatever httpx raises becomes `NoAnswerError`, which knows whether anything came."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(NoAnswerError, match="GET /api/health/live: no answer") as caught:
        target_answering(fail).get("/api/health/live")
    assert caught.value.timed_out is timed_out
