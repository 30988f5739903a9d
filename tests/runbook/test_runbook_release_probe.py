"""One observation of a live release: what is read where, and that what cannot be read is no evidence."""

from __future__ import annotations

import datetime
import http.server
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from docker.errors import DockerException
from fake_engine import Thing
from fake_stack import FakeStack, moves_of
from in_thread import answering
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from contracts.targets import read_targets
from infra.proxy_control import Counters
from runbook.monitor import Limits, Monitor, Queue, Sends, Webhooks
from runbook.release_probe import ReleaseProbe, sends_in, webhooks_in

STAT = (
    "# pxname,svname,hrsp_2xx,hrsp_4xx,hrsp_5xx,rtime,rtime_max\n"
    "live,web-1,90,8,2,7,40\n"
    "live,BACKEND,90,8,2,7,40\n"
    "canary,BACKEND,1000,0,900,7,40\n"
)
MB = 1024 * 1024
Answer = Callable[[list[str]], tuple[int, str]]


class Frontend(http.server.ThreadingHTTPServer):
    """A public frontend that answers with `status`, and its health report with `health`."""

    status = health = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        known = {"/api/health/ready": self.server.status, "/api/health": self.server.health}
        self.send_response(known.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    """It answers until the test has ended."""
    server = Frontend()
    with answering(server):
        yield server


def metrics(
    sends: dict[str, int] | None = None,
    queue_depth: float | None = None,
    webhooks: dict[str, int] | None = None,
) -> str:
    """What `python3 -m service metrics` prints."""
    registry = CollectorRegistry()
    if sends is not None:
        counter = Counter("first_sends_total", "First attempts", ["outcome"], registry=registry)
        for outcome, count in sends.items():
            counter.labels(outcome).inc(count)
    if webhooks is not None:
        taken = Counter("webhooks_total", "Webhooks", ["outcome", "lane"], registry=registry)
        for outcome, count in webhooks.items():
            taken.labels(outcome, "live").inc(count)
            taken.labels(outcome, "gate").inc(1000)
    if queue_depth is not None:
        Gauge("queue_depth", "Messages", ["lane"], registry=registry).labels("live").set(queue_depth)
    return generate_latest(registry).decode()


def worker(sends: dict[str, int], lane: dict[str, Any] | None = None) -> Answer:
    """A worker that tells its metrics, and of the queue what *lane* says."""
    known = {"last_delivered_id": "7-0", "oldest_waiting_ms": None} if lane is None else lane
    shown = {"lanes": [{"lane": "gate"}, {"lane": "live", **known}], "live_release": "r-2"}

    def answer(command: list[str]) -> tuple[int, str]:
        asked = command[3:]
        return (0, metrics(sends)) if asked == ["metrics"] else (0, json.dumps(shown))

    return answer


def says(code: int, text: str) -> Answer:
    """A process that answers everything so."""
    return lambda _command: (code, text)


def of(stack: FakeStack, role: str, release: str) -> Thing:
    """One container."""
    return stack.engine.containers.get(f"runbook-dev-{role}-1-{release}")


@pytest.fixture
def live(stack: FakeStack) -> FakeStack:
    """r-2 is live and well, beside r-1, which is kept."""
    stack.deploy("r-1", "r-2")
    stack.proxy.stat = STAT
    for release, sends in (("r-1", {"sent": 900, "refused": 9}), ("r-2", {"sent": 40, "unavailable": 2})):
        of(stack, "worker", release).answer = worker(sends)
        of(stack, "web", release).answer = says(0, metrics(queue_depth=3))
        of(stack, "web", release).memory = {"usage": 64 * MB, "limit": 256 * MB}
    return stack


def probe(stack: FakeStack, frontend: Frontend | None = None) -> ReleaseProbe:
    """One whose proxy publishes *frontend*, or a port where nobody listens."""
    publish(stack, "127.0.0.1", frontend.server_address[1] if frontend else 9)
    return ReleaseProbe("acme/runbook/dev", stack.engine)  # type: ignore[arg-type]


def publish(stack: FakeStack, address: str, port: int) -> None:
    """Let the proxy have its public frontend there."""
    stack.proxy.ports["8080/tcp"] = [{"HostIp": address, "HostPort": str(port)}]


def test_all_that_is_judged_is_read(live: FakeStack, frontend: Frontend) -> None:
    """Of the live release and of no other, from the proxy, the engine, its processes and its frontend."""
    of(live, "web", "r-2").restarts = 2
    seen = probe(live, frontend).observe()
    assert (seen.release, seen.counters) == ("r-2", Counters(100, 2, 7, 40, 8))
    assert (seen.ready_problem, seen.redis_away) == (None, False)
    assert (seen.restarts, seen.memory_share) == (2, 0.25)
    assert seen.queue == Queue("7-0", None)
    assert seen.sends == Sends(sent=40, refused=0, unavailable=2)


def test_what_the_proxy_serves_is_observed(live: FakeStack, frontend: Frontend) -> None:
    """A rollback whose state has not followed, for example: what is seen then is the other release's."""
    live.serve("r-1", *moves_of("r-2", "r-1"))
    seen = probe(live, frontend).observe()
    assert (seen.release, seen.sends) == ("r-1", Sends(sent=900, refused=9))


def test_a_container_that_does_not_run_has_ended_once_more(live: FakeStack, frontend: Frontend) -> None:
    """While it waits to be started again, the engine counts one less."""
    crashed = of(live, "worker", "r-2")
    crashed.restarts, crashed.status = 3, "exited"
    of(live, "web", "r-1").restarts = 50
    assert probe(live, frontend).observe().restarts == 4


def test_the_fullest_container_counts(live: FakeStack, frontend: Frontend) -> None:
    """One without a limit, or that does not run, has no share."""
    of(live, "worker", "r-2").memory = {"usage": 230 * MB, "limit": 256 * MB}
    assert probe(live, frontend).observe().memory_share == pytest.approx(230 / 256)
    for role in ("web", "worker"):
        of(live, role, "r-2").memory = {}
    assert probe(live, frontend).observe().memory_share is None


@pytest.mark.parametrize(("status", "problem"), [(200, None), (503, "HTTP 503"), (404, "HTTP 404")])
def test_ready_is_what_the_public_frontend_says(
    live: FakeStack, frontend: Frontend, status: int, problem: str | None
) -> None:
    """As whoever sends webhooks is answered; directly, whatever proxy the environment names."""
    frontend.status = status
    assert probe(live, frontend).observe().ready_problem == problem


def test_the_frontend_is_asked_where_the_proxy_publishes_it(live: FakeStack, frontend: Frontend) -> None:
    """This checkout's layout may name another port, which is not deployed, or not by this checkout."""
    asked = probe(live)
    publish(live, "0.0.0.0", frontend.server_address[1])
    assert asked.observe().ready_problem is None


def test_a_frontend_that_is_published_nowhere_is_not_the_releases_doing(live: FakeStack) -> None:
    """Its proxy is being started, for example."""
    asked = probe(live)
    live.proxy.ports.clear()
    assert asked.observe().ready_problem is None


@pytest.mark.parametrize(("status", "is_up"), [(200, True), (503, False), (404, False)])
def test_what_a_reply_needs_is_there_as_the_health_report_says(
    live: FakeStack, frontend: Frontend, status: int, is_up: bool
) -> None:
    """200: Redis, database and WAHA are up. A frontend that does not answer tells nothing."""
    frontend.health = status
    assert probe(live, frontend).observe().dependencies_up is is_up
    assert probe(live).observe().dependencies_up is False


def test_a_proxy_of_the_environment_is_not_used(
    live: FakeStack, frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not reach this machine's own addresses."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert probe(live, frontend).observe().ready_problem is None


def test_a_frontend_that_does_not_answer_is_not_ready(live: FakeStack) -> None:
    """In words."""
    assert "refused" in (probe(live).observe().ready_problem or "")


@pytest.mark.parametrize(("depth", "away"), [(-1, True), (0, False), (3, False), (None, False)])
def test_a_web_process_tells_whether_redis_is_away(
    live: FakeStack, frontend: Frontend, depth: float | None, away: bool
) -> None:
    """It tells -1 of what it cannot see there. A kept release's web processes are not asked."""
    of(live, "worker", "r-2").answer = worker({"sent": 1}, lane={})  # older than what tells of the queue
    of(live, "web", "r-2").answer = says(0, metrics(queue_depth=depth))
    of(live, "web", "r-1").answer = says(0, metrics(queue_depth=-1))
    assert probe(live, frontend).observe().redis_away is away


def test_a_release_that_says_so_while_its_queue_can_be_read_is_not_without_redis(
    live: FakeStack, frontend: Frontend
) -> None:
    """It answers 503 to everybody: a process of its own reads the queue, so Redis is there."""
    of(live, "web", "r-2").answer = says(0, metrics(queue_depth=-1))
    frontend.status = 503
    monitor = Monitor("r-2", Limits(read_targets().watch, read_targets().rollout))
    assert monitor.add(probe(live, frontend).observe()) == []
    assert [check.name for check in monitor.add(probe(live, frontend).observe())] == ["ready"]


@pytest.mark.parametrize(
    ("lane", "queue"),
    [
        ({"last_delivered_id": "9-1", "oldest_waiting_ms": 1764}, Queue("9-1", 1764)),
        ({"oldest_waiting_ms": 1764}, None),
        ({}, None),
    ],
)
def test_the_queue_is_what_the_service_shows(
    live: FakeStack, frontend: Frontend, lane: dict[str, Any], queue: Queue | None
) -> None:
    """Of the live lane; a release that is older than this command tells less, which is no evidence."""
    of(live, "worker", "r-2").answer = worker({"sent": 1}, lane)
    assert probe(live, frontend).observe().queue == queue


@pytest.mark.parametrize(
    "answer",
    [
        says(1, "Traceback (most recent call last)"),
        says(2, "invalid choice: 'metrics'"),
        says(0, ""),
        says(
            0, f"/opt/site/x.py:1: UserWarning: is deprecated\n{metrics({'sent': 4}, webhooks={'stale': 1})}"
        ),
        says(0, "<html>Internal error</html>\n"),
        says(0, "webhooks_total{\n"),
        says(
            0, 'first_sends_total{outcome="sent"} NaN\nwebhooks_total{outcome="accepted",lane="live"} +Inf\n'
        ),
    ],
    ids=[
        *("it fails", "an older release", "nothing was counted", "a library warns"),
        *("no metrics", "half a line", "no numbers"),
    ],
)
def test_processes_that_tell_nothing_are_no_evidence(
    live: FakeStack, frontend: Frontend, answer: Answer
) -> None:
    """Neither that messages were sent, nor that none was; the rest is read all the same."""
    for role in ("web", "worker"):
        of(live, role, "r-2").answer = answer
    seen = probe(live, frontend).observe()
    assert (seen.sends, seen.webhooks, seen.redis_away) == (None, None, False)
    assert (seen.release, seen.restarts) == ("r-2", 0)


def second_worker(stack: FakeStack, answer: Answer) -> Thing:
    """One more of r-2."""
    more = stack.engine.containers.add("runbook-dev-worker-2-r-2", role="worker", release="r-2")
    more.answer = answer
    return more


def test_of_several_workers_the_sends_are_added(live: FakeStack, frontend: Frontend) -> None:
    """All that run, or nothing is known: all that one ever did would else have come since the last look."""
    more = second_worker(live, worker({"sent": 5, "refused": 1}))
    assert probe(live, frontend).observe().sends == Sends(sent=45, refused=1, unavailable=2)
    more.answer = says(1, "")
    assert probe(live, frontend).observe().sends is None
    more.status = "paused"
    assert probe(live, frontend).observe().sends is None


@pytest.mark.parametrize("status", ["restarting", "exited", "dead", "created"])
def test_a_worker_whose_process_has_ended_is_not_asked(
    live: FakeStack, frontend: Frontend, status: str
) -> None:
    """One that crashes again and again hides nothing of the others; it counts from 0 when it is back."""
    second_worker(live, says(1, "")).status = status
    assert probe(live, frontend).observe().sends == Sends(sent=40, unavailable=2)


def test_of_several_web_processes_all_or_none_tell_of_webhooks(live: FakeStack, frontend: Frontend) -> None:
    """Workers count none: one that does not answer hides nothing. That Redis is away one can tell for all."""
    of(live, "web", "r-2").answer = says(0, metrics(queue_depth=-1, webhooks={"accepted": 7}))
    of(live, "worker", "r-2").answer = says(1, "")
    assert probe(live, frontend).observe().webhooks == Webhooks(taken=7)
    more = live.engine.containers.add("runbook-dev-web-2-r-2", role="web", release="r-2")
    more.answer = says(1, "")
    seen = probe(live, frontend).observe()
    assert (seen.webhooks, seen.redis_away) == (None, True)


def test_processes_that_have_counted_nothing_yet_tell_so(live: FakeStack, frontend: Frontend) -> None:
    """A new release's: what comes after this look is its doing, and none of it is taken for its beginning."""
    of(live, "web", "r-2").answer = says(0, metrics(queue_depth=0, webhooks={}))
    of(live, "worker", "r-2").answer = says(0, "worker_live 1.0\n")
    seen = probe(live, frontend).observe()
    assert (seen.sends, seen.webhooks) == (Sends(), Webhooks())


def test_where_inngest_calls_the_web_its_sends_are_added(live: FakeStack, frontend: Frontend) -> None:
    """It answers messages then, as a worker does."""
    of(live, "web", "r-2").answer = says(0, metrics({"sent": 3, "failed": 1}, queue_depth=0))
    assert probe(live, frontend).observe().sends == Sends(sent=43, unavailable=2, failed=1)


@pytest.mark.parametrize("error", [DockerException("no engine"), requests.ConnectionError("refused")])
def test_an_engine_that_is_away_leaves_what_the_frontend_says(
    live: FakeStack, frontend: Frontend, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is not known, and that is no reason against the release."""
    asked = probe(live, frontend)

    def away(*_: object, **__: object) -> object:
        raise error

    for name in ("get", "list"):
        monkeypatch.setattr(live.engine.containers, name, away)
    seen = asked.observe()
    assert seen.ready_problem is None
    assert (seen.release, seen.counters, seen.restarts, seen.memory_share) == (None, None, None, None)
    assert (seen.queue, seen.sends, seen.redis_away) == (None, None, False)
    assert asked.usual("r-2") == (Sends(), Webhooks(), 0)


def test_a_proxy_that_is_gone_tells_nothing(live: FakeStack, frontend: Frontend) -> None:
    """Of which release is live, neither."""
    live.proxy.removed = True
    seen = probe(live, frontend).observe()
    assert (seen.release, seen.counters) == (None, None)


def test_a_proxy_that_cannot_be_asked_is_not_the_releases_doing(live: FakeStack) -> None:
    """Nobody is answered then, and another release would not be either."""
    live.proxy.answer = says(1, "")
    assert probe(live).observe().ready_problem is None


def test_what_is_usual_is_what_the_others_counted(live: FakeStack, frontend: Frontend) -> None:
    """The kept releases' processes, as long as they run."""
    of(live, "web", "r-1").answer = says(0, metrics(webhooks={"accepted": 7}))
    assert probe(live, frontend).usual("r-2")[:2] == (Sends(sent=900, refused=9), Webhooks(taken=7))
    of(live, "worker", "r-1").status = "exited"
    assert probe(live, frontend).usual("r-2")[:2] == (Sends(), Webhooks(taken=7))


def test_what_is_usual_was_counted_since_the_first_of_the_others_began(
    live: FakeStack, frontend: Frontend
) -> None:
    """How old the one is that is watched does not matter."""
    now = datetime.datetime.now(datetime.UTC)
    ages_s = {("web", "r-1"): 60, ("worker", "r-1"): 3600, ("web", "r-2"): 9000}
    for (role, release), age_s in ages_s.items():
        of(live, role, release).started_at = f"{now - datetime.timedelta(seconds=age_s):%Y-%m-%dT%H:%M:%S.1Z}"
    assert probe(live, frontend).usual("r-2")[2] == pytest.approx(3600, abs=30)


def test_an_older_release_whose_counts_have_no_labels_is_no_evidence(
    live: FakeStack, frontend: Frontend
) -> None:
    """Of what became of messages and webhooks, and in which lane, it tells nothing."""
    old = 'webhooks_total 7.0\nfirst_sends_total 9.0\nmessages_total{lane="live"} 9.0\n'
    for role in ("web", "worker"):
        of(live, role, "r-1").answer = says(0, old)
    assert probe(live, frontend).usual("r-2")[:2] == (Sends(), Webhooks())


def test_sends_are_read_by_the_outcomes_that_are_judged() -> None:
    """Another metric, another outcome, or another lane is nobody's."""
    counts = {"sent": 3, "refused": 2, "unavailable": 1, "unanswered": 5, "failed": 4, "else": 7}
    registry = CollectorRegistry()
    Counter("sends_total", "All", ["outcome"], registry=registry).labels("refused").inc(50)
    first = Counter("first_sends_total", "First", ["outcome"], registry=registry)
    for outcome, count in counts.items():
        first.labels(outcome).inc(count)
    messages = Counter("messages_total", "Attempts", ["outcome", "lane"], registry=registry)
    reconciled = Counter("messages_reconciled_total", "Later", ["lane"], registry=registry)
    for lane, count in (("live", 1), ("gate", 100)):
        messages.labels("sent", lane).inc(8 * count)
        messages.labels("retry", lane).inc(30 * count)
        reconciled.labels(lane).inc(2 * count)
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert sends_in(samples) == Sends(3, 2, 1, unanswered=5, failed=4, replied=10)
    assert sends_in([]) is None


def test_webhooks_are_read_by_what_became_of_them(live: FakeStack, frontend: Frontend) -> None:
    """Those of strangers, or too many, or too late, count nowhere; nor do a gate's."""
    counts = {"accepted": 1, "duplicate": 2, "ignored": 4, "invalid_signature": 8, "malformed": 16}
    counts |= {"memory": 32, "queue_full": 64}
    others = dict.fromkeys(("unauthorized", "stale_event", "rate_limited", "blocked", "unavailable"), 99)
    of(live, "web", "r-2").answer = says(0, metrics(webhooks=counts | others))
    assert probe(live, frontend).observe().webhooks == Webhooks(taken=7, refused=24, full=96)
    assert webhooks_in([]) is None
