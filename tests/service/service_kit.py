"""What the service's tests share: raw ASGI calls, fakes, a WAHA that records, and the two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import structlog
from in_thread import answering
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Scope
from structlog.testing import LogCapture

from contracts.free_ports import free_port
from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers
from service.event import parse_event
from service.lanes import LIVE, Lane, gate_lane
from service.messages.receipts import Receipts
from service.storage.store import Store
from service.telemetry.alarms import Alarm
from service.telemetry.figures import FigureMetrics, Figures, Tenants
from service.telemetry.health import Health
from service.telemetry.logs import Pseudonyms
from service.telemetry.metrics import WebMetrics
from service.telemetry.silence import Sessions
from service.webhooks.admission import Admitted, Arrival, Done
from service.webhooks.blocklist import Blocklist
from service.webhooks.rejected import Rejected
from service.webhooks.signature import Secrets
from service.webhooks.web import Draining, InngestState, Web
from service.webhooks.webhook import Limits, Webhook

SECRET = "a test's secret"
RETIRED = "the secret before"
NO_REDIS = "redis://127.0.0.1:1/0"
RELEASE = "r-test"
CHAT = "15551234567@c.us"
PART_OF_NUMBER = "5551234"
"""What no log line may hold: seven digits, as four stand in a time or a pseudonym by chance."""
LIMITS = Limits(
    max_body_bytes=16_384, body_timeout_s=5, tolerance_s=7200
)  # bodies are made when a test file is read

CLIENT = httpx.Client(trust_env=False, verify=False, headers={"Connection": "close"}, timeout=60)
"""One for all: to make one costs more than most tests."""

RawHeaders = list[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What an ASGI application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: RawHeaders | None = None,
    chunks: list[bytes] | None = None,
    query: bytes = b"",
    ends: bool = True,
) -> Answer | None:
    """Send a request to *app* byte by byte as given, valid or not; None if it did not answer.

    With ``ends=False`` the client hangs up after the last chunk.
    """
    waiting = chunks or [b""]
    incoming: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": not ends or number < len(waiting)}
        for number, chunk in enumerate(waiting, start=1)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": headers or [],
        "client": ("192.0.2.7", 1234),
        "scheme": "http",
        "root_path": "",
    }
    await app(scope, receive, send)
    if not sent:
        return None
    names = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], names, b"".join(message.get("body", b"") for message in sent[1:]))


def raw(headers: dict[str, str]) -> RawHeaders:
    """Headers as ASGI has them."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def signed(body: bytes, **more: str) -> RawHeaders:
    """The headers that WAHA would send with *body*."""
    return raw({**signed_headers(body, SECRET), **{name.replace("_", "-"): v for name, v in more.items()}})


async def post(app: ASGIApp, body: bytes, headers: RawHeaders | None = None) -> Answer:
    """Post *body* to the webhook, by default correctly signed."""
    answer = await call(
        app, "POST", WEBHOOK_PATH, headers=signed(body) if headers is None else headers, chunks=[body]
    )
    assert answer is not None
    return answer


def event(text: str = "hello", chat_id: str = CHAT, **more: Any) -> bytes:
    """The bytes of a message event."""
    return encode(message_event(text, chat_id=chat_id, **more))


def arrival(body: bytes | None = None, *, address: str = "192.0.2.7") -> Arrival:
    """A verified message as the webhook hands it on."""
    body = body or event()
    message = parse_event(body)
    assert message
    return Arrival(
        body=body,
        identity=message.identity,
        chat=Pseudonyms(SECRET).of(message.chat_id),
        address=address,
        request_id="request-1",
        received_ms=time.time_ns() // 1_000_000,
    )


@dataclass
class FakeAdmission:
    """Takes each message once, or refuses as told; what was taken, in whichever lane, stands in `taken`."""

    lane: Lane
    taken: list[tuple[Lane, Arrival]] = field(default_factory=list)
    refusal: Rejected | None = None

    def admit(self, arrival: Arrival, done: Done) -> None:
        if self.refusal:
            done(self.refusal)
        elif any(held == self.lane and known.identity == arrival.identity for held, known in self.taken):
            done(Admitted.DUPLICATE)
        else:
            self.taken.append((self.lane, arrival))
            done(Admitted.ACCEPTED)


@dataclass
class RecordedAlarms:
    """What a person would have been told of."""

    raised: list[tuple[Alarm, dict[str, str | int | float]]] = field(default_factory=list)
    errors: list[tuple[str, BaseException]] = field(default_factory=list)

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        self.raised.append((alarm, fields))

    def report_error(self, what: str, error: BaseException) -> None:
        self.errors.append((what, error))


@dataclass
class Fixture:
    """A web application built from fakes, with what the tests look at; `admission` is the live lane's."""

    web: Web
    app: ASGIApp
    admission: FakeAdmission
    logs: LogCapture
    told: list[dict[str, Any]]
    alarms: RecordedAlarms

    def lines(self, msg: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        return [dict(line) for line in self.logs.entries if line["event"] == msg]


def build_web(store: Store, *, admission: Any = None, trust_proxy: bool = False) -> Fixture:
    """The real application over *store*, with fake admissions unless another is given for both lanes."""
    logs, told = LogCapture(), list[dict[str, Any]]()
    log = structlog.wrap_logger(None, processors=[logs])
    metrics, alarms = WebMetrics(CollectorRegistry()), RecordedAlarms()
    fakes = [FakeAdmission(LIVE), FakeAdmission(gate_lane(RELEASE))]
    fakes[1].taken = fakes[0].taken
    webhook = Webhook(
        secrets=Secrets([SECRET.encode(), RETIRED.encode()]),
        limits=LIMITS,
        admissions={fake.lane.name: admission or fake for fake in fakes},
        blocklist=Blocklist(refresh_s=60, log=log),
        sessions=Sessions(store),
        tenants=Tenants(store),
        receipts=Receipts(store, LIVE, SECRET),
        trust_proxy=trust_proxy,
        pseudonyms=Pseudonyms(SECRET),
        metrics=metrics,
        alarms=alarms,
        tell=told.append,
        log=log,
    )
    web = Web(
        webhook=webhook,
        health=Health(log),
        figures=Figures(store, (LIVE, gate_lane(RELEASE)), FigureMetrics(metrics.registry)),
        store=store,
        gate=gate_lane(RELEASE),
        draining=Draining(),
        inngest=InngestState(has_event_key=True, has_signing_key=False),
        metrics=metrics,
        alarms=alarms,
        log=log,
    )
    return Fixture(web, web.app(), fakes[0], logs, told, alarms)


SESSION_STOPPED = {
    "error": "Session status is not as expected. Try again later or restart the session",
    "session": "default",
    "status": "STOPPED",
    "expected": ["WORKING"],
}
"""What WAHA's 422 says of a session that does not work."""


@dataclass
class Stub:
    """WAHA, model and proxy in one: records what is sent, and behaves as `behave` says for each path."""

    port: int
    sent: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """The path and content of every call, in their order; those of sendSeen and the like are only here."""
    behave: Callable[[str, int], int | float] = lambda _path, _number: 200
    """By path and number of the call: an HTTP status, or (a float) seconds of silence and then 200."""
    stopped: set[str] = field(default_factory=set)
    """Sessions that do not work."""
    refuses_after_s: float = 0
    """How long WAHA waits for such a session before it refuses to send."""
    live_release: str | None = None
    """What it says as the proxy; None: 503."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_stub() -> Iterator[Stub]:
    """A stub that answers on a free port."""
    stub = Stub(port=0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    stub.port = server.server_port
    with answering(server):
        yield stub


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    calls: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/":
                self._write(503 if stub.live_release is None else 200, (stub.live_release or "").encode())
            else:
                self._answer(200, {"message": "pong"})

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls[self.path] = calls.get(self.path, 0) + 1
            behaviour = stub.behave(self.path, calls[self.path])
            sends = self.path == "/api/sendText"
            stub.seen.append((self.path, content))
            if content.get("session") in stub.stopped:
                time.sleep(stub.refuses_after_s if sends else 0)
                self._answer(422, SESSION_STOPPED)
                return
            if sends or self.path.startswith("/v1/"):
                (stub.sent if sends and behaviour < 300 else stub.asked).append(content)
            if isinstance(behaviour, float):
                time.sleep(behaviour)
            status = behaviour if isinstance(behaviour, int) else 200
            answer = (
                {"id": "sent"} if sends else {"choices": [{"message": {"content": "the model's answer"}}]}
            )
            self._answer(status, answer)

        def _answer(self, status: int, content: Any) -> None:
            self._write(status, json.dumps(content).encode())

        def _write(self, status: int, body: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the worker that asked was killed

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    return Handler


@dataclass
class Running:
    """A process of the service. `output`: the file with its log."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 60) -> int:
        """End it as Docker does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def lines(self, msg: str | None = None) -> list[dict[str, Any]]:
        """Its log so far, or the lines with this message. Every line that has its end must be JSON."""
        written, _, _ = self.output.read_text().rpartition("\n")
        lines = [json.loads(line) for line in written.splitlines()]
        return [line for line in lines if msg is None or line["msg"] == msg]

    def logged(self, msg: str, times: int = 1) -> list[dict[str, Any]]:
        """The lines with this message, which must be so many. A line is written just after what it tells."""
        wait_until(lambda: len(self.lines(msg)) >= times, f"{msg!r} is logged {times} times")
        lines = self.lines(msg)
        assert len(lines) == times, f"{msg!r} is logged {len(lines)} times"
        return lines


class Processes:
    """Starts web and worker processes bare, from an environment, and ends what is left of them."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder = folder
        self._redis_url = redis_url
        self._running: list[Running] = []

    def web(self, **environment: str) -> Running:
        """A web process that is ready, on a free port unless PORT is given."""
        port = int(environment.get("PORT") or free_port())
        web = self._start("web", {"PORT": str(port), "WAHA_WEBHOOK_SECRET": SECRET, **environment})
        web.port = port
        wait_until(lambda: _answers(f"{web.url}/api/health/live"), "web answers")
        return web

    def worker(self, stub: Stub | None = None, **environment: str) -> Running:
        """A worker process that has started, answering through *stub*."""
        number = len(self._running)
        defaults = {
            "METRICS_PORT": "0",
            "HEARTBEAT_FILE": str(self._folder / f"heartbeat-{number}"),
            "LEASE_S": "1",
            "RETRY_BASE_S": "0.2",
            **({"WAHA_API_URL": stub.url} if stub else {}),
        }
        worker = self._start("worker", {**defaults, **environment})
        wait_until(lambda: bool(worker.lines("Worker started")), "worker starts")
        return worker

    def _start(self, role: str, environment: dict[str, str]) -> Running:
        output = self._folder / f"{role}-{len(self._running)}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", role],
                env={"PATH": os.environ["PATH"], "REDIS_URL": self._redis_url, **environment},
                stdout=log,
                stderr=log,
            )
        running = Running(process, output)
        self._running.append(running)
        return running

    def end(self) -> None:
        """Kill what still runs."""
        for running in self._running:
            if running.process.poll() is None:
                running.kill()


def _answers(url: str) -> bool:
    try:
        return CLIENT.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def post_to(web: Running, body: bytes, **headers: str) -> httpx.Response:
    """Send a signed webhook."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    all_headers = {**signed_headers(body, SECRET), **named}
    return CLIENT.post(f"{web.url}{WEBHOOK_PATH}", content=body, headers=all_headers)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 90) -> None:
    """Return as soon as *condition* holds; fail after *timeout_s*: long enough on a slow machine."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)
