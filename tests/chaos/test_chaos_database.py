"""The database fails in every way it can: nobody is forgotten, each answer is sent and charged once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos_convex import Convex
from chaos_form import sized
from chaos_rig import Rig, running_rig
from chaos_waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

FAULTS: dict[str, dict[str, Any]] = {
    "down": {"down": True},
    "hanging": {"hang": True},
    "answering 500": {"status": 500},
    "cut off after it did": {"down": True, "after": True},
}
DURING = sized(30, 200)
"""Messages sent while the fault lasts."""


async def test_database_fails_in_turn(tmp_path: Path) -> None:
    """Messages wait or go on, as the database allows; in the end each was answered and charged once."""
    convex = Convex.logging_to(tmp_path)
    async with running_rig(tmp_path, convex=convex) as rig:
        await rig.sender.send(10)
        for name, fault in FAULTS.items():
            async with rig.sender.sending(20):
                await convex.fail(**fault)
                wanted = len(rig.sender.acknowledged) + DURING
                await until(
                    lambda wanted=wanted: len(rig.sender.acknowledged) > wanted, "webhooks are taken", 60
                )
                await convex.mend()
            await rig.quiet()
            account = rig.reckon(f"database {name}")
            assert rig.sender.refusals == []
            assert (account.dead, account.unknown) == (0, 0)
            await until(lambda paid=account.answered: is_charged(convex, paid), "each is charged once")


async def acknowledged(rig: Rig, wanted: int) -> None:
    """Until so many webhooks were."""
    await until(lambda: len(rig.sender.acknowledged) > wanted, "webhooks are taken", 60)


async def is_charged(convex: Convex, answered: int) -> bool:
    """Whether the tenant has used a credit for each answer, and none is reserved."""
    tenant = await convex.tenant("default")
    return (tenant["used"], tenant["reserved"]) == (answered, 0)
