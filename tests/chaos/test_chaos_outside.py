"""WAHA and the model fail in every way they can: nobody is answered twice, nobody is forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chaos_form import sized
from chaos_rig import Rig, running_rig
from chaos_waha import Behaviour
from chaos_waiting import until

from service.settings import WorkerSettings

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

SCALE = sized(100, 10)
"""Ten minutes last this much less, and so do the pauses between attempts."""

PAUSES = {
    name.upper(): str(WorkerSettings.model_fields[name].default / SCALE)
    for name in ("retry_base_s", "retry_cap_s")
}

MODEL_SAYS = "the model's answer"


async def test_waha_down_ten_minutes(tmp_path: Path) -> None:
    """The default attempts outlast the outage: each message is answered once, none is a dead letter."""
    async with running_rig(tmp_path, worker=PAUSES) as rig:
        await rig.waha.down()
        async with rig.sender.sending(20):
            await asyncio.sleep(600 / SCALE)
            await rig.waha.up()
        await rig.quiet()
        account = rig.reckon(f"WAHA down 600/{SCALE} s")
        assert (account.dead, account.unknown) == (0, 0)


BUSY = {"CONCURRENCY": "16", "LEASE_S": "3", "RETRY_CAP_S": "5", "RETRY_BASE_S": "4", "WAHA_TYPING": "false"}
"""Workers with more to try again than slots, and pauses above a lease: each lists what the other holds."""


async def test_slow_refusals_with_two_workers(tmp_path: Path) -> None:
    """While a session does not work no worker takes from the other: all is answered when it works again."""
    async with running_rig(tmp_path, workers=2, worker=BUSY) as rig:
        rig.waha.behaviour, rig.sender.chats = Behaviour.REFUSE, 120
        await rig.sender.send(120)
        await asyncio.sleep(sized(20, 120))
        rig.waha.behaviour = Behaviour.WELL
        await rig.quiet()
        account = rig.reckon("WAHA refuses slowly")
        assert (account.answered, account.unknown, account.dead) == (120, 0, 0)


async def test_waha_and_model_fail_in_turn(tmp_path: Path) -> None:
    """Slow, refusing, silent, cut off after it sent; a silent model: one answer each, or known unknown."""
    async with running_rig(tmp_path, model=True, worker={"WAHA_TIMEOUT_S": "5", "AI_TIMEOUT_S": "1"}) as rig:
        for check in (waha_slow, waha_answers_500, waha_hangs, waha_cuts, model_hangs):
            await check(rig)
            await rig.quiet()
            account = rig.reckon(check.__name__.replace("_", " "))
            assert account.dead == 0
            assert rig.sender.refusals == []


async def waha_slow(rig: Rig) -> None:
    """Answers that take longer than a lease are waited for: all are known to be sent."""
    rig.waha.behaviour = Behaviour.SLOW
    await rig.sender.send(sized(10, 200), per_s=20)
    await rig.quiet()
    rig.waha.behaviour = Behaviour.WELL
    assert rig.redis.length("unknown") == 0


async def waha_answers_500(rig: Rig) -> None:
    """What was answered by a 500 may have been sent: it is unknown, and not sent again."""
    await _is_left_open(rig, Behaviour.ERROR)


async def waha_hangs(rig: Rig) -> None:
    """What got no answer is unknown, and not sent again."""
    await _is_left_open(rig, Behaviour.HANG)


async def waha_cuts(rig: Rig) -> None:
    """What was sent without an answer is unknown, and not sent again."""
    await _is_left_open(rig, Behaviour.CUT)


async def _is_left_open(rig: Rig, behaviour: Behaviour) -> None:
    asked, unknown, sent = rig.waha.asked, rig.redis.length("unknown"), len(rig.sender.messages)
    async with rig.sender.sending(20):
        rig.waha.behaviour = behaviour
        await until(lambda: rig.waha.asked > asked + 20, "WAHA is asked")
        rig.waha.behaviour = Behaviour.WELL
        await until(lambda: rig.waha.asked > asked + 40, "others are answered")
    await rig.quiet()
    assert rig.redis.length("unknown") > unknown
    assert rig.waha.asked - asked == len(rig.sender.messages) - sent, "each reply was tried once"


async def model_hangs(rig: Rig) -> None:
    """Customers get the fallback meanwhile, and the model's answers again as soon as there are any."""
    before = len(rig.waha.sent)
    rig.waha.model = Behaviour.HANG
    await rig.sender.send(60)
    await rig.quiet()
    assert MODEL_SAYS not in {sent.text for sent in rig.waha.sent[before:]}
    before, rig.waha.model = len(rig.waha.sent), Behaviour.WELL
    await rig.sender.send(20)
    await rig.quiet()
    assert MODEL_SAYS in {sent.text for sent in rig.waha.sent[before:]}
