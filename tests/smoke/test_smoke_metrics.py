"""What was promised of metrics, and how pages of several processes are told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest

from service.accounts.measured_database import DatabaseMetrics
from service.storage.measured_store import StoreMetrics
from service.telemetry.figures import FigureMetrics
from service.telemetry.metrics import WebMetrics, new_registry
from smoke.metrics import PROMISED, MetricsError, Scrape, missing, moved
from smoke.target import Target

DOCS = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


@contextmanager
def target_answering(answer: httpx.Response) -> Iterator[Target]:
    """A target whose every request is answered by *answer*."""
    with httpx.Client(base_url="http://target", transport=httpx.MockTransport(lambda _: answer)) as client:
        yield Target(client, "secret", answer_timeout_s=5)


def scrape(process: float | None, webhooks: float) -> Scrape:
    """A page of one process."""
    return Scrape(frozenset(PROMISED), process, webhooks)


def test_what_is_promised_stands_in_the_runbook() -> None:
    """Each name is in its table of metrics, or among those of the process that it speaks of."""
    table = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert {name for name in PROMISED if not name.startswith(("process_", "python_gc_"))} <= table


def test_a_web_process_keeps_the_promise() -> None:
    """All names are there before the first webhook has come."""
    registry = new_registry()
    for metrics in (WebMetrics, DatabaseMetrics, StoreMetrics, FigureMetrics):
        metrics(registry)
    with target_answering(httpx.Response(200, content=generate_latest(registry))) as target:
        page = Scrape.of(target)
    assert missing([page]) == []
    assert page.process is not None


def test_a_name_that_one_page_lacks_is_missing() -> None:
    """One web process of several is enough."""
    poor = Scrape(frozenset(PROMISED) - {"queue_depth"}, 2.0, 0)
    assert missing([scrape(1.0, 0), poor]) == ["queue_depth"]


def test_only_processes_that_were_asked_twice_tell_of_a_rise() -> None:
    """A page of another process, whose count is higher anyway, is no rise."""
    before = [scrape(1.0, 10), scrape(2.0, 500)]
    assert moved(before, [scrape(1.0, 10), scrape(3.0, 900)]) == 0
    assert moved(before, [scrape(1.0, 12), scrape(2.0, 503)]) == 5
    assert moved(before, [scrape(3.0, 900)]) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(404, text="nothing here"), "GET /metrics answered 404 nothing here"),
        (httpx.Response(200, html="<p>metrics</p>"), "not in Prometheus' format"),
    ],
)
def test_what_is_no_page_of_metrics_is_refused(answer: httpx.Response, said: str) -> None:
    """An unreadable answer is one error that shows it."""
    with target_answering(answer) as target, pytest.raises(MetricsError, match=said):
        Scrape.of(target)
