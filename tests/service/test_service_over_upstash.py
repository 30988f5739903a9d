"""The two processes with no other Redis than Upstash's REST API: a message is taken, answered, and done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import redis as blocking_redis
from service_kit import CLIENT, Processes, Stub, event, post_to, wait_until

from contracts.free_ports import free_port
from service.lanes import LIVE

pytestmark = pytest.mark.integration


@contextmanager
def running_sandbox(redis_url: str) -> Iterator[str]:
    """The URL of a sandbox process whose Upstash stands before the Redis at *redis_url*."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), "SANDBOX_UPSTASH_REDIS_URL": redis_url}
    process = subprocess.Popen([sys.executable, "-m", "sandbox"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/healthz"), "the sandbox answers")
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return CLIENT.get(url).is_success
    except httpx.HTTPError:
        return False


def test_messages_are_answered_over_rest(processes: Processes, stub: Stub, redis_url: str) -> None:
    """Webhooks are taken once, answered once, and answered on after Upstash failed for a while."""
    with running_sandbox(redis_url) as sandbox, blocking_redis.Redis.from_url(redis_url) as redis:
        upstash = {
            "REDIS_URL": "",
            "UPSTASH_REDIS_REST_URL": f"{sandbox}/upstash",
            "UPSTASH_REDIS_REST_TOKEN": "token",
        }
        web, worker = processes.web(**upstash), processes.worker(stub, **upstash)
        first, second = (event("hello", message_id=name) for name in ("A", "B"))
        assert [post_to(web, first).status_code for _ in range(2)] == [202, 200]
        wait_until(lambda: len(stub.sent) == 1, "it is answered")
        CLIENT.put(f"{sandbox}/faults/upstash", json={"status": 503})
        assert post_to(web, second).status_code == 503
        wait_until(lambda: bool(worker.lines("Redis is away, waiting")), "the worker notices")
        CLIENT.delete(f"{sandbox}/faults/upstash")
        assert post_to(web, second).status_code == 202
        wait_until(lambda: redis.xlen(LIVE.stream) == 0, "all are done")
        assert [sent["reply_to"][-1] for sent in stub.sent] == ["A", "B"]
        assert (web.stop(), worker.stop()) == (0, 0)
