"""Commands inside a stack's containers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import docker
import pytest
from docker.models.containers import Container

from infra.base_images import Mode, Role, ensure, resolve
from infra.containers import ContainerExec, ContainerGone
from infra.errors import Refused


@pytest.fixture
def container() -> Iterator[Container]:
    """One that waits."""
    image = resolve(Role.PYTHON, Mode.AUTO)
    ensure(image, print)
    made = docker.from_env().containers.run(
        image.name, ["sleep", "600"], init=True, detach=True, network_mode="none"
    )
    yield made
    made.remove(force=True)


@pytest.mark.integration
def test_what_runs_no_command_is_named(container: Container) -> None:
    """Gone, or not running."""
    assert ContainerExec(container.name or "").run(["echo", "here"]) == (0, "here\n")
    container.stop(timeout=0)
    with pytest.raises(Refused, match=f"container {container.name} does not run"):
        ContainerExec(container.name or "").run(["true"])
    with pytest.raises(ContainerGone, match="there is no container test-none"):
        ContainerExec("test-none").run(["true"])


class Engine(BaseHTTPRequestHandler):
    """Runs one command in `box`; the head of an answer and its body arrive together, as under load."""

    wbufsize = -1
    started = 200
    exit_code: int | None = 0

    def do_GET(self) -> None:
        self._answer(200, {"Id": "box", "Name": "/box", "ExitCode": self.exit_code})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/start"):
            self._answer(201, {"Id": "e-1"})
        elif self.started == 502:
            self._send(502, "text/html", b"the way to the engine is closed")
        elif self.started != 200:
            self._answer(self.started, {"message": "is paused"})
        elif "Upgrade" in self.headers:
            self._send(101, "application/vnd.docker.raw-stream", FRAMES)
        else:
            self._send(200, "application/vnd.docker.raw-stream", FRAMES)

    def _answer(self, status: int, body: dict[str, object]) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing."""


FRAMES = b"".join(
    struct.pack(">BxxxI", output, len(line)) + line for output, line in ((1, b"first\n"), (2, b"then\n"))
)


@pytest.fixture
def engine() -> Iterator[tuple[type[Engine], docker.DockerClient]]:
    """How it answers, and a client of it."""

    class Own(Engine):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Own, docker.DockerClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        server.shutdown()


def test_nothing_of_the_output_is_lost(engine: tuple[type[Engine], docker.DockerClient]) -> None:
    """`exec_run` of the SDK gives nothing here, and exit code 0."""
    assert ContainerExec("box", engine=engine[1]).run(["say"]) == (0, "first\nthen\n")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"started": 409}, "container box does not run: is paused"),
        ({"started": 502}, "container box does not run: the way to the engine is closed"),
        ({"exit_code": None}, "container box ended while `say` ran in it"),
    ],
)
def test_a_command_that_did_not_end_is_no_success(
    engine: tuple[type[Engine], docker.DockerClient], how: dict[str, int | None], said: str
) -> None:
    """The engine knows no exit code of it."""
    for name, value in how.items():
        setattr(engine[0], name, value)
    with pytest.raises(Refused, match=said):
        ContainerExec("box", engine=engine[1]).run(["say"])
