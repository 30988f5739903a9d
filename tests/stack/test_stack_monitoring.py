"""A stack that is watched: each fault is told of once, with its severity, and when it is over.

`RUNBOOK_GATE=full .venv/bin/pytest -s tests/stack/test_stack_monitoring.py` plants every fault, with the
probes and windows of `targets.toml`, and prints the rows of docs/monitoring.md: an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import chain
from typing import Any

import pytest
from abandoned import OURS, remove_abandoned
from alert_rules import alerts_in
from instant_gate import InstantGate
from monitor_files import monitor_file
from monitored_stack import MonitoredStack
from on_demand import FULL, on_demand
from project import Project

pytestmark = [pytest.mark.stack, pytest.mark.monitored]

QUICK = {
    "probe_each_s = 60 ": "probe_each_s = 4 ",
    "scrape_each_s = 15 ": "scrape_each_s = 2 ",
    "window_s = 300 ": "window_s = 20 ",
    # The machine may be slow, and share its cores: how fast the stack is is not asked here.
    "webhook_p95_ms = 500": "webhook_p95_ms = 20000",
    "reply_p95_ms = 3000": "reply_p95_ms = 60000",
    "database_p95_ms = 500": "database_p95_ms = 20000",
    "queue_age_s = 120 ": "queue_age_s = 600 ",
}
NO_MESSAGES = {"quiet_s = 3600 ": "quiet_s = 300 ", "quiet_before_s = 86400 ": "quiet_before_s = 600 "}
"""Five minutes, and what came in the five before: a day is not waited for."""
SENTRY_DSN = "http://key@node-exporter:9100/1"
"""Something that takes connections, and can be stopped."""
RATE_LIMIT = 1200 if FULL else 400
ENVIRONMENT = f"""\
  runbook:env:
    MAX_ATTEMPTS: 10
    RETRY_CAP_S: 30
    SILENT_AFTER_S: 60
    RATE_LIMIT_PER_MINUTE: {RATE_LIMIT}
"""
SENT_WITHIN_S = 45 if FULL else 300
"""Beside the probes: a scrape, a look at the rules, and Alertmanager's wait for what hangs together."""
RESOLVED_WITHIN_S = 900
KINDS = ("channel", "mail")
MACHINE = {"CpuHigh"}
"""What others on the machine may cause."""


@dataclass(frozen=True)
class Fault:
    """What is planted, and the alert that it raises; `also`: those that may be told of beside it.

    `after_s`: its limit is on something that has to last, so long.
    """

    alert: str
    severity: str
    plant: Callable[[MonitoredStack], AbstractContextManager[None]]
    also: tuple[str, ...] = ()
    after_s: float = 0


BUDGET = ("ErrorBudgetBurn", "ErrorBudgetTicket")
"""In a stack that is minutes old any error is a large share of three days'."""
BACKLOG = ("RepliesSlow", "QueueOld", "UnknownOutcomes")
"""What an outage leaves behind when it is over."""
FIRST = [
    Fault("ErrorRate", "P2", MonitoredStack.few_webhooks_refused, ("RedisMemory", "RepliesSlow")),
    Fault("ErrorBudgetTicket", "P3", MonitoredStack.the_same),
]
"""While there were no other errors in three days."""
URGENT = [
    Fault("HealthFailing", "P0", MonitoredStack.health_failing, (*BUDGET, "Outage", "ErrorRate")),
    Fault(
        "DatabaseUnreachable",
        "P0",
        MonitoredStack.database_unreachable,
        (*BACKLOG, "CreditFailures", "DatabaseSlow"),
    ),
    Fault("WahaUnreachable", "P0", MonitoredStack.waha_unreachable, BACKLOG),
    Fault(
        "RedisUnreachable",
        "P0",
        MonitoredStack.redis_unreachable,
        (*BACKLOG, *BUDGET, "Outage", "ErrorRate", "FailedWebhooks", "NoWorker", "TargetDown"),
    ),
    Fault("NoWorker", "P0", MonitoredStack.no_worker, (*BACKLOG, "WorkerDown")),
]
TOGETHER = [
    [
        Fault("SignatureFailures", "P1", MonitoredStack.unsigned),
        Fault("UnknownOutcomes", "P2", MonitoredStack.unknown_outcome),
        Fault("NoCredit", "P2", MonitoredStack.no_credit),
        Fault("RedisConnections", "P2", MonitoredStack.many_connections),
        Fault("TargetDown", "P2", MonitoredStack.exporter_down, after_s=75),
        Fault("ServiceDown", "P2", MonitoredStack.exporter_down, after_s=30),
        Fault("LogsNotCollected", "P2", MonitoredStack.collector_down, after_s=30),
        Fault("SilentSessions", "P2", MonitoredStack.silent_session, after_s=90),
        Fault("QueueOld", "P1", MonitoredStack.old_message, ("DeadLetters",), after_s=120),
    ],
    [
        Fault("Outage", "P1", MonitoredStack.webhooks_refused, (*BUDGET, "RedisMemory")),
        Fault("ErrorBudgetBurn", "P1", MonitoredStack.webhooks_refused, ("Outage", "RedisMemory")),
    ],
    [
        Fault("WebhookSlow", "P2", MonitoredStack.slow_writes, (*BUDGET, "Outage", "ErrorRate")),
        Fault("DatabaseSlow", "P2", MonitoredStack.slow_database),
        Fault("RepliesSlow", "P2", MonitoredStack.slow_model),
        Fault("NotificationsFailing", "P1", MonitoredStack.heartbeat_fails),
    ],
    [Fault("DeadLetters", "P2", MonitoredStack.dead_letter, ("QueueOld", "SilentSessions"), after_s=240)],
    [
        Fault("ServerDown", "P1", MonitoredStack.server_down, ("TargetDown",)),
        Fault("CreditFailures", "P1", MonitoredStack.credit_failure),
        Fault("RedisOutgrown", "P2", MonitoredStack.outgrown_redis),
    ],
    [
        Fault("HealthSlow", "P1", MonitoredStack.health_slow, ("Outage", "ErrorRate"), after_s=60),
        Fault("RedisMemory", "P1", MonitoredStack.nearly_full_redis, ("RedisOutgrown",)),
    ],
    [Fault("WebhookStalled", "P1", MonitoredStack.slow_line, ("WebhookSlow",))],
    [Fault("RateLimited", "P3", MonitoredStack.too_often, ("CpuHigh",))],
    [Fault("NoMessages", "P2", MonitoredStack.no_messages, ("SilentSessions",), after_s=300)],
    [Fault("FailedWebhooks", "P2", MonitoredStack.often_invalid, ("InvalidPayloads",))],
    [Fault("InvalidPayloads", "P3", MonitoredStack.invalid)],
    [Fault("RestartLoop", "P2", MonitoredStack.restart_loop, ("WorkerDown", "TargetDown"), after_s=120)],
    [Fault("WorkerDown", "P1", MonitoredStack.worker_down, ("TargetDown",), after_s=180)],
    [
        Fault("CpuHigh", "P2", MonitoredStack.busy_processor, ("WebhookSlow", "RepliesSlow", "HealthSlow")),
        Fault("MemoryHigh", "P2", MonitoredStack.much_memory),
        Fault("DiskFull", "P1", MonitoredStack.full_disk),
    ],
]
"""Those that are planted at the same time: of different topics, so that none keeps another back."""
QUERIES = {
    "failed-webhooks": "Invalid webhook signature",
    "rate-limit": "Rate limit exceeded for IP",
    "slow": "Slow request detected",
    "unauthorized": "Invalid webhook signature",
    "invalid-signature": "Invalid webhook signature",
    "errors": "Message failed",
    'level="error" AND webhook=true AND event="failed"': "Message failed",
}
"""The runbook's queries, each with a message that it has to find."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredStack]:
    """One that is live, with messages coming; in the short form its gates pass everything at once."""
    remove_abandoned()
    project = Project.copy(tmp_path_factory.mktemp("monitored"), f"{OURS}-monitored", is_monitored=True)
    if FULL:
        project.change(
            f"Pulumi.{project.stack}.yaml", {"sandbox: true": "sandbox: true\n    worker_replicas: 2"}
        )
        project.change("targets.toml", NO_MESSAGES)
    else:
        InstantGate(project, tmp_path_factory.mktemp("gate"))
        project.change("targets.toml", QUICK)
    with (project.root / f"Pulumi.{project.stack}.yaml").open("a") as file:
        file.write(ENVIRONMENT)
    # A preview makes the stack.
    for words in (("preview",), ("secrets", "set", "SENTRY_DSN")) if FULL else ():
        done = project.runbook(*words, stdin=SENTRY_DSN)
        assert done.returncode == 0, done.stderr
    project.deploy()
    monitored = MonitoredStack(project, RATE_LIMIT)
    with monitored.traffic():
        monitored.wait_for(lambda: monitored.firing() <= MACHINE, "nothing fires", RESOLVED_WITHIN_S)
        yield monitored
    project.runbook("destroy")
    assert project.leftovers() == []


def plant(stack: MonitoredStack, faults: Sequence[Fault]) -> None:
    """Plant all *faults* together; each is told of once, as it should be, and then its end. Prints a row."""
    probes_s = stack.monitor.probe_failures * stack.monitor.probe_each_s
    before = stack.firing()  # of the fault before: its windows are not over
    stack.forget()
    with ExitStack() as undo:
        began = {}
        for fault in faults:
            began[f"{fault.severity} {fault.alert}"] = time.monotonic()
            undo.enter_context(fault.plant(stack))
        limits_s = {
            f"{fault.severity} {fault.alert}": fault.after_s + probes_s + SENT_WITHIN_S for fault in faults
        }
        told_s = seconds_until_told(stack, limits_s, began)
    ended = dict.fromkeys((f"Resolved {fault.alert}" for fault in faults), time.monotonic())
    resolved_s = seconds_until_told(stack, dict.fromkeys(ended, RESOLVED_WITHIN_S), ended)
    for fault in faults:
        raised_s = told_s[f"{fault.severity} {fault.alert}"]
        row = (what_of(fault), fault.alert, fault.severity, f"{raised_s:.0f} s")
        print("|", " | ".join((*row, f"{resolved_s[f'Resolved {fault.alert}']:.0f} s")), "|")
    allowed = {name for fault in faults for name in (fault.alert, *fault.also)}
    for kind in KINDS:
        raised = {title: count for title, count in stack.told(kind).items() if not title.startswith("Res")}
        assert {title.split()[1] for title in raised} <= allowed | MACHINE | before
        wanted = [f"{fault.severity} {fault.alert} ({stack.project.stack})" for fault in faults]
        assert {title: raised[title] for title in wanted} == dict.fromkeys(wanted, 1)


def seconds_until_told(
    stack: MonitoredStack, limits_s: dict[str, float], began: dict[str, float]
) -> dict[str, float]:
    """How long it took, from when each *began*, until the team had heard of it both ways."""
    told_s: dict[str, float] = {}

    def all_told() -> bool:
        for what, limit_s in limits_s.items():
            took_s = time.monotonic() - began[what]
            if what not in told_s and all(stack.has_told(kind, what) for kind in KINDS):
                told_s[what] = took_s
            assert what in told_s or took_s < limit_s, f"{what}: not within {limit_s:.0f} s"
        return told_s.keys() == limits_s.keys()

    stack.wait_for(all_told, "all are told of", max(limits_s.values()) + 60)
    return told_s


def what_of(fault: Fault) -> str:
    """The fault in words."""
    return (fault.plant.__doc__ or "").strip().rstrip(".")


@on_demand
def test_used_up_budget(stack: MonitoredStack) -> None:
    """A few errors in three days: nobody is woken for them."""
    plant(stack, FIRST)


def test_fault_that_pages(stack: MonitoredStack) -> None:
    """The database answers nobody: P0, by mail and in the channel, once, and its end."""
    plant(stack, URGENT[1:2])


@on_demand
@pytest.mark.parametrize("fault", [URGENT[0], *URGENT[2:]], ids=lambda fault: fault.alert)
def test_each_urgent_fault(stack: MonitoredStack, fault: Fault) -> None:
    """While a P0 fires nothing below it is told of: one by one."""
    plant(stack, [fault])


@on_demand
@pytest.mark.parametrize("faults", TOGETHER, ids=lambda faults: faults[0].alert)
def test_each_other_fault(stack: MonitoredStack, faults: list[Fault]) -> None:
    """Each by itself, though others fire."""
    plant(stack, faults)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/prometheus/-/ready", {}, 200),
        ("/prometheus/-/ready", {"Origin": "http://localhost:1"}, 200),
        ("/prometheus/-/ready", {"Origin": "http://evil.example"}, 403),
        ("/prometheus/-/ready", {"Host": "evil.example"}, 403),
        ("/prometheus/-/ready", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("/prometheus/-/ready", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        *((f"/alertmanager/api/{path}", {}, 403) for path in ("v1/status", "v2/status", "v2/%73tatus")),
        ("/alertmanager//api/v2/status", {}, 403),
        ("/alertmanager/api/v2/silences", {}, 200),
    ],
)
def test_pages_of_monitors(stack: MonitoredStack, path: str, headers: dict[str, str], status: int) -> None:
    """For whoever is on this machine, not for other sites' pages there; no secret is shown, in no frame."""
    connection = HTTPConnection("127.0.0.1", stack.project.ports["monitoring_port"], timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == status
    assert status != 200 or answer.headers["X-Frame-Options"] == "DENY"
    connection.close()


def test_every_alert_is_planted() -> None:
    """With its severity; the Watchdog needs none."""
    planted = {fault.alert: fault.severity for fault in (*FIRST, *URGENT, *chain(*TOGETHER))}
    assert {**planted, "Watchdog": "none"} == alerts_in(monitor_file("rules.yml"))


def test_release_and_rollback(stack: MonitoredStack) -> None:
    """A healthy stack's team hears of neither, and what was silent for them is heard again."""
    before = stack.project.outputs()["release"]
    stack.wait_for(lambda: all_is_told(stack), "nothing fires, and each end is told", RESOLVED_WITHIN_S)
    stack.forget()
    stack.project.append("service/webhooks/webhook.py", "\n# another release\n")
    after = stack.project.deploy()
    assert after != before
    back = stack.project.runbook("rollback")
    assert back.returncode == 0, back.stderr
    assert {each["status"]["state"] for each in stack.alertmanager("silences")} == {"expired"}
    rounds = 2 * stack.monitor.probe_failures
    looked = stack.evaluations()
    stack.wait_for(lambda: stack.evaluations() > looked + rounds * stack.monitor.probe_each_s, "the rules")
    assert stack.firing() <= MACHINE
    for kind in KINDS:
        assert [title for title in stack.told(kind) if title.split()[1] not in MACHINE] == []


def all_is_told(stack: MonitoredStack) -> bool:
    """Nothing fires, and no end is on its way: Alertmanager tells of one up to a minute later."""
    active = {each["labels"]["alertname"] for each in stack.alertmanager("alerts")} - {"Watchdog"}
    untold: set[str] = set().union(*(stack.untold_ends(kind) for kind in KINDS))
    return stack.firing() | active | untold <= MACHINE


def said_by(release: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a release's containers."""
    return [line for line in lines if line["release"] == release]


def test_logs_outlive_a_release(stack: MonitoredStack) -> None:
    """Each query of the runbook finds lines of a release that is gone, and of the live one."""
    project = stack.project
    ids = {}
    gone = project.outputs()["release"]
    ids[gone] = stack.misbehave()
    project.append("service/webhooks/webhook.py", "\n# and another\n")
    live = project.deploy()
    ids[live] = stack.misbehave()
    assert project.pulumi("config", "set", "--path", "runbook:layout.keep_releases", "0").returncode == 0
    project.deploy()
    assert stack.containers_of(gone) == []

    for query, msg in QUERIES.items():
        found = stack.logs(query)
        for release in (gone, live):
            lines = [line for line in said_by(release, found) if line["msg"] == msg]
            assert lines, f"{query}: nothing of {release} among {len(found)} lines"
    for release, request in ids.items():
        (story,) = [stack.logs("request", request)]
        assert {line["release"] for line in story} == {release}
        assert [line["msg"] for line in story][:2] == ["Webhook received", "Webhook verified"]
        assert story[-1]["msg"] == "Message processed"
    counted = stack.logs("sql", "select release, count(*) as n from logs where security group by release")
    assert {gone, live} <= {row["release"] for row in counted}
    assert {line["release"] for line in stack.logs("failed-webhooks", "--release", gone)} == {gone}
