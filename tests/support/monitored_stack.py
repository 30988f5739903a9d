"""A stack with its monitors: what its team was told, and the faults that it should be told of."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from http.client import HTTPConnection
from typing import Any

import docker
from docker.models.containers import Container
from project import Project

from contracts.targets import Monitor, Targets, read_targets
from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers
from infra.base_images import Mode, Role, resolve
from infra.containers import ContainerExec
from infra.observed import stack_containers
from infra.stack_name import prefix_of
from smoke.target import status_event

_MB = 1024 * 1024
_FILLER = "{wa}:filler"
_HOG = "import time; held = bytearray(b'x') * (%d * 1024 * 1024); time.sleep(%d)"
_BURN = "import time, threading\nend = time.time() + %d\nwhile time.time() < end: pass"
_CONNECT = """
import socket, time
held = [socket.create_connection(("redis", 6379)) for _ in range(%d)]
time.sleep(%d)
"""
_FILL = """
import os, time
disk = os.statvfs("/")
wanted = int(%f * disk.f_blocks) - (disk.f_blocks - disk.f_bavail)
with open("/filled", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, max(1, wanted) * disk.f_frsize)
    time.sleep(1200)
"""
_POST = """
import time, urllib.error, urllib.request
body, headers, per_s = %r, %r, %r
due, end = time.monotonic() - %r, time.monotonic() + %r
url = "http://proxy:8080" + %r
while due < end:
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30)
    except urllib.error.URLError:
        pass  # it is refused
    due += 1 / per_s
    time.sleep(max(0.0, due - time.monotonic()))
"""
LONGEST_S = 1200
"""A fault that nobody takes back ends by itself."""


@dataclass
class MonitoredStack:
    """The `project`'s stack, where an address may send `rate_limit` webhooks a minute."""

    project: Project
    rate_limit: int
    is_quiet: bool = False

    @cached_property
    def secret(self) -> str:
        """What its webhooks are signed with."""
        return self.project.webhook_secret()

    @cached_property
    def targets(self) -> Targets:
        """Those of the copy."""
        return read_targets(self.project.root / "targets.toml")

    @property
    def monitor(self) -> Monitor:
        """What alerts, in the copy."""
        return self.targets.monitor

    # --- what the team was told

    def told(self, kind: str) -> Counter[str]:
        """How often each title came by `channel` or `mail`, like `P1 Outage (stack)`."""
        if kind == "mail":
            return Counter(mail["subject"] for mail in self.sandbox("GET", "/resend/sent"))
        posts = self.sandbox("GET", "/channel/posts")
        return Counter(each["title"] for post in posts for each in post["attachments"])

    def has_told(self, kind: str, what: str) -> bool:
        """Whether the team has heard, that way, of `P1 Outage`, or of `Resolved Outage`."""
        return self.told(kind)[f"{what} ({self.project.stack})"] > 0

    def forget(self) -> None:
        """Empty both."""
        self.sandbox("DELETE", "/channel/posts")
        self.sandbox("DELETE", "/resend/sent")

    def firing(self) -> set[str]:
        """The alerts that fire now, silenced or not, but for the Watchdog."""
        found = self.prometheus("alerts")["alerts"]
        firing = {each["labels"]["alertname"] for each in found if each["state"] == "firing"}
        return firing - {"Watchdog"}

    def untold_ends(self, kind: str) -> set[str]:
        """Alerts that the team has heard of, since `forget`, and not yet of their end."""
        told = self.told(kind)
        names = {title.split()[1] for title in told if not title.startswith("Resolved")}
        return {name for name in names if not told[f"Resolved {name} ({self.project.stack})"]}

    def prometheus(self, path: str) -> dict[str, Any]:
        """The data of an answer of its Prometheus."""
        url = f"http://127.0.0.1:{self.project.ports['monitoring_port']}/prometheus/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def alertmanager(self, path: str) -> Any:
        """An answer of its Alertmanager."""
        url = f"http://127.0.0.1:{self.project.ports['monitoring_port']}/alertmanager/api/v2/{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)

    def evaluations(self) -> float:
        """When the rules were looked at last, in seconds since 1970."""
        groups = self.prometheus("rules?type=alert")["groups"]
        return min(datetime.fromisoformat(each["lastEvaluation"][:19]).timestamp() for each in groups)

    def last_probe_s(self) -> float:
        """When the health report was probed last, in seconds since 1970."""
        targets = self.prometheus("targets?state=active")["activeTargets"]
        (probe,) = [each for each in targets if each["labels"]["job"] == "health"]
        return datetime.fromisoformat(probe["lastScrape"][:19] + "+00:00").timestamp() + 1

    def logs(self, *words: str) -> list[dict[str, Any]]:
        """What `bin/runbook logs` finds."""
        done = self.project.runbook("logs", *words, "--json", "--limit", "100000")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def sandbox(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        """Ask the sandbox."""
        url = f"http://127.0.0.1:{self.project.ports['sandbox_port']}{path}"
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    # --- what can be done to it

    def send(self, text: str = "hello", *, signed: bool = True, body: bytes = b"", **event: Any) -> int:
        """One webhook through the public frontend; the answer's status, 0 without one."""
        chat = f"49{time.time_ns() % 10**11}@c.us"
        content = body or encode(message_event(text, chat_id=chat, **event))
        return self.post(content, signed_headers(content, self.secret if signed else "wrong"))

    def post(self, content: bytes, headers: dict[str, str]) -> int:
        """A request to the webhook's path; as `send`."""
        url = f"http://127.0.0.1:{self.project.ports['port']}{WEBHOOK_PATH}"
        with suppress(OSError):
            request = urllib.request.Request(url, content, headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code
        return 0

    def container(self, role: str) -> Container:
        """One of the live release's, or of the infrastructure's."""
        live = self.project.outputs()["release"]
        found = stack_containers(self.project.stack, docker.from_env())
        roles = [each for each in found if each.labels.get("runbook.role") == role]
        return next(each for each in roles if each.labels.get("runbook.release", live) == live)

    def containers(self, role: str) -> list[Container]:
        """All of the live release's with this role."""
        live = self.project.outputs()["release"]
        found = stack_containers(self.project.stack, docker.from_env())
        wanted = {"runbook.role": role, "runbook.release": live}
        return [each for each in found if wanted.items() <= each.labels.items()]

    def redis(self, *command: str) -> str:
        """What `redis-cli` prints."""
        run = 'REDISCLI_AUTH="$(cat /conf/password)" exec redis-cli "$@"'
        name = f"{prefix_of(self.project.stack)}-redis"
        code, output = ContainerExec(name).run(["sh", "-c", run, "sh", *command])
        assert code == 0, output
        return output.strip()

    def containers_of(self, release: str) -> list[str]:
        """The names of a release's containers, running or not."""
        found = stack_containers(self.project.stack, docker.from_env())
        return [str(each.name) for each in found if each.labels.get("runbook.release") == release]

    def misbehave(self) -> str:
        """Let the live release log a line of each kind; the id of a request that was well."""
        live = ("--release", self.project.outputs()["release"])
        assert self.send(signed=False) == 401
        with self.fault("waha", status=400):
            self.send()
            self.wait_for(lambda: bool(self.logs("errors", *live)), "a message failed")
        with self.slow_writes():
            self.wait_for(lambda: bool(self.send() and self.logs("slow", *live)), "a slow answer")
        while self.send() != 429:
            continue
        self.redis("del", *self.redis("keys", "{wa}:rate:*").split())
        body = encode(message_event("hello", chat_id="4915500000001@c.us"))
        headers = signed_headers(body, self.secret)
        assert self.post(body, headers) == 202
        wanted = headers["X-Webhook-Request-Id"]
        self.wait_for(lambda: len(self.logs("request", wanted)) == 3, "its reply is logged")
        return wanted

    @contextmanager
    def fault(self, service: str, **fault: object) -> Iterator[None]:
        """Something is wrong with a service of the sandbox."""
        self.sandbox("PUT", f"/faults/{service}", fault)
        try:
            yield
        finally:
            self.sandbox("DELETE", f"/faults/{service}")

    @contextmanager
    def paused(self, *containers: Container) -> Iterator[None]:
        """They stand still."""
        for each in containers:
            each.pause()
        try:
            yield
        finally:
            for each in containers:
                each.unpause()

    @contextmanager
    def stopped(self, *containers: Container) -> Iterator[None]:
        """They are stopped as by `docker stop`."""
        for each in containers:
            each.stop(timeout=5)
        try:
            yield
        finally:
            for each in containers:
                each.start()

    @contextmanager
    def redis_setting(self, name: str, value: object) -> Iterator[None]:
        """Redis' configuration has another value."""
        before = self.redis("config", "get", name).splitlines()[-1]
        self.redis("config", "set", name, str(value))
        try:
            yield
        finally:
            self.redis("config", "set", name, before)

    @contextmanager
    def runs_beside(self, role: str, code: str) -> Iterator[None]:
        """Python code runs in the container of the *role*, until the block ends."""
        api = docker.from_env().api
        run = api.exec_create(self.container(role).id, ["python3", "-c", code])["Id"]
        api.exec_start(run, detach=True)
        try:
            yield
        finally:
            if pid := api.exec_inspect(run)["Pid"]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @contextmanager
    def again_and_again(self, do: Callable[[], object], each_s: float) -> Iterator[None]:
        """Do it, in a thread, each so many seconds."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(each_s):
                do()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    # --- the faults, each by what should be alerted

    @contextmanager
    def health_failing(self) -> Iterator[None]:
        """No web server answers."""
        with self.paused(*self.containers("web")):
            yield

    @contextmanager
    def health_slow(self) -> Iterator[None]:
        """The proxy stands still when it is probed, for longer than an answer may take."""
        proxy, slow_s = self.container("proxy"), self.targets.health.answer_s + 1
        next_s = self.last_probe_s() + self.monitor.probe_each_s - 1
        time.sleep(max(0.0, next_s - time.time()))
        with self.paused(proxy):
            time.sleep(1 + slow_s)
        yield

    def database_unreachable(self) -> Any:
        """Convex answers nobody."""
        return self.fault("convex", down=True)

    def waha_unreachable(self) -> Any:
        """WAHA answers nobody."""
        return self.fault("waha", down=True)

    def redis_unreachable(self) -> Any:
        """Redis stands still."""
        return self.paused(self.container("redis"))

    def no_worker(self) -> Any:
        """No worker runs."""
        return self.stopped(*self.containers("worker"))

    def worker_down(self) -> Any:
        """One worker of two is stopped."""
        return self.stopped(self.containers("worker")[0])

    def server_down(self) -> Any:
        """One web server of two stands still."""
        return self.paused(self.containers("web")[0])

    @contextmanager
    def restart_loop(self) -> Iterator[None]:
        """A worker is restarted three times, each a little after its figures were told."""
        worker = self.containers("worker")[0]
        for _ in range(3):
            worker.restart(timeout=3)
            time.sleep(2 * self.monitor.scrape_each_s)
        yield

    @contextmanager
    def webhooks_refused(self) -> Iterator[None]:
        """Redis has no memory for more messages: webhooks are answered 503."""
        with self.redis_setting("maxmemory", self.memory() + 100):
            yield

    @contextmanager
    def few_webhooks_refused(self) -> Iterator[None]:
        """Of some thousand webhooks a few are answered 503."""
        for _ in range(800):
            self.send()
        with self.redis_setting("maxmemory", self.memory() + 100):
            refused = 0
            while refused < 30:
                refused += self.send() == 503
        yield

    def the_same(self) -> Any:
        """The same."""
        return nullcontext()

    @contextmanager
    def slow_writes(self) -> Iterator[None]:
        """Redis takes writes only each 1.5 s."""
        with self.again_and_again(lambda: self.redis("client", "pause", "1500", "write"), 1.5):
            yield

    def slow_database(self) -> Any:
        """Convex answers after 0.9 s."""
        return self.fault("convex", latency_ms=900)

    def slow_model(self) -> Any:
        """The model answers after 5 s."""
        return self.fault("ai", latency_ms=5000)

    @contextmanager
    def filled_redis(self, share: float, megabytes: int) -> Iterator[None]:
        """Redis holds so much of something else, and may use so little that this *share* of it is in use."""
        self.redis("setrange", _FILLER, str(megabytes * _MB), "x")
        with self.redis_setting("maxmemory", round(self.memory() / share)):
            yield
        self.redis("del", _FILLER)

    @contextmanager
    def nearly_full_redis(self) -> Iterator[None]:
        """Redis uses 87 % of its memory."""
        with self.filled_redis(0.87, megabytes=50):
            yield

    @contextmanager
    def outgrown_redis(self) -> Iterator[None]:
        """Redis' memory is too small for what comes."""
        with self.filled_redis(0.81, megabytes=5):
            yield

    @contextmanager
    def unsigned(self) -> Iterator[None]:
        """Webhooks come with a wrong signature."""
        with self.again_and_again(lambda: self.send(signed=False), 0.3):
            yield

    @contextmanager
    def too_often(self) -> Iterator[None]:
        """One address of several sends a little more than it may: a minute's share at once, and then on."""
        body = encode(message_event("hello", chat_id="4915500000002@c.us"))
        headers, per_s = signed_headers(body, self.secret), self.rate_limit / 60
        with ExitStack() as undo:
            for role, share, behind_s in (("worker", 1.08, 60), ("sandbox", 0.9, 0), ("logs", 0.9, 0)):
                code = _POST % (body, headers, share * per_s, behind_s, LONGEST_S, WEBHOOK_PATH)
                undo.enter_context(self.runs_beside(role, code))
            undo.enter_context(self.traffic(10))
            yield

    @contextmanager
    def slow_line(self) -> Iterator[None]:
        """Large webhooks come over a slow line: the second half of each after 3.5 s."""
        with ExitStack() as undo:
            for _ in range(6):
                undo.enter_context(self.again_and_again(self.send_in_halves, 0.1))
            yield

    def send_in_halves(self) -> None:
        """More of it than the proxy waits for, then the rest."""
        body = encode({**status_event(), "filler": "x" * 100_000})
        half = len(body) // 2

        def halves() -> Iterator[bytes]:
            yield body[:half]
            time.sleep(3.5)
            yield body[half:]

        connection = HTTPConnection("127.0.0.1", self.project.ports["port"], timeout=30)
        headers = {**signed_headers(body, self.secret), "Content-Length": str(len(body))}
        with closing(connection):
            connection.request("POST", WEBHOOK_PATH, halves(), headers)
            assert connection.getresponse().status == 200  # it asks for no reply

    @contextmanager
    def no_messages(self) -> Iterator[None]:
        """WAHA sends nothing any more."""
        self.is_quiet = True
        try:
            yield
        finally:
            self.is_quiet = False

    @contextmanager
    def invalid(self) -> Iterator[None]:
        """Among many webhooks some are no events."""
        with self.traffic(15), self.again_and_again(lambda: self.send(body=b"{"), 2):
            yield

    @contextmanager
    def often_invalid(self) -> Iterator[None]:
        """Of all signed webhooks many are no events."""
        with self.again_and_again(lambda: self.send(body=b"{"), 0.2):
            yield

    @contextmanager
    def old_message(self) -> Iterator[None]:
        """A message of a session that is stopped: nobody can answer it."""
        self.send(session="stopped-1")
        yield
        self.wait_for(lambda: int(self.redis("xlen", "{wa}:dead")) > 0, "it is given up", LONGEST_S)
        self.drop("dead")
        self.forget_session("stopped-1")

    @contextmanager
    def dead_letter(self) -> Iterator[None]:
        """A message is given up."""
        self.send(session="stopped-2")
        self.wait_for(lambda: int(self.redis("xlen", "{wa}:dead")) > 0, "it is given up", LONGEST_S)
        yield
        self.drop("dead")
        self.forget_session("stopped-2")

    @contextmanager
    def unknown_outcome(self) -> Iterator[None]:
        """WAHA takes a message and says 500."""
        with self.fault("waha", status=500, after=True):
            self.send()
            self.wait_for(lambda: int(self.redis("xlen", "{wa}:unknown")) > 0, "an unknown outcome")
        yield
        self.drop("unknown")

    def exporter_down(self) -> Any:
        """The exporter of the machine's figures is stopped; `SENTRY_DSN` names it, too."""
        return self.stopped(self.container("node-exporter"))

    def collector_down(self) -> Any:
        """The collector of the logs is stopped."""
        return self.stopped(self.container("logs"))

    def heartbeat_fails(self) -> Any:
        """What hears the heartbeat answers 400."""
        return self.fault("heartbeat", status=400)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The engine's disk is filled to 88 %, in a container's own layer."""
        container = docker.from_env().containers.create(
            resolve(Role.PYTHON, Mode.AUTO).name,
            ["python3", "-c", _FILL % 0.88],
            network_mode="none",
        )
        try:
            container.start()
            yield
        finally:
            container.remove(force=True)

    @contextmanager
    def no_credit(self) -> Iterator[None]:
        """A tenant without credit writes."""
        done = self.project.runbook("tenants", "grant", "poor", "0")
        assert done.returncode == 0, done.stderr
        with self.again_and_again(lambda: self.send(session="poor"), 1):
            yield
        self.forget_session("poor")

    @contextmanager
    def credit_failure(self) -> Iterator[None]:
        """The database is away for a moment, in which a message comes."""
        with self.fault("convex", status=500):
            self.send()
            time.sleep(3)
        yield

    @contextmanager
    def much_memory(self) -> Iterator[None]:
        """A process in a web container takes most of what the container may have."""
        with self.runs_beside("web", _HOG % (170, LONGEST_S)):
            yield

    @contextmanager
    def busy_processor(self) -> Iterator[None]:
        """All cores of the machine are busy."""
        with ExitStack() as undo:
            for _ in range(docker.from_env().info()["NCPU"]):
                undo.enter_context(self.runs_beside("sandbox", _BURN % LONGEST_S))
            yield

    @contextmanager
    def many_connections(self) -> Iterator[None]:
        """Redis has nearly as many connections as it may."""
        with self.redis_setting("maxclients", 60), self.runs_beside("web", _CONNECT % (45, LONGEST_S)):
            yield

    @contextmanager
    def silent_session(self) -> Iterator[None]:
        """A session that spoke once."""
        self.send(session="quiet")
        yield
        self.forget_session("quiet")

    def memory(self) -> int:
        """What Redis uses, in bytes."""
        lines = self.redis("info", "memory").splitlines()
        return int(next(line.partition(":")[2] for line in lines if line.startswith("used_memory:")))

    def forget_session(self, name: str) -> None:
        """It is not missed any more."""
        self.redis("zrem", "{wa}:sessions", name)

    def drop(self, kept: str) -> None:
        """Delete what was given up."""
        done = self.project.runbook("queue", "drop", "--all", "--yes", "--from", kept)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def traffic(self, per_s: float = 5) -> Iterator[None]:
        """Messages come, steadily."""
        with self.again_and_again(lambda: self.is_quiet or self.send(), 1 / per_s):
            yield

    def wait_for(self, reached: Callable[[], bool], what: str, within_s: float = 300) -> float:
        """Until it is so; how long that took."""
        began = time.monotonic()
        while not reached():
            waited = time.monotonic() - began
            told = f"{dict(self.told('channel'))}, fires: {self.firing()}"
            assert waited < within_s, f"not within {within_s:.0f} s: {what}; told {told}"
            time.sleep(0.3)
        return time.monotonic() - began
