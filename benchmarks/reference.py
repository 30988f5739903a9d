"""The reference: the endpoint that one would write first. FastAPI, redis-py, one `await` for each command.

It does what the service's web process must do at least: verify the signature, limit the rate, take each
message once, enqueue it. No logs, no metrics, and nothing that keeps a crash from falling between two steps.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from redis._parsers import _AsyncHiredisParser, _AsyncRESP2Parser
from redis.asyncio import ConnectionPool, Redis

STREAM = "messages"
SECRET = os.environ["WAHA_WEBHOOK_SECRET"].encode()
RATE_LIMIT_PER_MINUTE = int(os.environ["RATE_LIMIT_PER_MINUTE"])
MINUTE_S = 60
CLAIM_S = 2 * 86_400

PARSERS: dict[str, Any] = {"python": _AsyncRESP2Parser, "hiredis": _AsyncHiredisParser}
"""redis-py takes hiredis wherever it is installed, which it is here."""

redis: Redis = Redis(
    connection_pool=ConnectionPool.from_url(
        os.environ["REDIS_URL"], parser_class=PARSERS[os.environ["REDIS_PARSER"]], protocol=2
    )
)


@asynccontextmanager
async def _closing_redis(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await redis.aclose()


app = FastAPI(lifespan=_closing_redis)


@app.get("/api/health/ready")
async def ready() -> dict[str, str]:
    """Whether Redis answers."""
    await redis.ping()
    return {"status": "ready"}


@app.post("/api/webhooks/whatsapp", status_code=202)
async def webhook(request: Request) -> dict[str, str]:
    """Take one webhook: verify, INCR, SET NX, XADD."""
    body = await request.body()
    signature = hmac.digest(SECRET, body, "sha512").hex()
    if not hmac.compare_digest(signature, request.headers.get("X-Webhook-Hmac", "")):
        raise HTTPException(401, "invalid signature")

    rate = f"rate:{request.client.host if request.client else 'unknown'}"
    count = await redis.incr(rate)
    if count == 1:
        await redis.expire(rate, MINUTE_S)
    if count > RATE_LIMIT_PER_MINUTE:
        raise HTTPException(429, "rate limit exceeded", {"Retry-After": str(MINUTE_S)})

    event = json.loads(body)
    message_id = event["payload"]["id"]
    if not await redis.set(f"claim:{message_id}", 1, nx=True, ex=CLAIM_S):
        return {"status": "duplicate", "messageId": message_id}
    await redis.xadd(STREAM, {"event": body})
    return {"status": "accepted", "messageId": message_id}
