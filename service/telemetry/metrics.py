"""Prometheus metrics of the two processes. Labels come from our own enumerations, never from a request."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from service.lanes import LaneName
from service.messages.outbound import OutboundMetrics
from service.telemetry.container_memory import ContainerMemory

# A percentile is exact at a bucket's bound and guessed between two: the bounds are close where requests
# usually are, and every limit of targets.toml is one.
REQUEST_BUCKETS_S = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4),
    *(0.5, 0.75, 1, 2, 3, 5, 10),
)
REPLY_BUCKETS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5),
    *(3, 4, 5, 10, 15, 30, 60, 300, 1800),
)


def new_registry() -> CollectorRegistry:
    """A registry with the process's own figures: CPU, memory, open files, garbage collection."""
    registry = CollectorRegistry()
    registry.register(ContainerMemory())
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
            ["method", "path", "status", "lane"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.webhooks = Counter(
            "webhooks_total", "Webhooks by what became of them", ["outcome", "lane"], registry=registry
        )
        self.signatures = Counter(
            "webhook_signatures_total",
            "Valid signatures by the secret they were made with: current, or one that is being retired",
            ["secret"],
            registry=registry,
        )

        for lane in LaneName:  # a first one that begins at 1 is no increase
            self.webhooks.labels("accepted", lane.value)

        # `labels` locks and checks: once for each set of values is enough, and there are few.
        self._requests = cache(self.requests.labels)
        self._webhooks = cache(self.webhooks.labels)
        self._signatures = cache(self.signatures.labels)

    def count_webhook(self, outcome: str, lane: LaneName) -> None:
        """One more webhook that ended as *outcome*: an `Admitted`, `ignored`, or a refusal's code."""
        self._webhooks(outcome, str(lane)).inc()

    def count_signature(self, position: int) -> None:
        """One more signature by the secret at *position* of those that are active."""
        self._signatures("previous" if position else "current").inc()

    def observe_request(self, method: str, path: str, status: int, lane: LaneName, duration_s: float) -> None:
        """One more request, answered by *status*; *path* is a known one, or `other`."""
        self._requests(method, path, status, str(lane)).observe(duration_s)


class WorkerMetrics:
    """What a worker process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.messages = Counter(
            "messages_total", "Attempts at messages by how they ended", ["outcome", "lane"], registry=registry
        )
        self.first_sends = Counter(
            "first_sends_total",
            "First attempt at each live message by this process, by how it ended",
            ["outcome"],
            registry=registry,
        )
        self.reply_seconds = Histogram(
            "reply_duration_seconds",
            "Time from a webhook's arrival to its reply",
            ["lane"],
            buckets=REPLY_BUCKETS_S,
            registry=registry,
        )
        self.model = Counter(
            "model_replies_total", "Model calls by how they ended", ["outcome"], registry=registry
        )
        self.credits_used = Counter(
            "credits_used_total", "Credits charged for answered messages", ["lane"], registry=registry
        )
        self.refusals = Counter(
            "billing_guard_refusals_total",
            "Messages left without an answer because their tenant has no credit",
            ["lane"],
            registry=registry,
        )
        for lane in LaneName:  # a first one that begins at 1 is no increase
            self.refusals.labels(lane.value)
        self.stored = Counter(
            "messages_stored_total", "Messages too old to be answered", ["lane"], registry=registry
        )
        self.reconciled = Counter(
            "messages_reconciled_total",
            "Replies with an unknown outcome that WAHA's echo proved to be sent",
            ["lane"],
            registry=registry,
        )
        self.outbound = OutboundMetrics(registry)
        self.in_hand = Gauge("messages_in_hand", "Messages that this worker holds", registry=registry)
        self.silent_sessions = Gauge(
            "silent_sessions", "Sessions without an event for SILENT_AFTER_S", registry=registry
        )
        self.live = Gauge("worker_live", "1 while this worker takes live messages", registry=registry)
        self.live_release_known = Gauge(
            "live_release_known", "1 while the proxy says which release is live", registry=registry
        )
