"""The panels ask for what there is, in words that Prometheus takes; their limits are the targets'."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from monitors import running_prometheus
from prometheus_client import CollectorRegistry

from contracts.targets import read_targets
from infra.monitoring.panels import WINDOW, Panel, read_panels
from service.accounts.measured_database import DatabaseMetrics
from service.storage.measured_store import StoreMetrics
from service.telemetry.figures import FigureMetrics
from service.telemetry.metrics import WebMetrics, WorkerMetrics, new_registry

PANELS = read_panels()
EXPORTED = {
    # HAProxy 2.6's own exporter
    "haproxy_frontend_http_responses_total",
    "haproxy_frontend_current_sessions",
    "haproxy_frontend_limit_sessions",
    "haproxy_backend_active_servers",
    # node_exporter 1.5
    "node_cpu_seconds_total",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    # redis_exporter 1.45
    "redis_connected_clients",
    # blackbox_exporter 0.23
    "probe_duration_seconds",
    # each process of the service, from its container
    "container_memory_used_bytes",
    "container_memory_limit_bytes",
}
WORDS = {"histogram_quantile", "sum", "by", "rate", "max", "min", "avg", "vector", "or"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that knows nothing."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), "{}") as url:
        yield url


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_query_is_promql(prometheus: str, panel: Panel) -> None:
    """A real Prometheus takes it."""
    for promql in panel.queries.values():
        answer = httpx.get(
            f"{prometheus}/api/v1/query", params={"query": promql.replace(WINDOW, "5m")}, timeout=60
        )
        assert answer.json()["status"] == "success", answer.text


def counted() -> set[str]:
    """The names of all series that our processes have."""
    registry = CollectorRegistry()
    for metrics in (WebMetrics, WorkerMetrics, StoreMetrics, DatabaseMetrics, FigureMetrics):
        metrics(registry)
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    families = [*registry.collect(), *new_registry().collect()]
    return {f"{family.name}{suffix}" for family in families for suffix in suffixes.get(family.type, ())}


def named_in(promql: str) -> set[str]:
    """The metrics that a query names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", promql)
    return set(re.findall(r"[a-zA-Z_]\w+", bare)) - WORDS


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_metric_exists(panel: Panel) -> None:
    """In our registries, or at an exporter."""
    named = {name for promql in panel.queries.values() for name in named_in(promql)}
    assert named
    assert named <= counted() | EXPORTED


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_label_of_a_legend_is_kept(panel: Panel) -> None:
    """What a query sums over has no value that a legend could show."""
    for legend, promql in panel.queries.items():
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            kept = re.findall(r"\b(?:sum|max|min|avg)(?: by \(([^)]*)\))?", promql)
            assert all(label in labels.split(", ") for labels in kept), (legend, promql)


def test_names_are_unique_and_groups_are_together() -> None:
    """A panel is typed by its name; the groups are the runbook's."""
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    groups = list(dict.fromkeys(panel.group for panel in PANELS))
    assert groups == ["Application", "Infrastructure", "Business", "Proxy"]


def test_limits_are_those_of_the_targets() -> None:
    """In the panel's unit; a limit that is for one series names one that there is."""
    targets = read_targets()
    load = targets.load.model_copy(update={"webhook_p95_ms": 700.0, "error_rate": 0.05})
    limits = {panel.name: panel.limit for panel in read_panels(targets.model_copy(update={"load": load}))}
    assert limits["webhooks"] == 0.7
    assert limits["errors"] == 0.05
    assert limits["health"] == targets.health.answer_s
    assert limits["memory"] == targets.watch.memory_share
    assert limits["queue"] is None
    assert all(panel.limited in ("", *panel.queries) for panel in PANELS)
