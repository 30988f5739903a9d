"""docs/runbook.md tells of every metric and every Sentry event, and of none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from service.accounts.measured_database import DatabaseMetrics
from service.storage.measured_store import StoreMetrics
from service.telemetry.alarms import Alarm
from service.telemetry.figures import FigureMetrics
from service.telemetry.metrics import WebMetrics, WorkerMetrics
from service.telemetry.sentry import LEVELS

DOCS = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")


def table(section: str) -> list[list[str]]:
    """The cells of the first table of *section*, without its head."""
    lines = iter(DOCS.partition(f"\n### {section}\n")[2].splitlines())
    rows = []
    for line in lines:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


def test_every_metric_is_described_with_its_labels() -> None:
    """The table of metrics has the names and labels that the processes register, no more and no fewer."""
    registered: dict[str, list[str]] = {}
    for metrics in (WebMetrics, WorkerMetrics, DatabaseMetrics, StoreMetrics, FigureMetrics):
        registry = CollectorRegistry()
        metrics(registry)
        for metric in registry._collector_to_names:
            assert isinstance(metric, MetricWrapperBase)
            name = metric._name + ("_total" if metric._type == "counter" else "")
            registered[name] = list(metric._labelnames)
    described = {name.strip("`"): re.findall(r"`(\w+)`", labels) for name, labels, _ in table("Metrics")}
    assert described == registered


def test_every_alarm_is_described_with_its_level() -> None:
    """The table of Sentry's events has each alarm with Sentry's word for its level."""
    described = {event.strip("`"): level for event, level, _ in table("Sentry")}
    assert {alarm.value: LEVELS[alarm.level] for alarm in Alarm}.items() <= described.items()
