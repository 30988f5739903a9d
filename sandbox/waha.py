"""WAHA, the WhatsApp HTTP API (shapes of its WEBJS engine): sending is recorded instead of done.

Every session with a well-formed name is WORKING, except those whose name starts with `stopped`: they answer
as WAHA does for a session that is not started.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, in_shape, read_object
from sandbox.waha_webhook import ENVIRONMENT, ME, WahaWebhook, sent_payload

KEPT_MESSAGES = 10_000

_SESSION_NAME = re.compile(r"[A-Za-z0-9_-]{1,54}")
_PHRASES = {400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Payload Too Large"}

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class SentMessage:
    """One text that was sent: `time` in ms since the epoch, `replyTo` the id of the message it answers."""

    session: str
    chatId: str  # noqa: N815 - the name in the JSON
    text: str
    replyTo: str | None  # noqa: N815 - the name in the JSON
    time: int


class Sent:
    """The latest texts that were sent, oldest first; bounded, so that a load test cannot fill the memory."""

    def __init__(self, kept: int = KEPT_MESSAGES) -> None:
        self._messages: deque[SentMessage] = deque(maxlen=kept)

    def add(self, message: SentMessage) -> None:
        """Record *message*; the oldest is forgotten when there are too many."""
        self._messages.append(message)

    def listed(self, chat_id: str | None = None) -> list[dict[str, Any]]:
        """What was sent, oldest first, as JSON objects; only to *chat_id* if given."""
        return [asdict(message) for message in self._messages if chat_id in (None, message.chatId)]

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()


@dataclass
class ApiKey:
    """The key that WAHA wants in `X-Api-Key`; None: it takes any."""

    value: str | None = field(default=None, repr=False)

    def admits(self, given: str) -> bool:
        """Whether *given* is it."""
        return self.value is None or hmac.compare_digest(given.encode(), self.value.encode())


def waha_app(sent: Sent, api_key: ApiKey, webhook: WahaWebhook | None = None) -> Starlette:
    """WAHA's API; all under `/api` wants *api_key*; *webhook* is told what is sent."""

    async def send_text(request: Request) -> Response:
        body = await read_object(request)
        message = _message_from(body)
        _require_working(message.session)
        sent.add(message)
        bare_id = f"3EB0{secrets.token_hex(9).upper()}"
        if webhook:
            webhook.tell(message.session, _payload(message, bare_id))
        return JSONResponse(_webjs_answer(message, bare_id), status_code=201)

    endpoints: list[tuple[str, str, Endpoint]] = [
        ("GET", "/api/server/version", _version),
        ("GET", "/api/sessions", _sessions),
        ("GET", "/api/sessions/{name}", _session),
        ("POST", "/api/sendText", send_text),
        ("POST", "/api/sendSeen", _chat_action({"success": True})),
        ("POST", "/api/startTyping", _chat_action({"result": True})),
        ("POST", "/api/stopTyping", _chat_action({"result": True})),
    ]
    routes = [
        Route(path, _guarded(endpoint, api_key), methods=[method]) for method, path, endpoint in endpoints
    ]
    ping = Route("/ping", _ping, methods=["GET"])
    return Starlette(routes=[ping, *routes], exception_handlers=in_shape(_nest_error))


def _guarded(endpoint: Endpoint, api_key: ApiKey) -> Endpoint:
    async def guarded(request: Request) -> Response:
        if not api_key.admits(request.headers.get("X-Api-Key", "")):
            return JSONResponse({"message": "Unauthorized", "statusCode": 401}, status_code=401)
        return await endpoint(request)

    return guarded


async def _ping(request: Request) -> Response:
    return JSONResponse({"message": "pong"})


async def _version(request: Request) -> Response:
    return JSONResponse(ENVIRONMENT)


async def _sessions(request: Request) -> Response:
    return JSONResponse([_described("default")])


async def _session(request: Request) -> Response:
    name = request.path_params["name"]
    if not _SESSION_NAME.fullmatch(name):
        raise RefusedError(404, "Session not found")
    return JSONResponse(_described(name))


def _described(name: str) -> dict[str, Any]:
    status = _status(name)
    me = {"id": ME, "pushName": "Assistant"} if status == "WORKING" else None
    return {
        "name": name,
        "status": status,
        "config": {"webhooks": []},
        "me": me,
        "engine": {"engine": "WEBJS"},
    }


def _chat_action(answer: dict[str, bool]) -> Endpoint:
    async def act(request: Request) -> Response:
        body = await read_object(request)
        session, _ = _text_field(body, "session", "default"), _text_field(body, "chatId")
        _require_working(session)
        return JSONResponse(answer, status_code=201)

    return act


def _message_from(body: dict[str, Any]) -> SentMessage:
    reply_to = body.get("reply_to")
    if reply_to is not None and not isinstance(reply_to, str):
        raise RefusedError(400, "reply_to must be a string")
    return SentMessage(
        session=_text_field(body, "session", "default"),
        chatId=_text_field(body, "chatId"),
        text=_text_field(body, "text"),
        replyTo=reply_to,
        time=int(time.time() * 1000),
    )


def _text_field(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise RefusedError(400, f"{name} must be a non-empty string")
    return value


def _status(session: str) -> str:
    return "STOPPED" if session.startswith("stopped") else "WORKING"


def _require_working(session: str) -> None:
    status = _status(session)
    if status != "WORKING":
        message = "Session status is not as expected. Try again later or restart the session"
        body = {"error": message, "session": session, "status": status, "expected": ["WORKING"]}
        raise RefusedError(422, message, body)


def _nest_error(status: int, message: str) -> dict[str, Any]:
    wording: str | list[str] = [message] if status == 400 and " must be " in message else message
    return {"message": wording, "error": _PHRASES.get(status, "Error"), "statusCode": status}


def _payload(message: SentMessage, bare_id: str) -> dict[str, Any]:
    return sent_payload(message.chatId, bare_id, message.text, message.replyTo, message.time)


def _webjs_answer(message: SentMessage, bare_id: str) -> dict[str, Any]:
    """What WAHA's WEBJS engine answers to a sent text: the engine's own message, in the main fields."""
    seconds = message.time // 1000
    message_id = {
        "fromMe": True,
        "remote": message.chatId,
        "id": bare_id,
        "_serialized": f"true_{message.chatId}_{bare_id}",
    }
    return {
        "_data": {"id": message_id, "body": message.text, "type": "chat", "t": seconds, "ack": 0},
        "id": message_id,
        "ack": 0,
        "hasMedia": False,
        "body": message.text,
        "type": "chat",
        "timestamp": seconds,
        "from": ME,
        "to": message.chatId,
        "deviceType": "web",
        "isForwarded": False,
        "forwardingScore": 0,
        "isStatus": False,
        "isStarred": False,
        "fromMe": True,
        "hasQuotedMsg": message.replyTo is not None,
        "hasReaction": False,
        "vCards": [],
        "mentionedIds": [],
        "groupMentions": [],
        "isGif": False,
        "links": [],
    }
