"""Lists of containers while others are removed, by the SDK's own client."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import pytest
from docker.models.containers import Container
from in_thread import answering
from records import route

from infra.observed import Observed, stack_containers
from runbook.liveness import Expected, why_not_live

LISTED = ("stays", "goes")


class Engine(http.server.ThreadingHTTPServer):
    """An engine that lists two containers; one of them is removed before anybody asks for it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.queries: list[dict[str, list[str]]] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/containers/json":
            self.queries.append(query)
            return 200, [{"Id": name, "State": "running"} for name in LISTED]
        name = path.split("/")[2]
        return (404, {"message": f"No such container: {name}"}) if name == "goes" else (200, {"Id": name})


class Answer(http.server.BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, answer = self.server.answer(parts.path.removeprefix("/v1.41"), parse_qs(parts.query))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    """It answers until the test has ended."""
    server = Engine()
    with answering(server):
        yield server


def client_of(engine: Engine) -> docker.DockerClient:
    """The SDK, which asks *engine*."""
    return docker.DockerClient(base_url=f"http://127.0.0.1:{engine.server_address[1]}", version="1.41")


@pytest.mark.parametrize(("stopped", "asked"), [(False, "0"), (True, "1")])
def test_one_that_is_removed_meanwhile_is_passed_over(engine: Engine, stopped: bool, asked: str) -> None:
    """Of the stack alone, by its bare name."""
    found = stack_containers("organization/runbook/dev", client_of(engine), stopped=stopped)
    assert [each.id for each in found] == ["stays"]
    (query,) = engine.queries
    assert query["all"] == [asked]
    assert json.loads(query["filters"][0]) == {"label": ["runbook.stack=dev"]}


def test_the_end_of_a_deployment_does_not_meet_other_containers(engine: Engine) -> None:
    """`up` looks whether its own run; those of another stack may be removed at the same moment."""
    expected = Expected("dev", "http://127.0.0.1:9", "r-1", {"stays", "mine"})
    problem = why_not_live(expected, client_of(engine), lambda _stack: route("r-1"))
    assert problem == "1 of 2 containers do not run"


def container(name: str, image: str, **labels: str) -> Any:
    """As the SDK has it."""
    named = {f"runbook.{label}": value for label, value in labels.items()}
    config = {"Image": image, "Labels": named}
    return Container({"Name": f"/runbook-dev-{name}", "Id": name, "Config": config})


def test_the_image_of_what_is_gone_is_that_of_what_gave_it_its_files() -> None:
    """They are the same; of a role of which nothing is left there is none."""
    seeds = (container("redis-conf-seed", "redis:1"), container("proxy-routes-seed", "haproxy:1"))
    images = [Observed(None, seeds).image(role) for role in ("redis", "proxy", "sandbox")]
    assert images == ["redis:1", "haproxy:1", ""]
    proxy = container("proxy", "haproxy:2", role="proxy")
    assert Observed(None, (*seeds, proxy)).image("proxy") == "haproxy:2"
