"""Writers: a text in any case, and in time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
from peer_kit import Answer, Peer, answering, hang_up, nonsense, running_peer, silence, trickle
from prometheus_client import CollectorRegistry
from service_kit import event
from structlog.testing import LogCapture

from contracts import gate_lane
from contracts.free_ports import free_port
from service.event import Message, parse_event
from service.messages import writer
from service.messages.writer import (
    ACKNOWLEDGEMENT,
    ASK_MODEL,
    FALLBACK,
    GATE_REPLY,
    MAX_ANSWER_BYTES,
    Acknowledgement,
    GateWriter,
    Model,
    model_session,
)
from service.telemetry.metrics import WorkerMetrics

PRIVATE = "a very private text"


def message(text: str = "hello") -> Message:
    """A message with this text."""
    found = parse_event(event(text))
    assert isinstance(found, Message)
    return found


def saying(content: object, *, padding: int = 0) -> Answer:
    """An API whose model says this, with so many blanks behind its JSON."""
    said = json.dumps({"choices": [{"message": {"content": content}}]})
    return answering(200, (said + " " * padding).encode())


class Rig:
    """The writer with what the tests look at."""

    def __init__(self, model: Model, metrics: WorkerMetrics, logs: LogCapture) -> None:
        self.model = model
        self.logs = logs
        self._metrics = metrics

    def counted(self, outcome: str) -> float:
        """How many calls of the API ended so."""
        labels = {"service": "ai", "operation": "complete", "outcome": outcome}
        return self._metrics.registry.get_sample_value("outbound_duration_seconds_count", labels) or 0


@asynccontextmanager
async def rig_at(url: str, timeout_s: float = 30) -> AsyncIterator[Rig]:
    """The writer that asks an API at *url*."""
    metrics, logs = WorkerMetrics(CollectorRegistry()), LogCapture()
    log = structlog.wrap_logger(None, processors=[logs])
    async with model_session(url, "key") as http:
        yield Rig(Model(http, model="m", timeout_s=timeout_s, metrics=metrics, log=log), metrics, logs)


@asynccontextmanager
async def rig_before(answer: Answer, timeout_s: float = 30) -> AsyncIterator[tuple[Rig, Peer]]:
    """The writer that asks an API which does *answer*."""
    async with running_peer(answer) as peer, rig_at(peer.url, timeout_s) as rig:
        yield rig, peer


async def test_model_is_asked_in_openais_form() -> None:
    """The request names the model and ends with the message; the reply is the answer's text."""
    async with rig_before(saying("hi")) as (rig, peer):
        assert await rig.model.write(message("what?")) == "hi"
    (request,) = peer.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer key")
    assert request.headers["accept-encoding"] == "identity"
    assert request.content["model"] == "m"
    assert request.content["messages"][-1] == {"role": "user", "content": "what?"}
    assert rig.counted("ok") == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (silence, "unanswered"),
        (hang_up, "unanswered"),
        (nonsense, "unanswered"),
        (trickle, "unanswered"),
        (answering(500, PRIVATE.encode()), "refused"),
        (answering(302), "refused"),
        (answering(200, b"no JSON"), "refused"),
        (answering(200, b"[]"), "refused"),
        (answering(200, b'{"choices": []}'), "refused"),
        (answering(200, b'{"choices": [{"message": {"content": "\\ud800"}}]}'), "refused"),
        (saying(None), "refused"),
        (saying(["a"]), "refused"),
        (saying(" \n"), "refused"),
        (saying("hi", padding=MAX_ANSWER_BYTES), "refused"),
    ],
)
async def test_model_that_fails_is_replaced_by_a_fixed_text(answer: Answer, outcome: str) -> None:
    """Whatever the API does, the customer gets a reply, in time, and no line quotes either side."""
    timeout_s = 0.6 if answer in (silence, trickle) else 30
    async with asyncio.timeout(20), rig_before(answer, timeout_s) as (rig, peer):
        assert await rig.model.write(message(PRIVATE)) == FALLBACK
    assert [line["event"] for line in rig.logs.entries] == ["Model did not answer"]
    assert "private" not in str([{**line, "exc_info": None} for line in rig.logs.entries])
    assert (len(peer.requests), rig.counted(outcome)) == (1, 1)


async def test_model_that_is_not_there_is_replaced_too() -> None:
    """Nobody listens: the fixed text."""
    async with rig_at(f"http://127.0.0.1:{free_port()}") as rig:
        assert await rig.model.write(message()) == FALLBACK


async def test_message_without_words_is_acknowledged() -> None:
    """A picture alone is nothing to ask a model about."""
    async with rig_before(saying("hi")) as (rig, peer):
        assert await rig.model.write(message(" ")) == ACKNOWLEDGEMENT
    assert peer.requests == []
    assert await Acknowledgement().write(message()) == ACKNOWLEDGEMENT


async def test_gate_asks_no_model() -> None:
    """Its messages are answered with a text of their own after the delay, many at once."""
    async with rig_before(saying("hi")) as (rig, peer):
        gate, started = GateWriter(rig.model, delay_s=0.5), time.monotonic()
        texts = await asyncio.gather(*(gate.write(message(str(number))) for number in range(200)))
        took_s = time.monotonic() - started
    assert (set(texts), peer.requests, rig.counted("ok")) == ({GATE_REPLY}, [], 0)
    assert 0.5 <= took_s < 200 * 0.5


async def test_gate_can_ask_the_model_once() -> None:
    """A message that begins so is written as a customer's is, with what that says where the model fails."""
    async with rig_before(saying("hi")) as (rig, peer):
        assert await GateWriter(rig.model, delay_s=60).write(message(f"{ASK_MODEL}hello")) == "hi"
    assert [request.path for request in peer.requests] == ["/v1/chat/completions"]
    async with rig_before(answering(500)) as (rig, _):
        assert await GateWriter(rig.model, delay_s=60).write(message(f"{ASK_MODEL}hello")) == FALLBACK
    assert await GateWriter(Acknowledgement(), delay_s=60).write(message(ASK_MODEL)) == ACKNOWLEDGEMENT


@pytest.mark.parametrize("name", ["ASK_MODEL", "GATE_REPLY", "FALLBACK", "ACKNOWLEDGEMENT"])
def test_suites_know_the_texts(name: str) -> None:
    """The copies of service and contract are equal, and no text stands for another."""
    assert getattr(writer, name) == getattr(gate_lane, name)
    assert len({GATE_REPLY, FALLBACK, ACKNOWLEDGEMENT}) == 3
