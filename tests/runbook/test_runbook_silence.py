"""A real Alertmanager is silent while a stack is deployed, and no longer than it may be."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from in_thread import answering
from monitors import running_alertmanager

from runbook.errors import RunbookError
from runbook.monitoring_api import Alertmanager
from runbook.silence import silenced

WAIT_S = 60
CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """One of Debian's, on a port of its own."""
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager"), CONFIG) as url:
        yield Alertmanager(url)


def silences(alertmanager: Alertmanager, stack: str) -> list[dict[str, Any]]:
    """Those of *stack*, whatever their state."""
    asked = {"filter": f'stack="{stack}"'}
    found = httpx.get(f"{alertmanager.url}/api/v2/silences", params=asked, timeout=WAIT_S)
    return [each for each in found.json() if each["matchers"][0]["value"] == stack]


def is_silent(alertmanager: Alertmanager, stack: str) -> bool:
    """Whether an alert of *stack* that fires now would be silenced."""
    alert = {"labels": {"alertname": "Down", "stack": stack, "at": str(time.time_ns())}}
    httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[alert], timeout=WAIT_S).raise_for_status()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for each in httpx.get(f"{alertmanager.url}/api/v2/alerts", timeout=WAIT_S).json():
            if each["labels"] == alert["labels"] and each["status"]["state"] != "unprocessed":
                return bool(each["status"]["silencedBy"])
        time.sleep(0.1)
    pytest.fail("the alert was not processed")


def test_alerts_are_silent_for_the_deployment_and_not_after_it(alertmanager: Alertmanager) -> None:
    """Only those of the stack; it says who and why, and when it would have ended by itself."""
    with silenced(alertmanager, "prod", 600, lambda: None):
        (silence,) = silences(alertmanager, "prod")
        assert silence["status"]["state"] == "active"
        assert "@" in silence["createdBy"]
        assert silence["comment"] == "deployment of stack prod"
        assert is_silent(alertmanager, "prod")
        assert not is_silent(alertmanager, "other")
    assert silences(alertmanager, "prod")[0]["status"]["state"] == "expired"
    assert not is_silent(alertmanager, "prod")


def test_it_ends_by_itself(alertmanager: Alertmanager) -> None:
    """A deployment that takes longer goes on, heard, as long as the service answers."""
    with silenced(alertmanager, "slow", 1, lambda: None):
        deadline = time.monotonic() + WAIT_S
        while silences(alertmanager, "slow")[0]["status"]["state"] == "active":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not is_silent(alertmanager, "slow")


def test_a_service_that_is_down_when_it_ends_fails_the_deployment(alertmanager: Alertmanager) -> None:
    """The deployment is stopped, with what was wrong."""
    began = time.monotonic()
    with (
        pytest.raises(RunbookError, match=r"the silence of 1 s is over and the service is down: HTTP 503"),
        silenced(alertmanager, "down", 1, lambda: "HTTP 503"),
    ):
        while time.monotonic() < began + 2 * WAIT_S:
            time.sleep(0.1)
    assert time.monotonic() - began < WAIT_S


def test_a_service_that_is_down_at_the_deployments_end_has_the_rest_of_it(alertmanager: Alertmanager) -> None:
    """Ending it at once would only be the same alert a moment earlier."""
    with silenced(alertmanager, "late", 600, lambda: "HTTP 503"):
        pass
    assert silences(alertmanager, "late")[0]["status"]["state"] == "active"


def test_an_interrupted_deployment_is_heard_again(alertmanager: Alertmanager) -> None:
    """Ctrl-C stays Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), silenced(alertmanager, "stopped", 600, lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    assert silences(alertmanager, "stopped")[0]["status"]["state"] == "expired"


def test_what_an_earlier_deployment_left_is_ended(alertmanager: Alertmanager) -> None:
    """One that a killed Alertmanager brought back, or one that was made without an answer; no other's."""
    alertmanager.silence("left", 600, "deployment of stack left")
    alertmanager.silence("left", 600, "by hand")
    with silenced(alertmanager, "left", 600, lambda: None):
        state = Counter(each["comment"] for each in silences(alertmanager, "left") if is_active(each))
        assert state == {"deployment of stack left": 1, "by hand": 1}
        alertmanager.silence("left", 600, "deployment of stack left")
    assert [each["comment"] for each in silences(alertmanager, "left") if is_active(each)] == ["by hand"]


def is_active(silence: dict[str, Any]) -> bool:
    """Whether it has not ended."""
    return bool(silence["status"]["state"] == "active")


def test_one_that_does_not_answer_may_be_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have taken the silence: that is said, and the silence is ended as soon as it can be."""
    monkeypatch.setattr("runbook.monitoring_api._TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and reads nothing
        silent = Alertmanager(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with silenced(silent, "prod", 600, lambda: None):
            pass
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: alerts may be silent for 600 s: Alertmanager: POST" in said
    assert "the silence ends by itself" in said


def test_without_alertmanager_there_is_none() -> None:
    """And nothing is asked."""
    with silenced(None, "prod", 600, lambda: pytest.fail("asked")):
        pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_an_alertmanager_that_cannot_be_reached_stops_nobody(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hotfix may be for what took it down; it is said, with the setting that names it."""
    deployed = False
    with silenced(Alertmanager(url), "prod", 600, lambda: pytest.fail("asked")):
        deployed = True
    said = capsys.readouterr().err
    assert deployed
    assert "warning: alerts are not silent: Alertmanager: POST" in said
    assert "layout.alertmanager_url" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5h://127.0.0.1:1"),
        ("ALL_PROXY", "nonsense://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ],
)
def test_an_environment_that_cannot_be_used_stops_nobody(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An Alertmanager outside is asked through the environment's proxy: SOCKS needs a package we have not."""
    monkeypatch.setenv(name, value)
    with silenced(Alertmanager("http://alerts.invalid"), "prod", 600, lambda: pytest.fail("asked")):
        pass
    assert "warning: alerts are not silent: Alertmanager: POST" in capsys.readouterr().err


def test_an_error_without_words_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a connection that takes too long."""

    def refuse(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectTimeout("")

    monkeypatch.setattr("httpx.request", refuse)
    with pytest.raises(RunbookError, match="/api/v2/silences: ConnectTimeout"):
        Alertmanager("http://127.0.0.1:1").silences()


@pytest.fixture
def answers() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that answers 200, each time with the first body of the list."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[0])

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, bodies


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"{}", b"[]", b"\xff"])
def test_what_is_no_alertmanager_stops_nobody(
    answers: tuple[str, list[bytes]], body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A login page answers 200; what was answered is quoted."""
    url, bodies = answers
    bodies.append(body)
    with silenced(Alertmanager(url), "prod", 600, lambda: pytest.fail("asked")):
        pass
    said = capsys.readouterr().err
    assert f"warning: alerts are not silent: Alertmanager: POST {url}/api/v2/silences answered 200" in said
    assert body.decode(errors="replace") in said


def test_this_machines_own_is_not_asked_through_a_proxy(
    answers: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy would look for it on its own machine."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    url, bodies = answers
    bodies.append(b'{"silenceID": "s-1"}')
    assert Alertmanager(url).silence("prod", 600, "deployment") == "s-1"


def test_what_alertmanager_refuses_is_quoted(alertmanager: Alertmanager) -> None:
    """With the status that it answered."""
    with pytest.raises(RunbookError, match="answered 400"):
        alertmanager.silence("prod", -600, "backwards")
