"""The figures that a web process tells: those that were promised, and that they move."""

from __future__ import annotations

import pytest

from smoke.evidence import Measured, shortened
from smoke.metrics import PROMISED, Scrape, missing, moved
from smoke.target import Target, described, status_event

ASKED = 8
"""Pages, and webhooks between two rounds of them: a proxy that takes its servers by turns reaches each."""


@pytest.fixture(scope="module")
def before(target: Target) -> list[Scrape]:
    """Pages from as many web processes as the proxy picks."""
    return [Scrape.of(target) for _ in range(ASKED)]


def test_metrics_are_there(measured: Measured, before: list[Scrape]) -> None:
    """Every page has all names that docs/runbook.md promises."""
    lacking = missing(before)
    found = len(PROMISED) - len(lacking)
    detail = f"lacks {shortened(lacking)}"
    measured(found, len(PROMISED), unit="names", samples=len(before), ok=not lacking, detail=detail)


def test_webhooks_are_counted(measured: Measured, target: Target, before: list[Scrape]) -> None:
    """Webhooks move `webhooks_total` of the web processes that take them."""
    for _ in range(ASKED):
        answer = target.post(target.signed(status_event()))
        measured(answer.status_code, "2xx", samples=1, ok=answer.is_success, detail=described(answer))
    rise = moved(before, [Scrape.of(target) for _ in range(ASKED)])
    ok = rise is not None and rise >= 1
    detail = f"webhooks_total stood still while {ASKED} were sent"
    measured(rise, "at least 1", unit="webhooks", samples=0 if rise is None else ASKED, ok=ok, detail=detail)
