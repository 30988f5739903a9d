"""Clients that hang up in the middle: nothing is taken, nothing remains of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chaos_form import sized
from chaos_programs import Program
from chaos_rig import Rig, running_rig
from chaos_sender import SECRET
from chaos_waiting import until
from chaos_wire import Wire, all_read, request

from contracts.webhook import encode, message_event, signed_headers

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

TIMES = sized(2, 20)
GROWTH_MB = 20
BATCH = 200


def one_webhook() -> bytes:
    """A whole request that would be accepted."""
    body = encode(message_event("hello", chat_id="491550000001@c.us"))
    return request(body, signed_headers(body, SECRET).items())


def hang_up_everywhere(port: int) -> None:
    """Once after each byte but the last, by turns with a FIN and with a reset."""
    data = one_webhook()
    for first in range(1, len(data), BATCH):
        wires = []
        for offset in range(first, min(first + BATCH, len(data))):
            wires.append(Wire(port))
            wires[-1].send(data[:offset])
        all_read(port)
        for number, wire in enumerate(wires):
            if number % 2:
                wire.cut()
            else:
                wire.end()
                wire.close()


async def test_hang_up_after_every_byte(tmp_path: Path) -> None:
    """None is taken or counted as our error, connections and memory come back, and the next is accepted."""
    async with running_rig(tmp_path, workers=0) as rig:
        web = rig.webs[0]
        await asyncio.to_thread(hang_up_everywhere, rig.port)
        before = web.memory_mb
        for _ in range(TIMES - 1):
            await asyncio.to_thread(hang_up_everywhere, rig.port)
        await until(lambda: web.clients(rig.port) == 0, "connections are closed")
        assert web.memory_mb - before < GROWTH_MB
        assert rig.redis.waiting() == 0
        await nothing_went_wrong(rig, web)
        await rig.sender.send(5)
        assert [message.statuses[0] for message in rig.sender.messages] == ["accepted"] * 5


async def nothing_went_wrong(rig: Rig, web: Program) -> None:
    """No 5xx among the figures of *web*, no error in its log."""
    _, metrics = await rig.get("/metrics")
    assert 'status="5' not in metrics
    assert {line["level"] for line in rig.log_lines(web)} <= {"info", "warning"}
