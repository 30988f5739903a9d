"""For each alert what fires it and what just does not, as series in promtool's notation, one value each 15 s.

All series begin as those of a healthy stack, `HEALTHY`; a case names what is different.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WEBHOOK = 'path="/api/webhooks/whatsapp",lane="live",status="202",method="POST"'
PROBES = 4 / 60
"""Health probes a second."""
LONG = 41
"""Values of a series: ten minutes."""


def steady(value: float, values: int = LONG) -> str:
    """The same value all the time."""
    return f"{value:g}x{values - 1}"


def rising(per_s: float, values: int = LONG) -> str:
    """A counter that rises by so much a second."""
    return f"0+{15 * per_s:g}x{values - 1}"


def answers(below: dict[str, float], total: float, name: str = "", values: int = LONG) -> dict[str, str]:
    """A histogram of webhook answers: so many a second below each bound, all in all *total*."""
    name = name or f'http_request_duration_seconds|{WEBHOOK},job="web",instance="a"'
    metric, labels = name.split("|")
    buckets = {f'{metric}_bucket{{{labels},le="{le}"}}': rising(per_s, values) for le, per_s in below.items()}
    return {
        **buckets,
        f'{metric}_bucket{{{labels},le="+Inf"}}': rising(total, values),
        f"{metric}_count{{{labels}}}": rising(total, values),
    }


def webhooks(outcome: str, per_s: float, values: int = LONG) -> dict[str, str]:
    """So many live webhooks a second that ended so."""
    return {
        f'webhooks_total{{job="web",instance="a",lane="live",outcome="{outcome}"}}': rising(per_s, values)
    }


def proxy(per_s: float, errors_per_s: float = 0, values: int = LONG) -> dict[str, str]:
    """What the live frontend counts: so many webhooks a second, and the probes."""
    live = 'job="proxy",proxy="live"'
    return {
        f"haproxy_frontend_http_requests_total{{{live}}}": rising(per_s, values),
        f'haproxy_frontend_http_responses_total{{{live},code="2xx"}}': rising(
            per_s - errors_per_s + PROBES, values
        ),
        f'haproxy_frontend_http_responses_total{{{live},code="5xx"}}': rising(errors_per_s, values),
    }


def service(name: str, values: str) -> dict[str, str]:
    """Whether the health report says that it is down."""
    return {f'probe_failed_due_to_regex{{job="services",service="{name}",instance="h"}}': values}


UP = 'haproxy_server_status{job="proxy",proxy="live",server="%s",state="UP"}'
PROBED = 'probe_success{job="health",instance="h"}'
TOOK = 'probe_duration_seconds{job="health",instance="h"}'
CPU = 'process_cpu_seconds_total{job="web",instance="a"}'
STARTED = 'process_start_time_seconds{job="worker",instance="w"}'
DISK = 'node_filesystem_avail_bytes{job="node",mountpoint="/"}'
FAILED_PROBES = 'path="/api/health",lane="live",status="503",job="web"'
ANSWERED_PROBES = 'path="/api/health",lane="live",status="200",job="web"'
HEALTHY = {
    f"http_request_duration_seconds_count{{{ANSWERED_PROBES}}}": rising(PROBES),
    'up{job="web",instance="a"}': steady(1),
    'up{job="worker",instance="w"}': steady(1),
    'up{job="redis",instance="r"}': steady(1),
    PROBED: steady(1),
    TOOK: steady(0.01),
    'up{job="logs",instance="l"}': steady(1),
    'up{job="blackbox",instance="x"}': steady(1),
    **service("database", steady(0)),
    **service("waha", steady(0)),
    **service("sentry", steady(0)),
    'redis_up{job="redis"}': steady(1),
    'worker_live{job="worker",instance="w"}': steady(1),
    'worker_live{job="worker",instance="w2"}': steady(1),
    UP % "a": steady(1),
    UP % "b": steady(1),
    **proxy(2),
    **webhooks("accepted", 2),
    **answers({"0.1": 2, "0.5": 2, "3": 2}, 2),
    **answers({"1": 2, "3": 2, "10": 2}, 2, 'reply_duration_seconds|lane="live",job="worker",instance="w"'),
    **answers({"0.1": 4, "0.5": 4, "2.5": 4}, 4, 'database_query_duration_seconds|operation="reserve"'),
    'queue_age_seconds{lane="live",instance="a"}': steady(1),
    'dead_letters{lane="live",instance="a"}': steady(0),
    'unknown_outcomes{lane="live",instance="a"}': steady(0),
    'silent_sessions{instance="w"}': steady(0),
    'billing_guard_refusals_total{lane="live",instance="w"}': steady(0),
    'database_query_failures_total{operation="reserve",instance="w"}': steady(0),
    'redis_memory_used_bytes{job="redis"}': steady(84),
    'redis_memory_max_bytes{job="redis"}': steady(100),
    'redis_sustained_messages_per_second{job="web",instance="a"}': steady(2.1),
    'redis_connected_clients{job="redis"}': steady(79),
    'redis_config_maxclients{job="redis"}': steady(100),
    CPU: rising(0.7),
    STARTED: steady(100),
    'container_memory_used_bytes{job="web",instance="a"}': steady(84),
    'container_memory_limit_bytes{job="web",instance="a"}': steady(100),
    'node_cpu_seconds_total{job="node",mode="idle",cpu="0"}': rising(0.3),
    'node_memory_MemAvailable_bytes{job="node"}': steady(16),
    'node_memory_MemTotal_bytes{job="node"}': steady(100),
    DISK: steady(16),
    'node_filesystem_size_bytes{job="node",mountpoint="/"}': steady(100),
    'alertmanager_notifications_failed_total{integration="email"}': steady(0),
}


@dataclass(frozen=True)
class Case:
    """With *changes* the *alert* fires at *at*, with this severity, and only that; None: nothing does.

    `but`: alerts that fire, too, since they are about the same.
    """

    name: str
    changes: dict[str, str]
    alert: str | None = None
    severity: str = ""
    at: str = "9m"
    but: tuple[str, ...] = field(default=())


def _fires(alert: str, severity: str, name: str, changes: dict[str, str], **more: object) -> Case:
    return Case(name, changes, alert, severity, **more)  # type: ignore[arg-type]


SPIKE = "0x20 1x20"
CASES = [
    Case("healthy", {}),
    Case(
        "no release was ever live",
        {
            **{UP % "a": "_x40", UP % "b": "_x40", PROBED: steady(0)},
            'worker_live{job="worker",instance="w"}': steady(0),
            'worker_live{job="worker",instance="w2"}': steady(0),
        },
    ),
    Case("one failed probe", {PROBED: "1x30 0x3 1x6"}, at="8m30s"),
    _fires("HealthFailing", "P0", "two failed probes", {PROBED: "1x20 0x20"}, at="7m30s"),
    _fires(
        "HealthFailing",
        "P0",
        "no web server at all",
        {PROBED: "1x20 0x20", UP % "a": "1x20 0x20", UP % "b": "1x20 0x20"},
    ),
    Case("an answer below the limit", {TOOK: steady(5)}),
    _fires("HealthSlow", "P1", "an answer above it", {TOOK: steady(5.1)}),
    Case("a slow failure is no slow answer", {TOOK: "5.1x40", PROBED: "1x30 0x3 1x6"}, at="8m"),
    _fires(
        "DatabaseUnreachable",
        "P0",
        "the database, and with it the whole report",
        {PROBED: "1x20 0x20", **service("database", SPIKE)},
    ),
    Case(
        "the report comes back after the database does",
        {
            PROBED: "1x10 0x20 1x10",
            **service("database", "0x10 1x16 0x14"),
        },
        at="7m15s",
    ),
    _fires("WahaUnreachable", "P0", "WAHA", {PROBED: "1x20 0x20", **service("waha", SPIKE)}),
    _fires("ServiceDown", "P2", "a service that no reply needs", service("sentry", SPIKE)),
    Case("down once", service("sentry", "0x33 1x3 0x4")),
    _fires(
        "RedisUnreachable",
        "P0",
        "Redis, and with it the whole report",
        {
            'redis_up{job="redis"}': "1x20 0x20",
            PROBED: "1x20 0x20",
        },
    ),
    _fires(
        "NoWorker",
        "P0",
        "no worker that takes live messages",
        {f'worker_live{{job="worker",instance="{each}"}}': "1x20 0x20" for each in ("w", "w2")},
    ),
    _fires("ServerDown", "P1", "one server of two", {UP % "b": "1x20 0x20"}),
    Case("a server for less than a minute", {UP % "b": "1x36 0x3"}),
    Case("two restarts", {STARTED: "100x20 110x5 120x15"}),
    _fires("RestartLoop", "P2", "three restarts", {STARTED: "100x20 110x5 120x5 130x10"}),
    Case("errors below the limit", {**proxy(2, 0.019)}),
    _fires("ErrorRate", "P2", "errors above it", {**proxy(2, 0.03)}, but=("ErrorBudgetTicket",)),
    _fires("Outage", "P1", "errors far above it", {**proxy(2, 0.11)}, but=("ErrorRate", "ErrorBudgetTicket")),
    Case(
        "few slow answers are no evidence", {**proxy(0.04), **answers({"0.1": 0, "0.5": 0, "3": 0.04}, 0.04)}
    ),
    Case(
        "few errors are no evidence",
        {
            **proxy(0.04, 0.01),
            **answers({"0.1": 0.04, "0.5": 0.04, "3": 0.04}, 0.04),
            **webhooks("accepted", 0.04),
        },
    ),
    _fires(
        "ErrorBudgetBurn",
        "P1",
        "the budget is used up in days",
        {**proxy(2, 0.4)},
        but=("ErrorRate", "Outage", "ErrorBudgetTicket"),
    ),
    _fires("ErrorBudgetTicket", "P3", "the budget is used up", {**proxy(2, 0.04)}, but=("ErrorRate",)),
    Case(
        "health probes are no webhooks",
        {
            **proxy(2 + PROBES, PROBES),
            f"http_request_duration_seconds_count{{{FAILED_PROBES}}}": rising(PROBES),
            f"http_request_duration_seconds_count{{{ANSWERED_PROBES}}}": rising(0),
        },
    ),
    _fires(
        "WebhookSlow", "P2", "the p95 of a webhook's answer", answers({"0.1": 1.8, "0.5": 1.88, "3": 2}, 2)
    ),
    Case(
        "nor are those that no server answers",
        {
            **proxy(PROBES, PROBES),
            f"http_request_duration_seconds_count{{{ANSWERED_PROBES}}}": rising(0),
        },
    ),
    Case("within the limit", answers({"0.1": 1.8, "0.5": 1.92, "3": 2}, 2)),
    _fires(
        "WebhookStalled",
        "P1",
        "so slow that it is an outage",
        answers({"0.1": 1.8, "0.5": 1.8, "3": 1.88, "10": 2}, 2),
        but=("WebhookSlow",),
    ),
    Case("refusals below the limit", {**webhooks("queue_full", 0.1)}),
    _fires("FailedWebhooks", "P2", "refusals above it", {**webhooks("queue_full", 0.12)}),
    Case("what outsiders send", {**webhooks("unauthorized", 0.3)}),
    _fires("SignatureFailures", "P1", "signatures that fail", {**webhooks("invalid_signature", 0.35)}),
    Case("a few above the rate limit", {**webhooks("rate_limited", 0.1)}),
    _fires(
        "RateLimited",
        "P3",
        "many above the rate limit",
        {**webhooks("rate_limited", 1.1)},
        but=("FailedWebhooks",),
    ),
    _fires(
        "InvalidPayloads", "P3", "invalid payloads", {**webhooks("malformed", 0.35)}, but=("FailedWebhooks",)
    ),
    _fires(
        "QueueOld",
        "P1",
        "a message that waits too long",
        {'queue_age_seconds{lane="live",instance="a"}': steady(121)},
    ),
    Case("a message that waits", {'queue_age_seconds{lane="live",instance="a"}': steady(119)}),
    Case(
        "Redis is away: the figures are none",
        {
            'queue_age_seconds{lane="live",instance="a"}': steady(-1),
            'dead_letters{lane="live",instance="a"}': steady(-1),
            'unknown_outcomes{lane="live",instance="a"}': steady(-1),
            'redis_sustained_messages_per_second{job="web",instance="a"}': steady(-1),
        },
    ),
    _fires(
        "RepliesSlow",
        "P2",
        "the p95 of a reply",
        answers(
            {"1": 1.8, "3": 1.88, "10": 2}, 2, 'reply_duration_seconds|lane="live",job="worker",instance="w"'
        ),
    ),
    _fires("DeadLetters", "P2", "a dead letter", {'dead_letters{lane="live",instance="a"}': "0x20 1x20"}),
    _fires(
        "UnknownOutcomes",
        "P2",
        "an unknown outcome",
        {'unknown_outcomes{lane="live",instance="a"}': "0x20 1x20"},
    ),
    _fires("SilentSessions", "P2", "a silent session", {'silent_sessions{instance="w"}': "0x20 1x20"}),
    _fires(
        "NoCredit",
        "P2",
        "a tenant without credit",
        {'billing_guard_refusals_total{lane="live",instance="w"}': "0x30 1x10"},
    ),
    _fires(
        "CreditFailures",
        "P1",
        "a credit that was not reserved",
        {'database_query_failures_total{operation="reserve",instance="w"}': "0x30 1x10"},
    ),
    _fires(
        "DatabaseSlow",
        "P2",
        "the p95 of a query",
        answers(
            {"0.1": 3.6, "0.5": 3.76, "2.5": 4}, 4, 'database_query_duration_seconds|operation="reserve"'
        ),
    ),
    _fires("RedisMemory", "P1", "Redis' memory", {'redis_memory_used_bytes{job="redis"}': steady(86)}),
    _fires(
        "RedisOutgrown",
        "P2",
        "more messages than the memory bears",
        {'redis_sustained_messages_per_second{job="web",instance="a"}': steady(0.2)},
    ),
    _fires(
        "RedisConnections", "P2", "Redis' connections", {'redis_connected_clients{job="redis"}': steady(81)}
    ),
    _fires("CpuHigh", "P2", "a process", {CPU: rising(0.81)}),
    _fires(
        "CpuHigh",
        "P2",
        "the machine",
        {'node_cpu_seconds_total{job="node",mode="idle",cpu="0"}': rising(0.19)},
    ),
    Case("a minute's work", {CPU: "0+1x34 50+14x5"}, at="9m15s"),
    _fires(
        "MemoryHigh", "P2", "a container", {'container_memory_used_bytes{job="web",instance="a"}': steady(86)}
    ),
    _fires("MemoryHigh", "P2", "the machine", {'node_memory_MemAvailable_bytes{job="node"}': steady(14)}),
    _fires(
        "MemoryHigh", "P2", "Redis' container", {'redis_memory_used_rss_bytes{job="redis"}': steady(345e6)}
    ),
    _fires(
        "MemoryHigh", "P2", "the proxy", {'haproxy_process_pool_allocated_bytes{job="proxy"}': steady(180e6)}
    ),
    _fires("DiskFull", "P1", "the disk", {DISK: steady(14)}),
    _fires("TargetDown", "P2", "an exporter", {'up{job="redis",instance="r"}': "1x20 0x20"}),
    _fires("TargetDown", "P2", "no worker tells figures", {'up{job="worker",instance="w"}': "_x40"}),
    Case("one web server of two", {'up{job="web",instance="b"}': "1x20 0x20"}),
    _fires("LogsNotCollected", "P2", "the collector", {'up{job="logs",instance="l"}': "1x20 0x20"}),
    _fires(
        "LogsNotCollected", "P2", "lines that are lost", {'collector_dropped_total{job="logs"}': "0x30 5x10"}
    ),
    _fires(
        "TargetDown",
        "P2",
        "nobody probes",
        {'up{job="blackbox",instance="x"}': "1x10 0x30", PROBED: "1x10 _x30", TOOK: "0.01x10 _x30"},
    ),
    _fires(
        "Outage",
        "P1",
        "though outsiders flood",
        {
            **proxy(2, 0.4),
            'haproxy_frontend_http_responses_total{job="proxy",proxy="live",code="4xx"}': rising(60),
        },
        but=("ErrorRate", "ErrorBudgetBurn", "ErrorBudgetTicket"),
    ),
    Case("what outsiders are refused before they have signed", webhooks("too_large", 0.2)),
    _fires("WorkerDown", "P1", "one worker of two", {'worker_live{job="worker",instance="w2"}': "_x40"}),
    _fires(
        "NotificationsFailing",
        "P1",
        "mail that is not taken",
        {'alertmanager_notifications_failed_total{integration="email"}': "0x20 0+1x20"},
    ),
]
