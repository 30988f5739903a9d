"""The logs command: its lines are read, and what it does wrong is one clear error."""

from __future__ import annotations

import sys

import pytest

from smoke import logs
from smoke.logs import LogsError, lines_of, read_logs


def program(code: str) -> list[str]:
    """A command that runs *code*."""
    return [sys.executable, "-c", code]


def test_its_lines_are_what_it_prints() -> None:
    """Standard output only, bytes that are no UTF-8 included."""
    code = r"import sys; sys.stdout.buffer.write(b'one\ntwo \xff\n'); print('not this', file=sys.stderr)"
    assert read_logs(program(code)) == ["one", "two \ufffd"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/logs"], "'/nowhere/logs' cannot be started: No such file"),
        (program("import sys; sys.exit('no such container')"), "failed with exit code 1: no such container"),
    ],
)
def test_a_command_that_fails_is_an_error(command: list[str], said: str) -> None:
    """It says what the command said."""
    with pytest.raises(LogsError, match=said):
        read_logs(command)


def test_a_command_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker logs --follow` is not waited for."""
    monkeypatch.setattr(logs, "TIMEOUT_S", 0.2)
    with pytest.raises(LogsError, match=r"did not end within 0.2 s"):
        read_logs(program("import time; time.sleep(60)"))


def test_the_webhook_secret_is_not_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the environment, without what webhooks are signed with."""
    monkeypatch.setenv("WAHA_WEBHOOK_SECRET", "hunter2")
    monkeypatch.setenv("WAHA_WEBHOOK_SECRET_FILE", "/run/hunter2")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    (environment,) = read_logs(program("import os; print(sorted(os.environ.items()))"))
    assert "hunter2" not in environment
    assert "unix:///run/docker.sock" in environment


def test_only_json_lines_of_the_request_are_its_lines() -> None:
    """Another request's, plain text, and JSON that is no object are not."""
    lines = [
        '{"requestId":"r-1","event":"received"}',
        '{"requestId":"r-11","event":"received"}',
        '{"requestId":"r-2","msg":"after r-1"}',
        "r-1 was received",
        '["r-1"]',
        '{"requestId":"r-1","event":"proc',
        '{"requestId":"r-1","event":"processed"}',
    ]
    assert [line["event"] for line in lines_of("r-1", lines)] == ["received", "processed"]
