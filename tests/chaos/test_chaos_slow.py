"""Slowloris against the proxy with the project's own limits: service goes on, and the slow are let go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chaos_form import FULL
from chaos_rig import Rig, running_rig
from chaos_slow import SlowClients
from chaos_waiting import until

from infra.haproxy_config import MOST_PER_ADDRESS

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

CLIENTS = 1000
ATTACKERS = [f"127.0.1.{number}" for number in range(1, 21)]
WAVES: list[Sequence[str]] = [("idle",), ("heads",), ("bodies",)] if FULL else [("bodies",)]

PER_S = 50
PATIENCE_S = 10
"""Of the proxy, with a request that does not come to its end."""
LET_GO_WITHIN_S = 30
GROWTH_MB = 30


@asynccontextmanager
async def served_meanwhile(rig: Rig) -> AsyncIterator[None]:
    """Webhooks are sent during the block, and each is taken."""
    async with rig.sender.sending(PER_S):
        yield
    assert rig.sender.refusals == []
    assert len(rig.sender.waits_s) > 2 * PER_S


@pytest.mark.parametrize("kinds", WAVES, ids="-".join)
async def test_a_thousand_slow_clients(kinds: Sequence[str], tmp_path: Path) -> None:
    """Everybody else is served as ever; the slow are closed by the proxy, and nothing of them remains."""
    async with running_rig(tmp_path, proxy=True) as rig:
        assert rig.proxy is not None
        proxy, web = rig.proxy.program, rig.webs[0]
        await rig.sender.send(100)
        before = web.memory_mb
        slow = SlowClients(rig.port)
        async with served_meanwhile(rig):
            await slow.begin(CLIENTS, kinds, ATTACKERS)
            held = proxy.clients(rig.port)
            assert held > CLIENTS / 10, "on a slow machine the first are let go before the last have come"
            assert web.clients(rig.web_ports[0]) < held / 2, "the slow stay in the proxy"
            await until(lambda: slow.open == 0, "all are closed", LET_GO_WITHIN_S)
        print(f"{kinds}: ended {dict(slow.ended)} after {max(slow.lasted_s):.1f} s at most")
        assert slow.ended == {408: CLIENTS}
        assert min(slow.lasted_s) > PATIENCE_S - 1, "each of them was held, though not all at once"
        await rig.quiet()
        await until(lambda: proxy.clients(rig.port) == 0, "the proxy has no client left")
        assert web.memory_mb - before < GROWTH_MB
        rig.reckon(f"{CLIENTS} slow clients: {', '.join(kinds)}")


async def test_one_address_takes_all_it_can(tmp_path: Path) -> None:
    """An address that opens more connections than its share is refused; the others are served as ever."""
    # With the usual patience the first would be let go before the last have come, on a slow machine.
    async with running_rig(tmp_path, proxy=True, proxy_patience_s=120) as rig:
        slow = SlowClients(rig.port)
        async with served_meanwhile(rig):
            await slow.begin(MOST_PER_ADDRESS + 500, ["idle"], ["127.0.1.1"])
            await until(lambda: len(slow.lasted_s) >= 500, "the share is kept")
            assert slow.open == MOST_PER_ADDRESS
            await until(lambda: len(rig.sender.waits_s) > 3 * PER_S, "webhooks are taken")
        await slow.end()
        await rig.quiet()
        rig.reckon(f"{MOST_PER_ADDRESS + 500} connections from one address")
