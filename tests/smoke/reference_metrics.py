"""The metrics of the reference target, as if several web processes stood behind one address."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

COUNTERS = (
    *("webhook_signatures_total", "database_slow_queries_total", "database_query_failures_total"),
    *("redis_call_failures_total", "process_cpu_seconds_total", "python_gc_collections_total"),
)
GAUGES = (
    *("queue_depth", "queue_age_seconds", "dead_letters", "unknown_outcomes", "active_tenants"),
    *("redis_calls_waiting", "redis_connections", "process_resident_memory_bytes", "process_open_fds"),
)
HISTOGRAMS = (
    *("http_request_duration_seconds", "database_query_duration_seconds", "redis_call_duration_seconds"),
)


@dataclass
class Processes:
    """So many processes, asked by turns; each counts only the webhooks that came to it."""

    number: int = 1
    webhooks: dict[int, int] = field(default_factory=dict)
    _turns: count[int] = field(default_factory=count)

    def next(self) -> int:
        """Whose turn it is."""
        return next(self._turns) % self.number

    def count_webhook(self) -> None:
        """One more, at the process whose turn it is."""
        process = self.next()
        self.webhooks[process] = self.webhooks.get(process, 0) + 1

    def page(self, lacking: str = "") -> str:
        """The text that the process whose turn it is exposes, without the metric *lacking*."""
        process = self.next()
        lines = ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {1000 + process}"]
        lines += ["# TYPE webhooks_total counter"]
        lines += [f'webhooks_total{{lane="gate",outcome="ignored"}} {self.webhooks.get(process, 0)}']
        lines += [f"# TYPE {name} counter" for name in COUNTERS if name != lacking]
        lines += [f"# TYPE {name} gauge\n{name} 0" for name in GAUGES if name != lacking]
        lines += [f"# TYPE {name} histogram" for name in HISTOGRAMS if name != lacking]
        return "\n".join(lines) + "\n"
