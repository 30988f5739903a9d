"""The rules that Prometheus records and alerts by: `rules.yml`, with the thresholds of `targets.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from contracts.targets import Targets
from infra.components.sizes import PROXY_MEMORY_MB, REDIS_MEMORY_MB
from infra.stack_name import DEFAULT_STACK, name_stack

WATCHDOG = "Watchdog"
"""The alert that always fires: a receiver that does not hear it knows that no other would come either."""

SERVICES = ("database", "waha", "sentry")
"""Of the health report, those that may be down, each probed beside the whole. Redis has its exporter."""

_TEMPLATE = Path(__file__).with_name("rules.yml")
_PLACE = re.compile(r"@\{(?P<name>[\w.]+)(:(?P<format>[^}]+))?\}")
_MB = 1024 * 1024


def rules_file(targets: Targets, stack: str, worker_replicas: int = 1) -> str:
    """A rule file, as `promtool check rules` reads it. Its commands are about *stack*."""
    values = {**_values(targets), "worker_replicas": worker_replicas}
    template = _TEMPLATE.read_text(encoding="utf-8")

    def value(place: re.Match[str]) -> str:
        return format(values[place["name"]], place["format"] or "")

    return _PLACE.sub(value, template if stack == DEFAULT_STACK else name_stack(template, stack))


def duration(seconds: float) -> str:
    """As Prometheus writes it: in whole milliseconds where it is no whole number of seconds."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{seconds * 1000:.0f}ms"


def _values(targets: Targets) -> Mapping[str, float | str]:
    """By what stands between the braces."""
    monitor = targets.monitor
    thresholds = {
        f"{section}.{key}": value
        for section, values in targets.model_dump().items()
        for key, value in values.items()
    }
    spans = {
        "scrape": monitor.scrape_each_s,
        "two_scrapes": 2 * monitor.scrape_each_s,
        "window": monitor.window_s,
        "minute": max(60.0, 4 * monitor.scrape_each_s),
        "probe": monitor.probe_each_s,
        "probes": monitor.probe_failures * monitor.probe_each_s,
        "more_probes": (monitor.probe_failures + 1) * monitor.probe_each_s,
        "quiet": monitor.quiet_s,
        "quiet_before": monitor.quiet_before_s,
    }
    return {
        **thresholds,
        **{name: duration(seconds) for name, seconds in spans.items()},
        "probes_per_s": (1 + len(SERVICES)) / monitor.probe_each_s,
        "redis_memory_bytes": REDIS_MEMORY_MB * _MB,
        "proxy_memory_bytes": PROXY_MEMORY_MB * _MB,
    }
