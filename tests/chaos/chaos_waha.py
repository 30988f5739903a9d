"""WAHA and the model as stand-ins that note what they were asked to send, and fail in every way they can."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web

SEND = "/api/sendText"
MODEL = "/v1/chat/completions"
SLOW_S = 2.2
"""Longer than the workers' lease."""

REFUSES_AFTER_S = 2.0
IDLE_S = 5.0
"""Node closes idle connections after this time."""


class Behaviour(StrEnum):
    """What a stand-in does with each request."""

    WELL = "well"
    SLOW = "slow"
    ERROR = "error"
    REFUSE = "refuse"
    """As WAHA does for a session that does not work: 422, after it waited for it."""
    HANG = "hang"
    CUT = "cut"
    """It does what it is asked, and closes the connection instead of saying so."""


@dataclass(frozen=True)
class Sent:
    """One text that was sent. `time_s` is of the monotonic clock."""

    reply_to: str
    chat_id: str
    text: str
    time_s: float


@dataclass
class Waha:
    """WAHA at `/api`, and a model at `/v1`. `behaviour` is WAHA's, `model` the model's."""

    port: int
    behaviour: Behaviour = Behaviour.WELL
    model: Behaviour = Behaviour.WELL
    sent: list[Sent] = field(default_factory=list)
    asked: int = 0
    """How many texts it was asked to send, whatever it did with them."""
    requests: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its WAHA_API_URL, and the model's AI_API_URL."""
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=IDLE_S, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def down(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        if request.path == MODEL:
            return await self._behave(request, self.model, content)
        self.requests += 1
        self.asked += request.path == SEND
        return await self._behave(request, self.behaviour, content)

    async def _behave(self, request: web.Request, behaviour: Behaviour, content: bytes) -> web.StreamResponse:
        if behaviour is Behaviour.ERROR:
            return web.json_response({"statusCode": 500, "message": "Internal server error"}, status=500)
        if behaviour is Behaviour.REFUSE:
            await asyncio.sleep(REFUSES_AFTER_S)
            return web.json_response({"error": "too many"}, status=429)
        if behaviour is Behaviour.HANG:
            await asyncio.sleep(3600)
        if behaviour is Behaviour.SLOW:
            await asyncio.sleep(SLOW_S)
        answer = self._answer(request.path, content)
        if behaviour is Behaviour.CUT:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer, status=201 if request.path == SEND else 200)

    def _answer(self, path: str, content: bytes) -> dict[str, Any]:
        if path == MODEL:
            return {"choices": [{"message": {"role": "assistant", "content": "the model's answer"}}]}
        if path != SEND:
            return {"success": True, "result": True, "message": "pong", "status": "WORKING"}
        asked = json.loads(content)
        reply_to = str(asked.get("reply_to"))
        self.sent.append(Sent(reply_to, asked["chatId"], asked["text"], time.monotonic()))
        return _webjs_answer(asked["chatId"], len(self.sent))


def _webjs_answer(chat_id: str, number: int) -> dict[str, Any]:
    """What WAHA's WEBJS engine answers to a sent text."""
    bare_id = f"3EB0{number:016X}"
    serialized = f"true_{chat_id}_{bare_id}"
    message_id = {"fromMe": True, "remote": chat_id, "id": bare_id, "_serialized": serialized}
    return {"id": message_id, "ack": 0, "hasMedia": False, "fromMe": True, "to": chat_id, "timestamp": 0}
