"""What a reply says: written by a model behind an OpenAI-compatible API, or fixed."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import aiohttp
import orjson

from service.event import Message
from service.messages.outbound import CallOutcome, Operation, Peer
from service.response_body import UNCOMPRESSED, BodyTooLong, read_body
from service.telemetry.logs import Log
from service.telemetry.metrics import WorkerMetrics

ACKNOWLEDGEMENT = "Thank you, your message has arrived. We will answer soon."
FALLBACK = "Thank you for your message. We cannot answer right now and will get back to you soon."
GATE_REPLY = "This is the gate's own reply: no model was asked."
ASK_MODEL = "[ask the model] "
"""With what a gate's message begins that is written as a customer's; all as in `contracts/gate_lane.py`."""

INSTRUCTION = (
    "You are a helpful assistant answering WhatsApp messages. Answer briefly, in the language of the message."
)

MAX_ANSWER_BYTES = 1024 * 1024
"""Of the API's answer: a reply in WhatsApp has 64 KiB at most."""


class Writer(Protocol):
    """Finds the text of a reply."""

    async def write(self, message: Message) -> str:
        """A text that is not empty. Raises nothing: whoever writes has something to say in any case."""


class Acknowledgement:
    """The writer where no model is configured."""

    async def write(self, message: Message) -> str:
        """See `Writer.write`."""
        return ACKNOWLEDGEMENT


class GateWriter:
    """The writer of a gate's messages: a fixed text after a set delay. No customer's model is asked, or paid.

    One whose text begins with `ASK_MODEL` is left to the *customers'* writer.
    """

    def __init__(self, customers: Writer, *, delay_s: float) -> None:
        self._customers = customers
        self._delay_s = delay_s

    async def write(self, message: Message) -> str:
        """See `Writer.write`."""
        if message.text.startswith(ASK_MODEL):
            return await self._customers.write(message)
        await asyncio.sleep(self._delay_s)
        return GATE_REPLY


def model_session(url: str, api_key: str) -> aiohttp.ClientSession:
    """Connections to the API at *url*. Within a running loop only; whoever calls this closes it."""
    return aiohttp.ClientSession(
        base_url=f"{url}/",
        headers={"Content-Type": "application/json", **UNCOMPRESSED}
        | ({"Authorization": f"Bearer {api_key}"} if api_key else {}),
        timeout=aiohttp.ClientTimeout(total=None),  # the calls have one
        connector=aiohttp.TCPConnector(limit=0),  # the worker bounds them
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Refused(Exception):
    """The API answered with something that is no reply; the message says what, without content."""


class Model:
    """The writer that asks a model, and falls back to a fixed text when that does not answer in time."""

    def __init__(
        self, http: aiohttp.ClientSession, *, model: str, timeout_s: float, metrics: WorkerMetrics, log: Log
    ) -> None:
        """*http*: see `model_session`."""
        self._http = http
        self._model = model
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._log = log

    async def write(self, message: Message) -> str:
        """See `Writer.write`."""
        if not message.text.strip():
            return ACKNOWLEDGEMENT  # a picture or a voice message without words
        started, outcome = time.perf_counter(), CallOutcome.UNANSWERED
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._ask(message.text)
            outcome = CallOutcome.OK
        except Refused as error:
            outcome = CallOutcome.REFUSED
            self._log.warning("Model did not answer", reason=str(error))
            return FALLBACK
        except Exception as error:  # an API may fail in any way; a customer gets a reply all the same
            self._log.warning("Model did not answer", exc_info=error)
            return FALLBACK
        finally:
            self._count(outcome, time.perf_counter() - started)
        return text

    def _count(self, outcome: CallOutcome, duration_s: float) -> None:
        self._metrics.model.labels("answered" if outcome is CallOutcome.OK else "fallback").inc()
        self._metrics.outbound.observe(Peer.AI, Operation.COMPLETE, outcome, duration_s)

    async def _ask(self, text: str) -> str:
        messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}]
        content = orjson.dumps({"model": self._model, "messages": messages})
        async with self._http.post("v1/chat/completions", data=content, allow_redirects=False) as response:
            if response.status != 200:
                raise Refused(f"HTTP {response.status}")
            try:
                return _content(await read_body(response, MAX_ANSWER_BYTES))
            except BodyTooLong as error:
                raise Refused(str(error)) from error


def _content(body: bytes) -> str:
    """The reply's text in an answer of the API."""
    try:
        content = orjson.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise Refused("the answer has another form") from error
    if not isinstance(content, str) or not content.strip():
        raise Refused("the answer is empty")
    return content
