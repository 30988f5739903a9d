"""`python -m service metrics`: the text of the process beside it, whichever that is, and fast."""

from __future__ import annotations

import subprocess
import sys

import pytest
from service_kit import Processes, Stub

from contracts.free_ports import free_port
from service.scrape import DEFAULT_METRICS_PORT, print_metrics
from service.settings import WorkerSettings


def metrics(**environment: str) -> subprocess.CompletedProcess[str]:
    """What the command does in this environment."""
    return subprocess.run(
        [sys.executable, "-m", "service", "metrics"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.integration
def test_worker_and_web_are_found(processes: Processes, stub: Stub) -> None:
    """A container has one of them, and its environment says where; whatever else that says."""
    web, port = processes.web(), free_port()
    processes.worker(stub, METRICS_PORT=str(port))
    by_worker = metrics(METRICS_PORT=str(port), HOST="0.0.0.0")
    assert (by_worker.returncode, 'first_sends_total{outcome="refused"} 0.0' in by_worker.stdout) == (0, True)
    by_web = metrics(PORT=str(web.port))
    assert (by_web.returncode, 'queue_depth{lane="live"} 0.0' in by_web.stdout) == (0, True)
    beside = metrics(METRICS_PORT=str(free_port()), PORT=str(web.port))
    assert beside.stdout.startswith("# HELP")


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, ["9100", "8080"]),
        ({"PORT": "8000"}, ["8000", "9100"]),  # a release's containers: its workers have the webs' PORT too
        ({"METRICS_PORT": "9200"}, ["9200", "8080"]),
        ({"METRICS_PORT": "0", "PORT": "8080"}, ["8080"]),
    ],
)
def test_what_is_named_is_asked_first_and_then_the_defaults(
    environment: dict[str, str],
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A worker whose environment names the web processes' port told nothing, and the watch saw no sends."""
    for name in ("METRICS_PORT", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ports: list[str] = []
    monkeypatch.setattr("service.scrape._metrics_at", ports.append)
    assert print_metrics() == 1
    assert ports == asked
    assert "no process of the service answers" in capsys.readouterr().err


def test_nobody_there_is_said() -> None:
    """Exit 1, with where it asked and what to do."""
    ports = [str(free_port()) for _ in range(2)]
    done = metrics(METRICS_PORT=ports[0], PORT=ports[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert all(port in done.stderr for port in ports)
    assert "hint: " in done.stderr


@pytest.mark.parametrize("port", ["soon", "70000", "-1"])
def test_port_that_is_none_is_said(port: str) -> None:
    """No traceback, and the value."""
    done = metrics(PORT=port)
    assert (done.returncode, "Traceback" in done.stderr, port in done.stderr) == (1, False, True)


def test_it_imports_little() -> None:
    """It runs every few seconds in each container."""
    listing = "import sys, service.scrape, service.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "redis", "starlette", "uvicorn", "httpx", "structlog", "asyncio", "http.client"}
    assert not heavy & set(loaded.stdout.split())


def test_it_knows_the_default() -> None:
    """Without an environment it asks where a worker is by default."""
    assert WorkerSettings.model_fields["metrics_port"].default == DEFAULT_METRICS_PORT
