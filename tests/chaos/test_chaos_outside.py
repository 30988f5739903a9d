"""WAHA and the model fail in every way they can: nobody is answered twice, nobody is forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chaos_form import sized
from chaos_rig import running_rig
from chaos_waha import Behaviour
from chaos_waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

SCALE = sized(100, 10)
"""Ten minutes last this much less, and so do the pauses between attempts, whose defaults are 1 s to 300 s."""

MODEL_SAYS = "the model's answer"


async def test_waha_down_ten_minutes(tmp_path: Path) -> None:
    """The default attempts outlast the outage: each message is answered once, none is a dead letter."""
    scaled = {"RETRY_BASE_S": str(1 / SCALE), "RETRY_CAP_S": str(300 / SCALE)}
    async with running_rig(tmp_path, worker=scaled) as rig:
        await rig.waha.down()
        async with rig.sender.sending(20):
            await asyncio.sleep(600 / SCALE)
            await rig.waha.up()
        await rig.quiet(within_s=60 + 2 * 300 / SCALE)
        account = rig.reckon(f"WAHA down 600/{SCALE} s")
        assert (account.dead, account.unknown) == (0, 0)


async def test_waha_slow(tmp_path: Path) -> None:
    """Answers that take 3 s each are waited for; all are sent, and known to be."""
    async with running_rig(tmp_path) as rig:
        rig.waha.behaviour = Behaviour.SLOW
        await rig.sender.send(sized(20, 200), per_s=20)
        await rig.quiet(within_s=180)
        account = rig.reckon("WAHA slow")
        assert (account.dead, account.unknown) == (0, 0)


async def test_waha_answers_500(tmp_path: Path) -> None:
    """A 500 is surely not sent: each message is tried again until it is, once."""
    async with running_rig(tmp_path) as rig:
        rig.waha.behaviour = Behaviour.ERROR
        async with rig.sender.sending(20):
            await until(lambda: rig.waha.asked > 50, "WAHA refuses")
            rig.waha.behaviour = Behaviour.WELL
        await rig.quiet()
        account = rig.reckon("WAHA answers 500")
        assert (account.dead, account.unknown) == (0, 0)


@pytest.mark.parametrize("behaviour", [Behaviour.HANG, Behaviour.CUT])
async def test_waha_leaves_it_open(behaviour: Behaviour, tmp_path: Path) -> None:
    """Silent, or cut off after it sent: those replies are recorded as unknown and not sent again."""
    async with running_rig(tmp_path, worker={"WAHA_TIMEOUT_S": "1"}) as rig:
        async with rig.sender.sending(20):
            rig.waha.behaviour = behaviour
            await until(lambda: rig.waha.asked > 20, "WAHA is asked")
            rig.waha.behaviour = Behaviour.WELL
            asked = rig.waha.asked
            await until(lambda: rig.waha.asked > asked + 20, "others are answered")
        await rig.quiet()
        account = rig.reckon(f"WAHA: {behaviour}")
        assert account.unknown > 0
        assert account.dead == 0
        assert rig.waha.asked == len(rig.sender.messages), "each reply was tried once"


async def test_model_hangs(tmp_path: Path) -> None:
    """Customers get the fallback meanwhile, and the model's answers again as soon as there are any."""
    async with running_rig(tmp_path, model=True, worker={"AI_TIMEOUT_S": "1"}) as rig:
        rig.waha.model = Behaviour.HANG
        await rig.sender.send(60)
        await rig.quiet()
        assert MODEL_SAYS not in {sent.text for sent in rig.waha.sent}
        rig.waha.model = Behaviour.WELL
        await rig.sender.send(20)
        await rig.quiet()
        account = rig.reckon("the model hangs")
        assert (account.dead, account.unknown) == (0, 0)
        assert MODEL_SAYS in {sent.text for sent in rig.waha.sent}
