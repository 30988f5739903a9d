"""Without a worker that takes live messages webhooks are accepted, and health says that nobody answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chaos_rig import Rig, running_rig
from chaos_waiting import until

from service.telemetry.unread import POLL_INTERVAL_S, STALLED_AFTER_S

pytestmark = [pytest.mark.chaos, pytest.mark.integration]


async def health(rig: Rig) -> tuple[int, str]:
    """Status code and status of the report."""
    code, body = await rig.get("/api/health")
    return code, json.loads(body)["status"]


async def test_health_is_degraded_while_nobody_takes_live_messages(tmp_path: Path) -> None:
    """After a minute, never as 503, told once; and healthy again when a worker has come."""
    async with running_rig(tmp_path, workers=1) as rig:
        (worker,) = rig.workers
        worker.environment = {**worker.environment, "RELEASE": "r-1", "LIVE_RELEASE_URL": rig.url}
        worker.kill()  # it comes back, and no proxy tells it that its release is live
        await until(lambda: worker.lives == 2, "it is back")
        await rig.sender.send(5)
        assert await health(rig) == (200, "healthy")

        async def is_degraded() -> bool:
            return await health(rig) == (200, "degraded")

        within_s = STALLED_AFTER_S + 2 * POLL_INTERVAL_S + 20
        await until(is_degraded, "health notices", within_s)
        stalled = [line for line in rig.log_lines(rig.webs[0]) if "no worker takes any" in line["msg"]]
        assert [line["level"] for line in stalled] == ["error"]
        assert rig.redis.length("waiting") == 5
        worker.environment = {**worker.environment, "RELEASE": ""}
        worker.kill()
        await rig.quiet()

        async def is_healthy() -> bool:
            return await health(rig) == (200, "healthy")

        await until(is_healthy, "health notices that too", within_s=30)
        rig.reckon("no worker for a minute")
