from __future__ import annotations

import http.server
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from docker.errors import DockerException
from fake_engine import FakeEngine
from in_thread import answering
from records import route

from infra.errors import Refused
from infra.live_route import LiveRoute
from runbook.errors import RunbookError
from runbook.liveness import Expected, why_misrouted, why_not_live, why_silent, why_untaken


class Frontend(http.server.ThreadingHTTPServer):
    """A frontend on a free port of the loopback address that answers with `statuses`, the last for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.statuses = [200]
        self.health: object = {"status": "healthy", "services": {}}
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        statuses = self.server.statuses
        self.server.paths.append(self.path)
        body = json.dumps(self.server.health).encode() if self.path == "/api/health" else b""
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    """It answers until the test has ended."""
    server = Frontend()
    with answering(server):
        yield server


@pytest.fixture
def engine() -> FakeEngine:
    """Two containers run."""
    engine = FakeEngine()
    engine.containers.add("web")
    engine.containers.add("redis")
    return engine


def test_all_runs_and_answers(frontend: Frontend, engine: FakeEngine) -> None:
    """The frontend is asked whether it is ready; other containers do not matter."""
    assert (
        why_not_live(
            Expected("dev", frontend.url, "r-1", {"id-of-web"}),
            engine,
            lambda _stack: route("r-1"),
        )
        is None
    )
    assert frontend.paths == ["/api/health/ready", "/api/health"]


def test_a_container_that_does_not_run_is_a_problem(frontend: Frontend, engine: FakeEngine) -> None:
    """However the rest may answer."""
    problem = why_not_live(
        Expected("dev", frontend.url, "r-1", {"id-of-web", "id-of-worker"}),
        engine,
        lambda _stack: route("r-1"),
    )
    assert problem == "1 of 2 containers do not run"
    assert frontend.paths == []


def test_it_may_take_a_moment(frontend: Frontend) -> None:
    """A proxy that has just been told of a release is asked again."""
    frontend.statuses = [503, 503, 200]
    assert why_silent(frontend.url) is None
    assert len(frontend.paths) == 3


def test_what_goes_on_not_answering_is_a_problem(frontend: Frontend) -> None:
    """With what it did last."""
    frontend.statuses = [503]
    assert why_silent(frontend.url, within_s=0) == f"GET {frontend.url}/api/health/ready answered 503"


def test_nobody_there_is_a_problem() -> None:
    """A refused connection is words."""
    problem = why_silent("http://127.0.0.1:9", within_s=0)
    assert problem is not None
    assert problem.startswith("GET http://127.0.0.1:9/api/health/ready: ")


def test_a_proxy_of_the_environment_is_not_used(frontend: Frontend, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not reach this machine's own addresses."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert why_silent(frontend.url, within_s=0) is None


@pytest.mark.parametrize(
    ("live", "problem"),
    [
        (route("r-1"), None),
        (route("r-2"), "the proxy leads to r-2, not to r-1"),
        (route("r-1", canary="r-2", until_s=2**40), "the proxy leads to a canary, too"),
        (None, "the proxy leads to no release, not to r-1"),
    ],
)
def test_the_proxy_leads_to_the_release_and_to_no_other(live: LiveRoute | None, problem: str | None) -> None:
    """A killed update may have left a step, or somebody may have changed the file."""
    assert why_misrouted(live, "r-1") == problem


def test_a_container_between_two_restarts_does_not_run(frontend: Frontend, engine: FakeEngine) -> None:
    """The engine lists it with those that do."""
    engine.containers.found[0].status = "restarting"
    expected = Expected("dev", frontend.url, "r-1", {"id-of-web", "id-of-redis"})
    problem = why_not_live(expected, engine, lambda _stack: route("r-1"))  # type: ignore[arg-type]
    assert problem == "1 of 2 containers do not run"


def test_a_proxy_that_cannot_be_asked_is_a_problem(frontend: Frontend, engine: FakeEngine) -> None:
    """In its own words; it is no traceback."""

    def route_of(_stack: str) -> LiveRoute:
        raise Refused("container runbook-dev-proxy does not run: it is restarting")

    expected = Expected("dev", frontend.url, "r-1", {"id-of-web"})
    problem = why_not_live(expected, engine, route_of)  # type: ignore[arg-type]
    assert problem == "container runbook-dev-proxy does not run: it is restarting"


STALLED = {"status": "degraded", "services": {"redis": {"status": "up"}, "waha": {"status": "up"}}}


def queue(last: str | None, waits_s: float | None) -> dict[str, Any]:
    """What the queue shows when the oldest message that nobody took has waited for so long."""
    oldest = None if waits_s is None else 1_000_000 - int(waits_s * 1000)
    live = {"lane": "live", "last_delivered_id": last, "oldest_waiting_ms": oldest}
    return {"time": 1_000_000, "lanes": [live]}


def asks(*shown: dict[str, Any] | Exception) -> Callable[[str], dict[str, Any]]:
    """The queue, asked so often at most."""
    left = iter(shown)

    def ask(_stack: str) -> dict[str, Any]:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    return ask


def test_messages_that_no_worker_takes_are_a_problem(frontend: Frontend) -> None:
    """The service has noticed, and at a second look nothing has moved."""
    frontend.health = STALLED
    slept: list[float] = []
    problem = why_untaken("dev", frontend.url, asks(queue("7-0", 90), queue("7-0", 93)), slept.append)
    assert problem == "messages have waited for 93 s, and no worker takes any"
    assert sum(slept) > 1


@pytest.mark.parametrize(
    "shown",
    [
        [queue("7-0", 90), queue("9-0", 80)],
        [queue("7-0", 90), queue("9-0", None)],
        [queue("7-0", 50)],
        [queue("7-0", None)],
        [{"time": 1, "lanes": [{"lane": "live"}]}],
        [{"time": 1, "lanes": []}],
        [RunbookError("the queue cannot be asked", "")],
        [queue("7-0", 90), Refused("the container is gone")],
        [DockerException("the engine is gone")],
    ],
)
def test_what_moves_or_cannot_be_asked_is_none(frontend: Frontend, shown: list[Any]) -> None:
    """A backlog that is being worked off, messages that have just come, an older release."""
    frontend.health = STALLED
    assert why_untaken("dev", frontend.url, asks(*shown), lambda _s: None) is None


@pytest.mark.parametrize(
    "health",
    [
        {"status": "degraded", "services": {"sentry": {"status": "down"}}},
        {"status": "unhealthy", "services": {"redis": {"status": "down"}}},
        {"error": "not found"},
        ["?"],
    ],
)
def test_whatever_is_down_hides_no_stall(frontend: Frontend, health: object) -> None:
    """Only a service that calls itself healthy says that messages are taken."""
    frontend.health = health
    problem = why_untaken("dev", frontend.url, asks(queue("7-0", 90), queue("7-0", 93)), lambda _s: None)
    assert problem == "messages have waited for 93 s, and no worker takes any"


def test_the_queue_of_a_healthy_service_is_not_asked(frontend: Frontend) -> None:
    """Asking it takes a second, and a stall would show in the service's health."""
    assert why_untaken("dev", frontend.url, asks()) is None


def test_workers_that_take_nothing_end_no_update_well(frontend: Frontend, engine: FakeEngine) -> None:
    """All runs, is ready, and yet nobody is answered."""
    frontend.health = STALLED
    expected = Expected("dev", frontend.url, "r-1", {"id-of-web"})
    untaken: list[str] = []

    def why(stack: str, _url: str) -> str:
        untaken.append(stack)
        return "nobody takes any"

    problem = why_not_live(expected, engine, lambda _stack: route("r-1"), why)  # type: ignore[arg-type]
    assert (problem, untaken) == ("nobody takes any", ["dev"])
