"""Without a worker that takes live messages webhooks are accepted, and health says that nobody answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from chaos_form import FULL
from chaos_rig import Rig, running_rig
from chaos_waiting import until

from service.telemetry.unread import STALLED_AFTER_S

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

SHORT_S = 10
SOONER = f"""
import sys
import service.telemetry.unread as unread
from service.__main__ import main
unread.STALLED_AFTER_S, unread.POLL_INTERVAL_S = {SHORT_S}, 1
sys.exit(main(["web"]))
"""
"""The web process of the short form: to it the minute is shorter."""


async def health(rig: Rig) -> tuple[int, str]:
    """Status code and status of the report."""
    code, body = await rig.get("/api/health")
    return code, json.loads(body)["status"]


async def test_health_is_degraded_while_nobody_takes_live_messages(tmp_path: Path) -> None:
    """After a minute (a few seconds in the short form), never as 503, told once; then a worker comes."""
    async with running_rig(tmp_path, workers=1) as rig:
        (worker,), (web,) = rig.workers, rig.webs
        if not FULL:
            web.command = [sys.executable, "-c", SOONER]
            web.kill()
            await until(lambda: web.lives == 2, "the web process is back")
            await rig.ready()
        worker.environment = {**worker.environment, "RELEASE": "r-1", "LIVE_RELEASE_URL": rig.url}
        worker.kill()  # it comes back, and no proxy tells it that its release is live
        await until(lambda: worker.lives == 2, "it is back")
        await rig.sender.send(5)
        assert await health(rig) == (200, "healthy")

        async def is_degraded() -> bool:
            return await health(rig) == (200, "degraded")

        await until(is_degraded, "health notices", within_s=STALLED_AFTER_S + 60)
        stalled = [line for line in rig.log_lines(web) if "no worker takes any" in line["msg"]]
        assert [line["level"] for line in stalled] == ["error"]
        assert rig.redis.length("waiting") == 5
        worker.environment = {**worker.environment, "RELEASE": ""}
        worker.kill()
        await rig.quiet()

        async def is_healthy() -> bool:
            return await health(rig) == (200, "healthy")

        await until(is_healthy, "health notices that too")
        rig.reckon("no worker for a minute")
