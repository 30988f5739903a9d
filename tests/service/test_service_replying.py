"""Writers and messengers: a text in any case, and an outcome that is never guessed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from service_kit import NO_REDIS, event
from structlog.testing import LogCapture

from service.event import Message, parse_event
from service.lanes import gate_lane
from service.messages.messenger import Messenger, NotSent, NoWaha, OutcomeUnknown, Sink, Waha
from service.messages.replies import RecordedReplies, Reply
from service.messages.writer import ACKNOWLEDGEMENT, FALLBACK, Acknowledgement, Model
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.telemetry.metrics import WorkerMetrics

REPLY = Reply("default", "1@c.us", "text", "false_1@c.us_A")


def client(answer: Callable[[httpx.Request], Any]) -> httpx.AsyncClient:
    """A client whose requests are answered by *answer*."""
    return httpx.AsyncClient(base_url="http://host", transport=httpx.MockTransport(answer))


def waha(answer: Callable[[httpx.Request], Any]) -> Waha:
    """The WAHA messenger before a server that does *answer*."""
    return Waha(client(answer), timeout_s=0.05)


def raising(error: Exception) -> Callable[[httpx.Request], Any]:
    """A server that fails like this."""

    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


async def hang(_request: httpx.Request) -> httpx.Response:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_waha_gets_the_reply() -> None:
    """One request with session, chat, text and the message replied to."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(201)

    await waha(answer).send_text(REPLY)
    content = {"session": "default", "chatId": "1@c.us", "text": "text", "reply_to": "false_1@c.us_A"}
    assert asked == [("POST", "/api/sendText", content)]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422, 429, 500, 502, 503])
async def test_refusal_is_surely_not_sent(status: int) -> None:
    """An answer that is no success says that nothing was sent."""
    with pytest.raises(NotSent, match=str(status)):
        await waha(lambda _: httpx.Response(status)).send_text(REPLY)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]
)
async def test_no_connection_is_surely_not_sent(error: Exception) -> None:
    """Before there is a connection nothing can have been sent."""
    with pytest.raises(NotSent):
        await waha(raising(error)).send_text(REPLY)


@pytest.mark.parametrize(
    "answer",
    [
        hang,
        lambda _: httpx.Response(504),
        raising(httpx.ReadTimeout("x")),
        raising(httpx.WriteError("x")),
        raising(httpx.RemoteProtocolError("x")),
        raising(RuntimeError("something that nobody thought of")),
    ],
)
async def test_silence_leaves_the_outcome_unknown(answer: Callable[[httpx.Request], Any]) -> None:
    """Once a byte may be with WAHA, no answer means unknown."""
    with pytest.raises(OutcomeUnknown):
        await waha(answer).send_text(REPLY)


async def test_reasons_do_not_quote() -> None:
    """WAHA's errors echo the request; of them only the status is kept."""
    with pytest.raises(NotSent) as refused:
        await waha(lambda _: httpx.Response(500, text="a very private text")).send_text(REPLY)
    assert "private" not in str(refused.value)


async def test_messengers_raise_only_their_two_errors() -> None:
    """Without WAHA a message waits; a sink whose Redis is away does not know."""
    nowhere = RedisStore(NO_REDIS, timeout_s=2)
    cases: list[tuple[Messenger, type[Exception]]] = [
        (NoWaha(), NotSent),
        (Sink(RecordedReplies(nowhere, gate_lane("r"))), OutcomeUnknown),
    ]
    for messenger, error in cases:
        with pytest.raises(error):
            await messenger.send_text(REPLY)
    await nowhere.aclose()


@pytest.mark.integration
async def test_a_full_redis_recorded_nothing(redis: Redis, store: Store) -> None:
    """A sink without room surely did not send, so the reply is recorded when there is room again."""
    sink, lane = Sink(RecordedReplies(store, gate_lane("r"))), gate_lane("r")
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(NotSent):
            await sink.send_text(REPLY)
    finally:
        await redis.config_set("maxmemory", "0")
    await sink.send_text(REPLY)
    assert await redis.xlen(lane.replies) == 1
    assert 3590 < await redis.ttl(lane.replies) <= 3600


def message(text: str = "hello") -> Message:
    """A message with this text."""
    found = parse_event(event(text))
    assert isinstance(found, Message)
    return found


def model(answer: Callable[[httpx.Request], Any], logs: LogCapture | None = None) -> Model:
    """The model writer before an API that does *answer*."""
    log = structlog.wrap_logger(None, processors=[logs or LogCapture()])
    return Model(
        client(answer), model="m", timeout_s=0.05, metrics=WorkerMetrics(CollectorRegistry()), log=log
    )


async def test_model_is_asked_in_openais_form() -> None:
    """The request names the model and ends with the message; the reply is the answer's text."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={"choices": [{"message": {"content": "hi"}}]})

    assert await model(answer).write(message("what?")) == "hi"
    ((path, content),) = asked
    assert (path, content["model"]) == ("/v1/chat/completions", "m")
    assert content["messages"][-1] == {"role": "user", "content": "what?"}


@pytest.mark.parametrize(
    "answer",
    [
        hang,
        raising(httpx.ConnectError("x")),
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(200, text="no JSON"),
        lambda _: httpx.Response(200, json=[]),
        lambda _: httpx.Response(200, json={"choices": []}),
        lambda _: httpx.Response(200, json={"choices": [{"message": {"content": None}}]}),
        lambda _: httpx.Response(200, json={"choices": [{"message": {"content": " "}}]}),
        lambda _: httpx.Response(200, content=b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
    ],
)
async def test_model_that_fails_is_replaced_by_a_fixed_text(answer: Callable[[httpx.Request], Any]) -> None:
    """Whatever the API does, the customer gets a reply, in time."""
    logs = LogCapture()
    async with asyncio.timeout(2):
        assert await model(answer, logs).write(message("a very private text")) == FALLBACK
    assert [line["event"] for line in logs.entries] == ["Model did not answer"]
    assert "private" not in str([{**line, "exc_info": None} for line in logs.entries])


async def test_message_without_words_is_acknowledged() -> None:
    """A picture alone is nothing to ask a model about."""
    assert await model(raising(AssertionError())).write(message(" ")) == ACKNOWLEDGEMENT
    assert await Acknowledgement().write(message()) == ACKNOWLEDGEMENT
