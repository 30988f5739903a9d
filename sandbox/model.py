"""An OpenAI-style model API that repeats what it was told: an answer can be traced to its question."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, in_shape, read_object


def model_app() -> Starlette:
    """`/v1/chat/completions`, whole answers only (no streaming)."""
    return Starlette(
        routes=[Route("/v1/chat/completions", _complete, methods=["POST"])],
        exception_handlers=in_shape(_openai_error),
    )


async def _complete(request: Request) -> Response:
    body = await read_object(request)
    if not isinstance(body.get("model"), str):
        raise RefusedError(400, "you must provide a model parameter")
    if body.get("stream"):
        raise RefusedError(400, "the sandbox does not stream: leave out 'stream'")
    question = _last_user_text(body.get("messages"))
    return JSONResponse(_completion(body["model"], question, f"You said: {question}"))


def _last_user_text(messages: object) -> str:
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, "'messages' should be a non-empty array")
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return _text_of(message.get("content"))
    raise RefusedError(400, "'messages' has no message with the role 'user'")


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        if parts and all(isinstance(part, str) for part in parts):
            return " ".join(str(part) for part in parts)
    raise RefusedError(400, "'content' should be a string or an array of text parts")


def _completion(model: str, question: str, answer: str) -> dict[str, Any]:
    asked, answered = len(question.split()), len(answer.split())
    return {
        "id": f"chatcmpl-{hashlib.sha256(question.encode()).hexdigest()[:29]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
        },
    }


def _openai_error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
