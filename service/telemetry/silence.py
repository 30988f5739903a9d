"""Silent sessions: WAHA may call a session WORKING that has sent nothing for hours.

Web processes note each session's latest event, workers look for those whose latest is long ago. Of all
workers the one that enters a session into `{wa}:silent` tells of it, the one that takes it out of the end.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx
from prometheus_client import Gauge

from service.storage.last_seen import LastSeen, times_of
from service.storage.store import Store
from service.telemetry.logs import Log

LOOK_EVERY_S = 30.0

ASK_S = 5.0
"""How long WAHA may take to answer."""

ASK_AT_ONCE = 10
"""Sessions that are told of in one look; WAHA is asked about each, and others wait for the next look."""

FORGET_AFTER_MS = 30 * 24 * 3600 * 1000
"""A session that was silent for so long is not coming back."""

_SILENT = "{wa}:silent"
"""Sessions whose silence was told, and when their latest event was (ms)."""

_NUMBER = re.compile(r"\d{4,}(?=\d{3})")
"""All but the last digits of what may be a telephone number: some name sessions by it."""

_STATUS = re.compile(r"[A-Z_]{1,40}")


class Sessions(LastSeen):
    """When the latest event of each session came."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, "{wa}:sessions", most=1000)


class SilenceWatch:
    """Looks for silent sessions."""

    def __init__(
        self,
        store: Store,
        waha: httpx.AsyncClient | None,
        *,
        after_s: float,
        silent: Gauge,
        log: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*after_s*: how long is silent, 0: nothing is. *waha* has WAHA's base URL and key."""
        self._store = store
        self._sessions = Sessions(store)
        self._waha = waha
        self._after_s = after_s
        self._silent = silent
        self._log = log
        self._clock = clock

    async def look(self) -> None:
        """Tell once of each silence and of its end. Raises what the store raises."""
        if not self._after_s:
            return
        now_ms = int(self._clock() * 1000)
        silent = await self._silent_sessions(now_ms)
        told = await self._told()
        self._silent.set(len(silent))
        untold = [name for name in silent if name not in told][:ASK_AT_ONCE]
        await asyncio.gather(*(self._tell_of_silence(name, silent[name], now_ms) for name in untold))
        for name in told.keys() - silent.keys():
            await self._tell_of_end(name, told[name])

    async def _silent_sessions(self, now_ms: int) -> dict[str, int]:
        """Those to tell of, and when each was last heard."""
        silent = await self._sessions.not_since(now_ms - int(self._after_s * 1000))
        gone = [name for name, seen_ms in silent.items() if now_ms - seen_ms > FORGET_AFTER_MS]
        for name in gone:
            await self._sessions.forget(name)
            del silent[name]
        return silent

    async def _told(self) -> dict[str, int]:
        return times_of(await self._store.call("HGETALL", _SILENT))

    async def _tell_of_silence(self, name: str, seen_ms: int, now_ms: int) -> None:
        status = await self._status(name)
        if status == "NOT_FOUND":
            await self._sessions.forget(name)
        elif await self._store.call("HSETNX", _SILENT, name, seen_ms):
            silent_s = (now_ms - seen_ms) // 1000
            self._log.warning("Session silent", session=shown(name), silentS=silent_s, wahaStatus=status)

    async def _tell_of_end(self, name: str, seen_ms: int) -> None:
        heard_ms = await self._sessions.when(name)
        ended = await self._store.call("HDEL", _SILENT, name)
        if ended and heard_ms is not None:  # None: it was forgotten, it does not speak
            self._log.info("Session speaks again", session=shown(name), silentS=(heard_ms - seen_ms) // 1000)

    async def _status(self, name: str) -> str:
        """WAHA's word for the session's state, `NOT_FOUND`, or `UNKNOWN` if it does not say."""
        if self._waha is None:
            return "UNKNOWN"
        try:
            answer = await self._waha.get(f"/api/sessions/{quote(name, safe='')}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return "NOT_FOUND"
            status = answer.json()["status"]
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            return "UNKNOWN"
        return status if isinstance(status, str) and _STATUS.fullmatch(status) else "UNKNOWN"


def shown(session: str) -> str:
    """A session's name as a log may have it."""
    return _NUMBER.sub("***", session)
