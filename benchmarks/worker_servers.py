"""The worker's side of the service, started on a Redis that a web process has filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.programs import Program, is_listening, python, running
from benchmarks.servers import redis_url
from contracts.free_ports import free_port


@contextmanager
def instant_waha(folder: Path) -> Iterator[Program]:
    """The WAHA that answers at once."""
    port = free_port()
    command = python("benchmarks.instant_waha", "--port", str(port))
    with running("waha", command, folder=folder, port=port) as waha:
        waha.wait_until(is_listening)
        yield waha


@contextmanager
def worker_process(folder: Path, redis: Program, waha: Program) -> Iterator[Program]:
    """One worker with its default settings; it answers with the fixed acknowledgement."""
    port = free_port()
    env = worker_environment(redis, waha, folder, port)
    command = python("service", "worker")
    with running("worker", command, folder=folder, port=port, env=env, alone=True) as worker:
        worker.wait_until(is_listening)
        yield worker


def worker_environment(redis: Program, waha: Program, folder: Path, metrics_port: int) -> dict[str, str]:
    """What the worker is told: all else is at its default."""
    return {
        "REDIS_URL": redis_url(redis),
        "WAHA_API_URL": f"http://127.0.0.1:{waha.port}",
        "WAHA_API_KEY": "benchmark",
        "METRICS_PORT": str(metrics_port),
        "HEARTBEAT_FILE": str(folder / "heartbeat"),
    }
