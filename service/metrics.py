"""Prometheus metrics of the two processes. Labels come from our own enumerations, never from a request."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

_REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REPLY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 1800)


def new_registry() -> CollectorRegistry:
    """A registry with the process's own figures: CPU, memory, open files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class WebMetrics:
    """What a web process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Histogram(
            "http_request_duration_seconds",
            "Time from a request's start to its answer",
            ["method", "path", "status"],
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.webhooks = Counter(
            "webhooks_total", "Webhooks by what became of them", ["outcome", "lane"], registry=registry
        )
        self.queue_depth = Gauge(
            "queue_depth", "Messages waiting or in work, -1 while Redis is away", ["lane"], registry=registry
        )


class WorkerMetrics:
    """What a worker process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.messages = Counter(
            "messages_total", "Attempts at messages by how they ended", ["outcome", "lane"], registry=registry
        )
        self.reply_seconds = Histogram(
            "reply_duration_seconds",
            "Time from a webhook's arrival to its reply",
            ["lane"],
            buckets=_REPLY_BUCKETS_S,
            registry=registry,
        )
        self.model = Counter(
            "model_replies_total", "Model calls by how they ended", ["outcome"], registry=registry
        )
        self.in_hand = Gauge("messages_in_hand", "Messages that this worker holds", registry=registry)
        self.live = Gauge("worker_live", "1 while this worker takes live messages", registry=registry)
