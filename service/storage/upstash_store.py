"""Redis over Upstash's REST API: https://upstash.com/docs/redis/features/restapi.

Nothing is ever sent twice, as in `redis_store`. Commands travel as JSON, so their arguments must be UTF-8;
replies come in base64, so they may be any bytes. REST has no blocking reads, so `read_group` asks repeatedly.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import orjson

from service.storage.batches import Batches, Call
from service.storage.store import (
    Argument,
    Command,
    Script,
    StoreAway,
    StoreError,
    StoreRefused,
    StreamEntries,
    refusal,
    stream_entries,
)

FIRST_PAUSE_MS = 50
LONGEST_PAUSE_MS = 500
"""Between two looks into an empty stream: doubling from the one to the other, since each look costs money."""

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP's ways to say: not now."""


class UpstashStore:
    """See `Store`. To be made in a running event loop."""

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        """*timeout_s* bounds each round trip."""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}", "Upstash-Encoding": "base64"},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )
        self._url = f"{url}/pipeline"
        self._timeout_s = timeout_s
        self._scripts: set[str] = set()
        self._batches = Batches(self._send)

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """See `Store.call`."""
        return asyncio.ensure_future(self._put(command))

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        at_once: bool = False,
    ) -> asyncio.Future[Any]:
        """See `Store.run`."""
        return asyncio.ensure_future(self._put((len(keys), *keys, *arguments), script, at_once=at_once))

    async def _put(self, command: Command, script: Script | None = None, *, at_once: bool = False) -> Any:
        return await self._batches.put(_texts(command), script, at_once=at_once)

    async def read_group(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int, block_ms: int
    ) -> list[StreamEntries]:
        """See `Store.read_group`."""
        asking: Command = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count)
        command = (*asking, "STREAMS", *streams, *(">" for _ in streams))
        for pause_ms in _pauses(block_ms):
            if found := await self.call(*command):
                return stream_entries(found)
            await asyncio.sleep(pause_ms / 1000)
        return stream_entries(await self.call(*command))

    def _send(self, calls: Sequence[Call]) -> asyncio.Future[list[Any]]:
        return asyncio.ensure_future(self._ask([call.to_send(self._scripts) for call in calls]))

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps(commands, default=bytes.decode),  # bytes: a script's text
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                status, body = response.status, await response.read()
        except TimeoutError as error:
            raise StoreAway(f"Upstash did not answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise StoreAway(f"Upstash cannot be reached: {type(error).__name__}") from error
        return _replies(status, body, len(commands))

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._batches.aclose()
        await self._session.close()


def _pauses(block_ms: int) -> Iterator[int]:
    """Growing pauses that are *block_ms* together."""
    pause_ms = FIRST_PAUSE_MS
    while block_ms > 0:
        yield min(pause_ms, block_ms)
        block_ms -= pause_ms
        pause_ms = min(pause_ms * 2, LONGEST_PAUSE_MS)


def _texts(command: Sequence[Argument]) -> tuple[str, ...]:
    """*command* as JSON can carry it: numbers as text too, which Redis makes of them anyway.

    Raises:
        StoreRefused: an argument is not UTF-8.
    """
    try:
        return tuple(part.decode() if isinstance(part, bytes) else str(part) for part in command)
    except UnicodeDecodeError as error:
        raise StoreRefused("Upstash's REST API takes UTF-8 only") from error


def _replies(status: int, body: bytes, count: int) -> list[Any]:
    """Each command's reply.

    Raises:
        StoreError: the request as a whole was refused, or the answer is not Upstash's.
    """
    if status in _PASSING:
        raise StoreAway(f"Upstash answered HTTP {status}")
    try:
        answer = orjson.loads(body)
        if isinstance(answer, dict):
            raise _as_a_whole(status, str(answer["error"]))
        if len(answer) == count:
            return [_reply(one) for one in answer]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise StoreAway(f"not Upstash's answer: HTTP {status}") from error
    raise StoreAway(f"Upstash answered {len(answer)} of {count} commands")


def _as_a_whole(status: int, error: str) -> StoreError:
    return StoreRefused(f"Upstash refused: HTTP 401 {error}") if status == 401 else refusal(error)


def _reply(one: dict[str, Any]) -> Any:
    return refusal(one["error"]) if "error" in one else _decoded(one["result"])


def _decoded(value: Any) -> Any:
    """The reply as RESP2 has it; Upstash encodes every text but the status OK."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, str):
        return b"OK" if value == "OK" else base64.b64decode(value, validate=True)
    return value
