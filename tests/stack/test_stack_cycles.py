"""Releases and rollbacks in a row, while webhooks keep coming, some of them twice.

`RUNBOOK_CYCLES=50` makes a hundred moves of the traffic in an hour; `test_stack_life.py` always makes some.
"""

from __future__ import annotations

import faulthandler
import os
import statistics
import time
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from project import Project, moved_s
from sender import Sender, SentAccount
from steady_client import SteadyClient

from infra.manifest import BUILD

CYCLES = int(os.environ.get("RUNBOOK_CYCLES", "0"))
pytestmark = [
    pytest.mark.stack,
    pytest.mark.gate,
    pytest.mark.skipif(not CYCLES, reason="a cycle takes more than a minute: RUNBOOK_CYCLES=50 makes 50"),
]

TABLE = BUILD / "reports" / "cycles.md"


class Times:
    """How long commands took, and the moves of the traffic within them."""

    def __init__(self) -> None:
        self.whole_s: list[float] = []
        self.moved_s: list[float] = []

    def take(self, command: Callable[[], CompletedProcess[str]]) -> None:
        """Run *command*, which must succeed and move the traffic."""
        began = time.monotonic()
        done = command()
        self.whole_s.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        self.moved_s.append(moved_s(done.stderr))

    def row(self, name: str) -> str:
        """Of the table."""
        figures = [
            f"{statistics.median(times):.1f} s (to {max(times):.1f} s)"
            for times in (self.whole_s, self.moved_s)
        ]
        return f"| {name} | {len(self.whole_s)} | {' | '.join(figures)} |"


def tell(ups: Times, rollbacks: Times, requests: str) -> None:
    """Write the table, after each cycle: what was seen is not lost where a later one fails."""
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(
        "| | times | whole command | traffic moved |\n|---|---:|---:|---:|\n"
        f"{ups.row('up')}\n{rollbacks.row('rollback')}\n\n{requests}\n"
    )


def test_releases_and_rollbacks_in_a_row_lose_nothing(live: Project) -> None:
    """Under 200 requests/s none fails, every message is answered once; a rollback moves within 2 s."""
    faulthandler.cancel_dump_traceback_later()  # an hour is no hang here; each command has its limit
    ups, rollbacks = Times(), Times()
    sender = Sender(live.webhook_secret(), twice_each=5)
    with SentAccount(live.outputs()["sandbox_url"]) as account:
        with SteadyClient(live.ports["port"], sender, per_s=200) as client:
            for number in range(CYCLES):
                live.append("service/webhooks/webhook.py", f"\n# cycle {number}\n")
                ups.take(lambda: live.runbook("up", "--no-watch"))
                rollbacks.take(lambda: live.runbook("rollback", "--reason", "the next cycle"))
                tell(ups, rollbacks, f"{client.sent} requests so far, {len(client.failures)} failed")
        account.wait_for(sender.accepted)
    lost = set(sender.accepted) - account.counts.keys()
    doubled = [message for message in sender.accepted if account.counts[message] > 1]
    live.append("service/webhooks/webhook.py", "\n# after the cycles\n")  # what was rolled back sticks
    tell(
        ups,
        rollbacks,
        f"{client.sent} requests, {len(client.failures)} failed; {len(sender.accepted)} messages, "
        f"{sender.repeated} of them twice; lost {len(lost)}, answered twice {len(doubled)}",
    )
    print(f"\n{TABLE.read_text()}")
    assert client.failures == []
    assert (lost, doubled) == (set(), [])
    assert max(rollbacks.moved_s) <= 2
