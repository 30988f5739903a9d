"""WAHA as the sender: open arrivals, every refused webhook sent again as it was, duplicates sprinkled in."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers

SECRET = "the chaos tests' secret"
RETRIES = 15
PAUSE_S = 2.0
"""How often and how far apart WAHA tries again by default."""

GIVES_UP_S = 8.0
"""WAHA's HTTP agent waits this long for an answer."""

IDLE_S = 4.0
"""WAHA closes idle connections after this time."""

CHATS = 40
AGAIN_AS_ANY = 0.1
AGAIN_AS_LID = 0.05


@dataclass(frozen=True)
class Refusal:
    """One attempt that was not acknowledged. `status`: 0 where no answer came."""

    status: int
    retry_after: str | None
    took_s: float
    reason: str = ""


@dataclass
class Sent:
    """One message. `acknowledged_s`: when the first 2xx came, or None; times are of the monotonic clock."""

    payload_id: str
    chat: str
    began_s: float
    acknowledged_s: float | None = None
    statuses: list[str] = field(default_factory=list)
    """What the 2xx answers said."""


@dataclass
class Sender:
    """Sends signed messages to *url* and knows which were acknowledged."""

    url: str
    choice: random.Random
    text: str = "hello"
    chats: int = CHATS
    messages: list[Sent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    """From the intended time of each message to its acknowledgement."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def acknowledged(self) -> list[Sent]:
        """The messages for which a 2xx came."""
        return [message for message in self.messages if message.acknowledged_s is not None]

    @asynccontextmanager
    async def sending(self, per_s: float) -> AsyncIterator[None]:
        """Send *per_s* messages a second during the block; afterwards each is acknowledged or given up."""
        async with self._session() as session:
            arrivals = asyncio.create_task(self._arrive(session, per_s, 10**9))
            try:
                yield
            finally:
                arrivals.cancel()
            await self._all_delivered()

    async def send(self, count: int, per_s: float = 200) -> None:
        """Send *count* messages, *per_s* of them a second, each until it is acknowledged or given up."""
        async with self._session() as session:
            await self._arrive(session, per_s, count)
            await self._all_delivered()

    async def _all_delivered(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=GIVES_UP_S),
        )

    async def _arrive(self, session: aiohttp.ClientSession, per_s: float, count: int) -> None:
        """Start messages at fixed times, whatever becomes of the earlier ones."""
        began = time.monotonic()
        for number in range(count):
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._message(session, due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _message(self, session: aiohttp.ClientSession, due: float) -> None:
        number = len(self.messages)
        chat, bare_id = f"49155{number % self.chats:07}@c.us", f"{number:08}"
        message = Sent(f"false_{chat}_{bare_id}", chat, due)
        self.messages.append(message)
        first = self._deliver(session, message, self._body(chat, bare_id, "message"))
        if self.choice.random() < AGAIN_AS_ANY:
            await asyncio.gather(
                first, self._deliver(session, message, self._body(chat, bare_id, "message.any"))
            )
        else:
            await first
        self._note_wait(message)
        if message.acknowledged_s is not None and self.choice.random() < AGAIN_AS_LID:
            lid = chat.replace("@c.us", "@lid")
            await self._deliver(session, message, self._body(lid, bare_id, "message"))

    def _body(self, chat: str, bare_id: str, event: str) -> bytes:
        return encode(message_event(self.text, chat_id=chat, message_id=bare_id, event=event))

    def _note_wait(self, message: Sent) -> None:
        if message.acknowledged_s is not None:
            self.waits_s.append(message.acknowledged_s - message.began_s)

    async def _deliver(self, session: aiohttp.ClientSession, message: Sent, body: bytes) -> None:
        """Send one webhook until it is acknowledged, with the same bytes and ids each time."""
        headers = signed_headers(body, SECRET)
        for _ in range(1 + RETRIES):
            refusal = await self._attempt(session, message, body, headers)
            if refusal is None:
                return
            self.refusals.append(refusal)
            await asyncio.sleep(float(refusal.retry_after or PAUSE_S))
        self.given_up.append(message.payload_id)

    async def _attempt(
        self, session: aiohttp.ClientSession, message: Sent, body: bytes, headers: dict[str, str]
    ) -> Refusal | None:
        began = time.monotonic()
        try:
            async with session.post(f"{self.url}{WEBHOOK_PATH}", data=body, headers=headers) as answer:
                if 200 <= answer.status < 300:
                    message.statuses.append(str((await answer.json())["status"]))
                    message.acknowledged_s = message.acknowledged_s or time.monotonic()
                    return None
                reason = (await answer.text())[:200]
                after = answer.headers.get("Retry-After")
                return Refusal(answer.status, after, time.monotonic() - began, reason)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Refusal(0, None, time.monotonic() - began, str(error) or type(error).__name__)
