from __future__ import annotations

import http.server
from collections.abc import Iterator

import pytest
from fake_engine import FakeEngine
from in_thread import answering

from infra.haproxy_config import Backend, Canary, route_config
from runbook.liveness import Expected, why_misrouted, why_not_live, why_silent

R_1, R_2 = Backend("r-1", ("web-1",)), Backend("r-2", ("web-2",))


class Frontend(http.server.ThreadingHTTPServer):
    """A frontend on a free port of the loopback address that answers with `statuses`, the last for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.statuses = [200]
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        statuses = self.server.statuses
        self.server.paths.append(self.path)
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
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
            lambda _stack: route_config("live", R_1),
        )
        is None
    )
    assert frontend.paths == ["/api/health/ready"]


def test_a_container_that_does_not_run_is_a_problem(frontend: Frontend, engine: FakeEngine) -> None:
    """However the rest may answer."""
    problem = why_not_live(
        Expected("dev", frontend.url, "r-1", {"id-of-web", "id-of-worker"}),
        engine,
        lambda _stack: route_config("live", R_1),
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
    ("config", "problem"),
    [
        (route_config("live", R_1), None),
        (route_config("live", R_2), "the proxy leads to r-2, not to r-1"),
        (route_config("live", R_1, Canary(R_2, 25)), "the proxy leads to a canary, too"),
        ("", "the proxy leads to no release, not to r-1"),
    ],
)
def test_the_proxy_leads_to_the_release_and_to_no_other(config: str, problem: str | None) -> None:
    """A killed update may have left a step, or somebody may have changed the file."""
    assert why_misrouted(config, "r-1") == problem
