"""What is measured, started on free ports of loopback: a Redis and, on it, the reference or the service."""

from __future__ import annotations

import http.client
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis as blocking_redis

from benchmarks.errors import BenchError
from benchmarks.presigned import SECRET
from benchmarks.programs import Program, python, running
from benchmarks.report import Side
from contracts.durability import DURABLE, as_arguments
from contracts.free_ports import free_port

RATE_LIMIT_PER_MINUTE = 6_000_000
MAX_STREAM_LENGTH = 1_000_000_000
"""The limits are on, and far away: their work is measured, not their refusals."""

STREAM = "{wa}:messages"
"""The service's stream of live messages; a test holds it equal to the service's own name."""

READY_PATH = "/api/health/ready"


@dataclass(frozen=True)
class Served:
    """A web process and the Redis that it stands on."""

    web: Program
    redis: Program


Serve = Callable[[Path], AbstractContextManager[Served]]
"""Starts one side in a folder, for the block's length."""


@contextmanager
def data_folder(within: Path) -> Iterator[Path]:
    """A folder for Redis's files and the logs, gone with the block. Not in /tmp: that may be memory."""
    within.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=within)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis_server(folder: Path, *, appendfsync: str = DURABLE["appendfsync"]) -> Iterator[Program]:
    """A Redis of its own, configured as the stack's, but for how often it syncs and how much it may hold."""
    if shutil.which("redis-server") is None:
        raise BenchError(
            "redis-server is not installed", "`bin/runbook bench` installs it, or apt install redis-server"
        )
    port = free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder)}
    command = ["redis-server", *as_arguments({**options, **DURABLE, "appendfsync": appendfsync})]
    with running("redis", command, folder=folder, port=port) as program:
        program.wait_until(_answers_ping)
        yield program


@contextmanager
def reference(folder: Path) -> Iterator[Served]:
    """The reference as its packages alone run it: uvicorn on asyncio and h11, redis-py's own parser."""
    with _fastapi(folder, ["--loop", "asyncio", "--http", "h11"], redis_parser="python") as served:
        yield served


@contextmanager
def tuned(folder: Path) -> Iterator[Served]:
    """The reference's code on uvloop, httptools and hiredis, as ours."""
    with _fastapi(folder, ["--loop", "uvloop", "--http", "httptools"], redis_parser="hiredis") as served:
        yield served


@contextmanager
def _fastapi(folder: Path, uvicorn: list[str], *, redis_parser: str) -> Iterator[Served]:
    with redis_server(folder, appendfsync="everysec") as redis:
        port = free_port()
        options = ["--host", "127.0.0.1", "--port", str(port), *uvicorn]
        quiet = ["--no-access-log", "--log-level", "warning"]
        command = python("uvicorn", "benchmarks.reference:app", *options, *quiet)
        env = web_environment(redis) | {"REDIS_PARSER": redis_parser}
        with running("reference", command, folder=folder, port=port, env=env, alone=True) as web:
            web.wait_until(is_ready)
            yield Served(web, redis)


@contextmanager
def service(folder: Path) -> Iterator[Served]:
    """The service's web process, bare, with everything on; its log goes to a file."""
    with redis_server(folder) as redis, web_process(folder, redis) as web:
        yield Served(web, redis)


@contextmanager
def web_process(folder: Path, redis: Program) -> Iterator[Program]:
    """The service's web process on *redis*."""
    port = free_port()
    env = service_environment(redis, port)
    command = python("service", "web")
    with running("web", command, folder=folder, port=port, env=env, alone=True) as web:
        web.wait_until(is_ready)
        yield web


def web_environment(redis: Program) -> dict[str, str]:
    """What both sides are told."""
    return {
        "REDIS_URL": redis_url(redis),
        "WAHA_WEBHOOK_SECRET": SECRET,
        "RATE_LIMIT_PER_MINUTE": str(RATE_LIMIT_PER_MINUTE),
    }


def service_environment(redis: Program, port: int) -> dict[str, str]:
    """What our web process is told beside that: where to listen, and not to wait when it ends."""
    return web_environment(redis) | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MAX_STREAM_LENGTH": str(MAX_STREAM_LENGTH),
        "DRAIN_DELAY_S": "0",
    }


def redis_url(redis: Program) -> str:
    """Where *redis* is."""
    return f"redis://127.0.0.1:{redis.port}/0"


def is_ready(port: int) -> bool:
    """Whether the web process on *port* says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _answers_ping(port: int) -> bool:
    try:
        with blocking_redis.Redis(port=port) as client:
            return bool(client.ping())
    except blocking_redis.ConnectionError:
        return False


SERVE: dict[Side, Serve] = {"reference": reference, "tuned": tuned, "ours": service}
