"""Web servers, each with one process and the least application: webhooks per second at 32 connections."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.candidates.row import Candidate
from benchmarks.load import Generator
from benchmarks.programs import is_listening, python, running
from benchmarks.report import Load
from contracts.free_ports import free_port

COLUMNS = ("webhooks/s", "p50 (ms)", "p99 (ms)", "µs of processor each")
SECONDS = 4.0
WARM_UP_S = 1.0

_APP = "benchmarks.candidates.asgi_app:app"
_RSGI_APP = "benchmarks.candidates.rsgi_app:app"
_PORT = "PORT"

_GRANIAN = ("granian", "--host", "127.0.0.1", "--port", _PORT, "--workers", "1", "--log-level", "warning")
_COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "uvicorn, ASGI, httptools": (
        ("uvicorn", "httptools", "uvloop"),
        ("uvicorn", _APP, "--port", _PORT, "--loop", "uvloop", "--http", "httptools", "--lifespan", "off",
         "--no-access-log", "--log-level", "warning"),
    ),
    "uvicorn, ASGI, h11": (
        ("uvicorn", "h11", "uvloop"),
        ("uvicorn", _APP, "--port", _PORT, "--loop", "uvloop", "--http", "h11", "--lifespan", "off",
         "--no-access-log", "--log-level", "warning"),
    ),
    "granian, ASGI": (
        ("granian", "uvloop"), (*_GRANIAN, "--interface", "asginl", "--loop", "uvloop", _APP),
    ),
    "granian, RSGI": (
        ("granian", "uvloop"), (*_GRANIAN, "--interface", "rsgi", "--loop", "uvloop", _RSGI_APP),
    ),
    "hypercorn, ASGI": (
        ("hypercorn", "uvloop"), ("hypercorn", _APP, "--bind", f"127.0.0.1:{_PORT}", "-k", "uvloop"),
    ),
    "asyncio.Protocol, httptools": (
        ("httptools", "uvloop"), ("benchmarks.candidates.bare_server", "--port", _PORT),
    ),
}  # fmt: skip


def candidates() -> list[Candidate]:
    """All of them."""
    return [
        Candidate(name, packages, partial(_measure, command))
        for name, (packages, command) in _COMMANDS.items()
    ]


def _measure(command: tuple[str, ...]) -> tuple[str, ...]:
    port = free_port()
    filled = [part.replace(_PORT, str(port)) for part in command]
    with (
        tempfile.TemporaryDirectory() as folder,
        running("server", python(*filled), folder=Path(folder), port=port, alone=True) as server,
    ):
        server.wait_until(is_listening)
        figures = Generator(port, [server]).closed(seconds=SECONDS, warm_up_s=WARM_UP_S)
    load = Load.model_validate(figures)
    each_us = load.cpu["server"] / load.per_second * 1e6
    latency_ms = load.latency_ms
    return f"{load.per_second:,.0f}", f"{latency_ms['p50']:.2f}", f"{latency_ms['p99']:.2f}", f"{each_us:.1f}"
