"""Prometheus' configuration: the files beside, with a stack's name and the thresholds of `targets.toml`."""

from __future__ import annotations

from contracts.targets import Targets
from infra.components.sizes import PROXY_MEMORY_MB, REDIS_MEMORY_MB
from infra.haproxy_config import WEB_PORT
from infra.monitoring.templates import filled
from infra.stack_name import DEFAULT_STACK, name_stack

PROBES = 4
"""Of the health report, each time: by the jobs `health` and `services`."""
_MB = 1024 * 1024


def prometheus_config(targets: Targets, stack: str) -> str:
    """Prometheus' own configuration file, as `promtool check config` reads it."""
    return filled("prometheus.yml", stack=stack, web_port=WEB_PORT, **_spans(targets))


def blackbox_config() -> str:
    """The blackbox exporter's own."""
    return filled("blackbox.yml")


def rules_file(targets: Targets, stack: str, worker_replicas: int = 1) -> str:
    """A rule file, as `promtool check rules` reads it. Its commands are about *stack*."""
    rules = filled(
        "rules.yml",
        monitor=targets.monitor,
        health=targets.health,
        load=targets.load,
        worker_replicas=worker_replicas,
        probes_per_s=PROBES / targets.monitor.probe_each_s,
        redis_memory_bytes=REDIS_MEMORY_MB * _MB,
        proxy_memory_bytes=PROXY_MEMORY_MB * _MB,
        **_spans(targets),
    )
    return rules if stack == DEFAULT_STACK else name_stack(rules, stack)


def _spans(targets: Targets) -> dict[str, str]:
    monitor = targets.monitor
    spans = {
        "scrape": monitor.scrape_each_s,
        "scrape_timeout": min(10.0, monitor.scrape_each_s),
        "two_scrapes": 2 * monitor.scrape_each_s,
        "window": monitor.window_s,
        "minute": max(60.0, 4 * monitor.scrape_each_s),
        "probe": monitor.probe_each_s,
        # A slow answer has to end before the probe's time does, to be seen.
        "probe_timeout": min(2 * targets.health.answer_s, monitor.probe_each_s),
        "probes": monitor.probe_failures * monitor.probe_each_s,
        "more_probes": (monitor.probe_failures + 1) * monitor.probe_each_s,
        "quiet": monitor.quiet_s,
        "quiet_before": monitor.quiet_before_s,
    }
    return {name: _duration(seconds) for name, seconds in spans.items()}


def _duration(seconds: float) -> str:
    """As Prometheus writes it: in whole milliseconds where it is no whole number of seconds."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{seconds * 1000:.0f}ms"
