"""Which release's workers take live messages: the one that has the traffic. The proxy is asked each second.

A pointer of our own, in Redis, was lost with Redis's data, and could differ from what the proxy does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable

import aiohttp

from service.lanes import LIVE
from service.storage.store import Store, StoreError
from service.telemetry.logs import Log
from service.telemetry.metrics import WorkerMetrics

POLL_INTERVAL_S = 1.0
TIMEOUT_S = 1.0

UNKNOWN_AFTER_S = 5.0
"""Without an answer for so long nobody knows any more, although the last answer still holds."""

LOG_INTERVAL_S = 60.0

OLDER_POINTER = "{wa}:live"
"""The key by which workers from before the proxy was asked know it: one may be kept, to be rolled back to."""

_RELEASE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class LiveReleaseUnknown(Exception):
    """The proxy did not say; the message says why."""


async def ask_live_release(url: str) -> str:
    """The id of the release that has the traffic, by the proxy's listener at *url*.

    Raises:
        LiveReleaseUnknown: it did not answer, or not with an id.
    """
    # A new connection each time: the proxy that answers must be the one that has the traffic now.
    connector = aiohttp.TCPConnector(force_close=True, use_dns_cache=False)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as http,
            http.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise LiveReleaseUnknown(f"HTTP {answer.status}")
            text = (await answer.text(errors="replace")).strip()
    except LiveReleaseUnknown:
        raise
    except Exception as error:  # whatever it is, the next answer may be a good one
        raise LiveReleaseUnknown(type(error).__name__) from error
    if not _RELEASE.fullmatch(text):
        raise LiveReleaseUnknown("the answer is no release's id")
    return text


class LiveRelease:
    """Whether our release is live. The last answer holds until there is another; before it, ours is not."""

    def __init__(
        self,
        url: str | None,
        release: str,
        *,
        metrics: WorkerMetrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without *url* or *release* nobody is asked: a worker that was started bare is always live."""
        self._url = url if release else None
        self._release = release
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._answer: str | None = None
        self._pointed_to: str | None = None
        self._answered_at = -UNKNOWN_AFTER_S
        self._logged_at = -LOG_INTERVAL_S
        metrics.live_release_known.set(self._url is None)

    @property
    def is_ours(self) -> bool:
        """Whether our workers take live messages."""
        return self._url is None or self._answer == self._release

    async def watch_forever(self, store: Store) -> None:
        """Ask now and each second, until cancelled."""
        if self._url is None:
            return
        while True:
            await self.poll(self._url, store)
            await asyncio.sleep(POLL_INTERVAL_S)

    async def poll(self, url: str, store: Store) -> None:
        """Ask once; tell of a change, and of not knowing while messages wait in *store*."""
        try:
            answer = await ask_live_release(url)
        except LiveReleaseUnknown as error:
            is_known = self._clock() - self._answered_at < UNKNOWN_AFTER_S
            self._metrics.live_release_known.set(is_known)
            if not is_known:
                await self._log_unknown(store, str(error))
            return
        if answer != self._answer:
            self._log.info("Live release", live=answer, ours=answer == self._release)
        self._answer, self._answered_at = answer, self._clock()
        self._metrics.live_release_known.set(1)
        if answer != self._pointed_to:
            await self._point_to(answer, store)

    async def _point_to(self, answer: str, store: Store) -> None:
        """Tell older workers: until then they take live messages beside us, or after a rollback none."""
        with contextlib.suppress(StoreError):  # the next poll tries again
            await store.call("SET", OLDER_POINTER, answer)
            self._pointed_to = answer

    async def _log_unknown(self, store: Store, reason: str) -> None:
        if self._clock() - self._logged_at < LOG_INTERVAL_S:
            return
        try:
            waiting = await store.call("XLEN", LIVE.stream)
        except StoreError:
            return  # the worker tells of that
        if waiting:
            self._logged_at = self._clock()
            self._log.error(
                "Which release is live is not known: the proxy does not say",
                reason=reason,
                waiting=waiting,
                takes=self.is_ours,
            )
