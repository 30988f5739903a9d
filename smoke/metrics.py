"""What `/metrics` of a web process holds, and which process it was: a proxy picks one of several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from smoke.target import Target, described

PATH = "/metrics"

PROMISED = (
    *("http_request_duration_seconds", "webhooks_total", "webhook_signatures_total"),
    *("queue_depth", "queue_age_seconds", "dead_letters", "unknown_outcomes", "active_tenants"),
    *("database_query_duration_seconds", "database_slow_queries_total", "database_query_failures_total"),
    *("redis_call_duration_seconds", "redis_call_failures_total", "redis_calls_waiting"),
    *("redis_connections", "process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("process_open_fds", "python_gc_collections_total"),
)
"""What docs/runbook.md, "Metrics", says of a web process; labelled ones may have no sample yet."""


class MetricsError(Exception):
    """What came is no page of metrics; the message shows it."""


@dataclass(frozen=True)
class Scrape:
    """One page. `process`: when the process that it tells of began, which tells it from others."""

    names: frozenset[str]
    process: float | None
    webhooks: float

    @classmethod
    def of(cls, target: Target) -> Scrape:
        """Ask once.

        Raises:
            MetricsError: the answer is not 200, or no text in Prometheus' format.
            NoAnswerError: nothing came.
        """
        response = target.get(PATH)
        if response.status_code != 200:
            raise MetricsError(described(response))
        try:
            families = list(text_string_to_metric_families(response.text))
        except ValueError as error:
            raise MetricsError(f"{described(response)}: not in Prometheus' format: {error}") from error
        began = list(_samples(families, "process_start_time_seconds"))
        webhooks = sum(_samples(families, "webhooks_total"))
        return cls(frozenset(map(_exposed_name, families)), began[0] if began else None, webhooks)


def missing(scrapes: list[Scrape]) -> list[str]:
    """The promised names that one of *scrapes* lacks."""
    return [name for name in PROMISED if any(name not in scrape.names for scrape in scrapes)]


def moved(before: list[Scrape], after: list[Scrape]) -> float | None:
    """By how much webhooks rose at the processes that were asked both times; None: there is no such one."""
    first, last = ({scrape.process: scrape.webhooks for scrape in scrapes} for scrapes in (before, after))
    known = first.keys() & last.keys()
    return sum(last[process] - first[process] for process in known) if known else None


def _samples(families: list[Metric], name: str) -> Iterator[float]:
    return (sample.value for family in families for sample in family.samples if sample.name == name)


def _exposed_name(family: Metric) -> str:
    """A counter's name as it is written: the parser leaves its ending off."""
    return f"{family.name}_total" if family.type == "counter" else family.name
