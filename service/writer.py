"""What a reply says: written by a model behind an OpenAI-compatible API, or fixed."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import httpx

from service.event import Message
from service.logs import Log
from service.metrics import WorkerMetrics

ACKNOWLEDGEMENT = "Thank you, your message has arrived. We will answer soon."
FALLBACK = "Thank you for your message. We cannot answer right now and will get back to you soon."
INSTRUCTION = (
    "You are a helpful assistant answering WhatsApp messages. Answer briefly, in the language of the message."
)


class Writer(Protocol):
    """Finds the text of a reply."""

    async def write(self, message: Message) -> str:
        """A text that is not empty. Raises nothing: whoever writes has something to say in any case."""


class Acknowledgement:
    """The writer where no model is configured."""

    async def write(self, message: Message) -> str:
        """See `Writer.write`."""
        return ACKNOWLEDGEMENT


class Model:
    """The writer that asks a model, and falls back to a fixed text when that does not answer in time."""

    def __init__(
        self, client: httpx.AsyncClient, *, model: str, timeout_s: float, metrics: WorkerMetrics, log: Log
    ) -> None:
        """*client* has the API's base URL and key."""
        self._client = client
        self._model = model
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._log = log

    async def write(self, message: Message) -> str:
        """See `Writer.write`."""
        if not message.text.strip():
            return ACKNOWLEDGEMENT  # a picture or a voice message without words
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._ask(message.text)
        except (
            Exception
        ) as error:  # the API's answer may break in any way; a customer gets a reply all the same
            self._metrics.model.labels("fallback").inc()
            self._log.warning("Model did not answer", exc_info=error)
            return FALLBACK
        self._metrics.model.labels("answered").inc()
        return text

    async def _ask(self, text: str) -> str:
        messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}]
        response = await self._client.post(
            "/v1/chat/completions", json={"model": self._model, "messages": messages}
        )
        response.raise_for_status()
        return _content(response.json())


def _content(answer: Any) -> str:
    content = answer["choices"][0]["message"]["content"]
    if not isinstance(content, str) or not content.strip():
        raise ValueError("the model's answer is empty")
    content.encode()  # a lone surrogate could not be sent on
    return content
