"""SIGKILL of each process at random moments while webhooks come: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chaos_form import FULL, ROUNDS, sized
from chaos_programs import Program
from chaos_rig import Rig, running_rig

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

PER_S = sized(60, 200)
TARGETS = ("web", "worker", "redis", "proxy")
RUNS = {target: [target] * ROUNDS for target in TARGETS} if FULL else {"each": [*TARGETS] * ROUNDS}
"""The full form kills one kind of process after another; the short one kills all in one run."""


def victims(rig: Rig, target: str) -> list[Program]:
    """One of the *target*'s processes, or all of them at once."""
    assert rig.proxy is not None
    programs = {
        "web": rig.webs,
        "worker": rig.workers,
        "redis": [rig.redis.program],
        "proxy": [rig.proxy.program],
    }[target]
    return programs if rig.choice.random() < 0.3 else [rig.choice.choice(programs)]


@pytest.mark.parametrize("name", RUNS)
async def test_killed_at_random_moments(name: str, tmp_path: Path) -> None:
    """Every acknowledged message is answered once (or known to be unknown), in its chat's order."""
    async with running_rig(tmp_path, webs=2, workers=2, proxy=True) as rig:
        targets = rig.choice.sample(RUNS[name], len(RUNS[name]))
        async with rig.sender.sending(PER_S):
            for target in targets:
                await asyncio.sleep(rig.choice.uniform(0.5, 2.5))  # the random moment
                for program in victims(rig, target):
                    program.kill()
            await rig.ready()
        await rig.quiet()
        account = rig.reckon(f"{name} killed {ROUNDS} times")
        assert rig.sender.given_up == [], "an outage was longer than WAHA asks again"
        assert account.dead == 0
        assert account.acknowledged > len(targets) * PER_S / 4
