"""The sandbox as a real process: faults of the connection itself, its health check and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contracts.free_ports import free_port

TEXT = {"session": "default", "chatId": "491@c.us", "text": "Hello"}
ROOT = Path(__file__).resolve().parents[2]


def sandbox(port: int, *arguments: str, **env: str) -> subprocess.Popen[str]:
    """`python -m sandbox` at *port*, with a key for WAHA."""
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), **env}
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def wait_until_healthy(url: str, within_s: float = 90) -> None:
    """Return when the sandbox at *url* answers its health check."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"no answer from {url} within {within_s} s")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a running sandbox, stopped by SIGTERM at the end."""
    port = free_port()
    process = sandbox(port)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    """A client of the running sandbox, which has no fault and has sent nothing when a test begins."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        client.delete("/waha/sent")
        client.delete("/faults/waha")
        yield client


@pytest.mark.parametrize(("after", "sent"), [(False, 0), (True, 1)])
def test_down_closes_the_connection_without_an_answer(client: httpx.Client, after: bool, sent: int) -> None:
    """A service that is down answers nothing at all; with `after` it did what was asked."""
    client.put("/faults/waha", json={"down": True, "after": after})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.post("/waha/api/sendText", json=TEXT)
    assert len(client.get("/waha/sent").json()) == sent


@pytest.mark.parametrize(("after", "sent"), [(False, 0), (True, 1)])
def test_hang_never_answers(client: httpx.Client, after: bool, sent: int) -> None:
    """A hanging service keeps the caller waiting until it gives up; the others go on."""
    client.put("/faults/waha", json={"hang": True, "after": after})
    with pytest.raises(httpx.ReadTimeout):
        client.post("/waha/api/sendText", json=TEXT, timeout=httpx.Timeout(30, read=1.0))
    assert len(client.get("/waha/sent").json()) == sent
    assert client.get("/convex/version").status_code == 200


def test_healthcheck_tells_running_from_absent(port: int) -> None:
    """`python -m sandbox healthcheck` exits 0 at a running sandbox and 1, with the reason, at none."""
    running, absent = sandbox(port, "healthcheck"), sandbox(free_port(), "healthcheck")
    assert running.wait(60) == 0
    assert "no answer" in absent.communicate(timeout=60)[1]
    assert absent.returncode == 1


def test_it_stops_although_a_request_hangs() -> None:
    """SIGTERM ends the process, whatever a fault keeps waiting for ever, and without a traceback."""
    port = free_port()
    process = sandbox(port)
    wait_until_healthy(f"http://127.0.0.1:{port}")
    httpx.put(f"http://127.0.0.1:{port}/faults/ai", json={"hang": True})
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /ai/v1 HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        httpx.get(f"http://127.0.0.1:{port}/healthz")
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=60)[1]
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PORT": "fast"}, "PORT"),
        ({"SMTP_PORT": "0"}, "SMTP_PORT"),
        ({"SANDBOX_WAHA_API_KEY_FILE": "/nowhere"}, "/nowhere"),
    ],
)
def test_bad_settings_are_one_line(env: dict[str, str], named: str) -> None:
    """An impossible setting ends the start with exit 2 and a line naming it."""
    process = sandbox(**{"port": 1, **env})
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert stderr.startswith("error: ")
    assert named in stderr
    assert len(stderr.splitlines()) == 1


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    """SANDBOX_WAHA_API_KEY_FILE names a file whose content is the key."""
    key_file = tmp_path / "key"
    key_file.write_text("secret-key\n")
    port = free_port()
    process = sandbox(port, SANDBOX_WAHA_API_KEY_FILE=str(key_file))
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}")
        version = f"http://127.0.0.1:{port}/waha/api/server/version"
        assert httpx.get(version).status_code == 401
        assert httpx.get(version, headers={"X-Api-Key": "secret-key"}).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_taken_smtp_port_is_said_and_all_else_is_served() -> None:
    """Several sandboxes on one machine: only the first takes mail."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        smtp_port = taken.getsockname()[1]
        process = sandbox(port, SMTP_PORT=str(smtp_port))
        wait_until_healthy(f"http://127.0.0.1:{port}")
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=60)[1]
    assert f"warning: no mail is taken: SMTP_PORT {smtp_port}: " in stderr
    assert "Traceback" not in stderr
