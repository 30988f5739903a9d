"""Redis silent, without disk, without memory: clear refusals, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from chaos_disk import small_disk
from chaos_form import FULL, sized
from chaos_rig import Rig, running_rig
from chaos_waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

RATES = {"proxy": 100, "web": 200} if FULL else {"proxy": 30}
"""Webhooks a second, by who is asked; the proxy refuses faster than our one sender can come back."""

PAUSE_S = sized(5, 30)
REFUSES_WITHIN_S = 7.5
"""REDIS_TIMEOUT_S is 2 s, the rest is for a busy machine. WAHA waits 8 s."""


def check_refusals(rig: Rig) -> None:
    """Every refusal was a 503 that says when to come again, and came before WAHA would have given up."""
    refusals = rig.sender.refusals
    assert refusals, "Redis was never missed"
    assert {(refusal.status, refusal.reason * (refusal.status != 503)) for refusal in refusals} == {(503, "")}
    assert all((refusal.retry_after or "").isdecimal() for refusal in refusals)
    assert max(refusal.took_s for refusal in refusals) < REFUSES_WITHIN_S
    assert rig.sender.given_up == []


def check_processes_lived(rig: Rig) -> None:
    """Neither web nor worker died of it."""
    assert {program.name: program.lives for program in rig.webs + rig.workers} == {"web-0": 1, "worker-0": 1}


@pytest.mark.parametrize(("asked", "per_s"), RATES.items(), ids=RATES)
async def test_paused(asked: str, per_s: int, tmp_path: Path) -> None:
    """While Redis is stopped the web process, then the proxy, refuse in time; afterwards all are answered."""
    async with running_rig(tmp_path, proxy=asked == "proxy") as rig:
        async with rig.sender.sending(per_s):
            await asyncio.sleep(1)
            rig.redis.program.send(signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
            rig.redis.program.send(signal.SIGCONT)
            await rig.ready()
        await rig.quiet()
        rig.reckon(f"Redis paused {PAUSE_S} s ({asked} asked)")
        check_refusals(rig)
        check_processes_lived(rig)


async def test_disk_full(tmp_path: Path) -> None:
    """With its disk full Redis ends at each write, and is refused for; with room again all goes on."""
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        async with running_rig(tmp_path, redis_folder=disk.folder / "redis") as rig:
            async with rig.sender.sending(50):
                await until(lambda: len(rig.waha.sent) > 50, "messages are answered")
                disk.fill()
                await until(lambda: len(rig.sender.refusals) > 100, "webhooks are refused")
                disk.empty()
                await rig.ready()
            await rig.quiet()
            rig.reckon("Redis' disk full")
            check_refusals(rig)
            check_processes_lived(rig)


async def test_memory_full(tmp_path: Path) -> None:
    """Webhooks are refused before the workers lack memory: with WAHA back the backlog is worked off."""
    options = ["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]
    patient = {"MAX_ATTEMPTS": "1000", "RETRY_CAP_S": "1"}
    async with running_rig(tmp_path, redis_options=options, worker=patient) as rig:
        await rig.waha.down()
        rig.sender.text = "x" * 16_000
        async with rig.sender.sending(200):
            await until(lambda: len(rig.sender.refusals) > 100, "webhooks are refused")
            await rig.waha.up()
        await rig.quiet()
        rig.reckon("Redis' memory full")
        check_refusals(rig)
        check_processes_lived(rig)
        rig.sender.text = "hello"
        await rig.sender.send(10)
        await rig.quiet()
        rig.reckon("Redis' memory free again")
