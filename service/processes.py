"""The two processes: their event loop, their signals, their end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Generator
from functools import partial
from typing import Any

import structlog
import uvicorn
import uvloop
from prometheus_client import start_http_server

from service.settings import WebSettings, WorkerSettings
from service.telemetry.logs import Tell, configure_logs
from service.webhooks.direct import WebhookProtocol
from service.webhooks.web import Draining, Web
from service.wiring.web import open_web
from service.wiring.worker import open_worker

KEEP_ALIVE_S = 75
"""Longer than WAHA (4 s) and the proxy keep idle connections: who closes first must be the one who sends."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which on SIGTERM first turns not ready, and closes its port a little later."""

    def __init__(self, config: uvicorn.Config, draining: Draining, delay_s: float) -> None:
        super().__init__(config)
        self._draining = draining
        self._delay_s = delay_s

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals in the loop; uvicorn's own raises them again, but an ordered end is exit 0."""
        loop = asyncio.get_running_loop()
        for stop_signal in STOP_SIGNALS:
            loop.add_signal_handler(stop_signal, self._drain)
        try:
            yield
        finally:
            for stop_signal in STOP_SIGNALS:
                loop.remove_signal_handler(stop_signal)

    def _drain(self) -> None:
        if self._draining.begun:  # asked twice: at once
            self.should_exit = True
            return
        self._draining.begun = True
        asyncio.get_running_loop().call_later(self._delay_s, setattr, self, "should_exit", True)


def run_web(settings: WebSettings) -> None:
    """Serve webhooks until SIGTERM."""
    tell = configure_logs(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, tell))


async def _serve(settings: WebSettings, tell: Tell) -> None:
    draining = Draining()
    async with open_web(settings, draining, tell) as web:
        await DrainingServer(_server_config(settings, web), draining, settings.drain_delay_s).serve()


def _server_config(settings: WebSettings, web: Web) -> uvicorn.Config:
    protocol: Any = partial(WebhookProtocol, webhook=web.webhook, stopwatch=web.stopwatch)
    return uvicorn.Config(
        web.app(),
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,  # ours, see logs.py
        access_log=False,
        proxy_headers=False,  # caller.py decides whom to believe
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, int(settings.stop_grace_s - settings.drain_delay_s - 1)),
    )


def run_worker(settings: WorkerSettings) -> None:
    """Answer messages until SIGTERM."""
    tell = configure_logs(settings.log_level)
    _collect_garbage_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, tell))


def _collect_garbage_rarely() -> None:
    """Look for cycles less often than Python does by default.

    Nearly all objects of a message go without it; it costs a sixth of the time for each message.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000, 20, 50)


async def _work(settings: WorkerSettings, tell: Tell) -> None:
    try:
        await _answer_messages(settings, tell)
    except Exception as error:  # the last line of the log must be JSON too
        structlog.get_logger().critical("Worker failed", exc_info=error)
        sys.exit(1)


async def _answer_messages(settings: WorkerSettings, tell: Tell) -> None:
    async with open_worker(settings, tell) as worker:
        loop = asyncio.get_running_loop()
        for stop_signal in STOP_SIGNALS:
            loop.add_signal_handler(stop_signal, worker.stop.set)
        server, thread = start_http_server(
            settings.metrics_port, addr=settings.host, registry=worker.metrics.registry
        )
        try:
            await worker.run()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
