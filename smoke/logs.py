"""The release's recent log lines, as a command prints them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from contracts.webhook_secret import NAME as SECRET

TIMEOUT_S = 20.0
SHOWN_CHARS = 200


class LogsError(Exception):
    """The logs cannot be read; the message says what the command did."""


def read_logs(command: Sequence[str]) -> list[str]:
    """The lines that *command* prints on its standard output.

    Raises:
        LogsError: it cannot be started, fails or does not end.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except OSError as error:
        raise LogsError(f"--logs-command: {command[0]!r} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LogsError(f"--logs-command: {command[0]!r} did not end within {TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace")[:SHOWN_CHARS].split())
        raise LogsError(f"--logs-command: {command[0]!r} failed with exit code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace").splitlines()


def lines_of(request_id: str, lines: Sequence[str]) -> list[dict[str, Any]]:
    """The JSON lines about one request; what is no JSON object is not about it."""
    found = [_decoded(line) for line in lines if request_id in line]
    return [line for line in found if line.get("requestId") == request_id]


def _decoded(line: str) -> dict[str, Any]:
    try:
        decoded = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
