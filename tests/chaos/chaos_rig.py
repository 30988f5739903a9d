"""A whole small deployment on this machine: Redis, web and worker processes, the proxy, WAHA."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from chaos_account import Account, reckon
from chaos_convex import Convex
from chaos_form import REPORT, SEED
from chaos_programs import Program, keep_running, service
from chaos_proxy import Proxy
from chaos_redis import RedisServer
from chaos_sender import SECRET, Sender
from chaos_waha import Waha
from chaos_waiting import until

from contracts.free_ports import free_port

WEB = {"WAHA_WEBHOOK_SECRET": SECRET, "RATE_LIMIT_PER_MINUTE": "1000000", "TRUST_PROXY": "true"}
WORKER = {"LEASE_S": "2", "RETRY_BASE_S": "0.2", "METRICS_PORT": "0"}
READY_WITHIN_S = 180


@dataclass
class Rig:
    """What runs. `choice` makes all random decisions; a failing test prints its seed."""

    folder: Path
    redis: RedisServer
    webs: list[Program]
    web_ports: list[int]
    workers: list[Program]
    waha: Waha
    proxy: Proxy | None = None
    convex: Convex | None = None
    choice: random.Random = field(default_factory=lambda: random.Random(SEED))
    _sender: Sender | None = None

    @property
    def programs(self) -> list[Program]:
        """Everything that the container engine would keep running."""
        others = [part.program for part in (self.convex, self.proxy) if part]
        return [self.redis.program, *self.webs, *self.workers, *others]

    @property
    def port(self) -> int:
        """Where webhooks go: to the proxy, or to the only web process."""
        return self.proxy.port if self.proxy else self.web_ports[0]

    @property
    def url(self) -> str:
        """The address of `port`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sender(self) -> Sender:
        """The one that sends to this rig."""
        self._sender = self._sender or Sender(self.url, self.choice)
        return self._sender

    async def get(self, path: str, port: int | None = None) -> tuple[int, str]:
        """Status and body of a GET, 0 where nobody answers."""
        timeout = aiohttp.ClientTimeout(total=20)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{port or self.port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, ""

    async def ready(self) -> None:
        """Until webhooks can be taken, through every web process."""
        for port in {*self.web_ports, self.port}:
            await until(lambda port=port: self._is_ready(port), f"port {port} is ready", READY_WITHIN_S)

    async def _is_ready(self, port: int) -> bool:
        return (await self.get("/api/health/ready", port))[0] == 200

    async def quiet(self, stuck_s: float = 120) -> None:
        """Until no accepted message is waiting or in work.

        Raises:
            AssertionError: for *stuck_s* none was done.
        """
        left = self.redis.waiting()
        while left:
            await until(lambda left=left: self.redis.waiting() not in (left, -1), f"{left} are done", stuck_s)
            left = self.redis.waiting()

    def reckon(self, run: str) -> Account:
        """The account of this rig's sender; noted in the report as *run*, and balanced."""
        account = reckon(self.sender, self.waha, self.redis)
        if REPORT:
            refusals = len(self.sender.refusals)
            line = {"run": run, "seed": SEED, "refusals": refusals, **account.as_json()}
            with Path(REPORT).open("a", encoding="utf-8") as report:
                report.write(json.dumps(line) + "\n")
        account.check()
        return account

    def log_lines(self, program: Program) -> list[dict[str, Any]]:
        """The log of *program*, each line of which must be one JSON object."""
        lines = [json.loads(line) for line in program.log.read_text(encoding="utf-8").splitlines()]
        assert all(isinstance(line, dict) for line in lines)
        return lines


@asynccontextmanager
async def running_rig(
    folder: Path,
    *,
    webs: int = 1,
    workers: int = 1,
    proxy: bool = False,
    proxy_patience_s: int | None = None,
    model: bool = False,
    convex: Convex | None = None,
    redis_folder: Path | None = None,
    redis_options: Sequence[str] = (),
    web: dict[str, str] | None = None,
    worker: dict[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """A rig that is ready; *web* and *worker* are environment on top of the usual.

    *proxy_patience_s*: how long the proxy bears slow clients, if not as usual. *model*: there is one.
    *convex*: the database, by default it is Redis.
    """
    redis = RedisServer.at(free_port(), redis_folder or folder / "redis", *redis_options)
    waha = Waha(free_port())
    ports = [free_port() for _ in range(webs)]
    database = {"NEXT_PUBLIC_CONVEX_URL": convex.url} if convex else {}
    web = {**database, **(web or {})}
    worker = {**database, **({"AI_API_URL": waha.url} if model else {}), **(worker or {})}
    rig = Rig(
        folder,
        redis,
        [_web(folder, redis, waha, number, port, web) for number, port in enumerate(ports)],
        ports,
        [_worker(folder, redis, waha, number, worker) for number in range(workers)],
        waha,
        Proxy.before(ports, folder, proxy_patience_s) if proxy else None,
        convex,
    )
    async with _running(rig):
        yield rig


@asynccontextmanager
async def _running(rig: Rig) -> AsyncIterator[None]:
    print(f"seed: RUNBOOK_CHAOS_SEED={SEED}")
    await rig.waha.up()
    keeper = asyncio.create_task(_keep(rig))
    try:
        await rig.redis.ready()
        if rig.convex:
            await rig.convex.ready()
        await rig.ready()
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        for program in rig.programs:
            program.kill()
        await rig.waha.down()


async def _keep(rig: Rig) -> None:
    for program in rig.programs:
        program.start()
    await keep_running(rig.programs)


def _web(
    folder: Path, redis: RedisServer, waha: Waha, number: int, port: int, more: dict[str, str]
) -> Program:
    own = {"PORT": str(port), "REDIS_URL": redis.url, "WAHA_API_URL": waha.url}
    return service("web", f"web-{number}", folder, {**WEB, **own, **more})


def _worker(folder: Path, redis: RedisServer, waha: Waha, number: int, more: dict[str, str]) -> Program:
    own = {"HEARTBEAT_FILE": str(folder / f"heartbeat-{number}"), "WAHA_API_URL": waha.url}
    return service("worker", f"worker-{number}", folder, {"REDIS_URL": redis.url, **WORKER, **own, **more})
