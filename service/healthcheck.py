"""The container's own health check: `python -m service healthcheck web|worker`. Imports little, to be fast.

It asks whether this process lives, not whether its dependencies do: restarting would not mend those.
"""

from __future__ import annotations

import os
import socket
import time

# As in settings.py, whose import would take half a second.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_HEARTBEAT_FILE = "/tmp/service-worker.heartbeat"  # noqa: S108

TIMEOUT_S = 3.0
HEARTBEAT_MAX_AGE_S = 30.0


def own_host() -> str:
    """Where the process in this container listens."""
    host = os.environ.get("HOST") or DEFAULT_HOST
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - these include the loopback one


def check_web() -> bool:
    """Whether the web process answers `GET /api/health/live`."""
    address = (own_host(), int(os.environ.get("PORT") or DEFAULT_PORT))
    request = b"GET /api/health/live HTTP/1.1\r\nHost: healthcheck\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(address, timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def check_worker() -> bool:
    """Whether the worker's loops have turned lately."""
    path = os.environ.get("HEARTBEAT_FILE") or DEFAULT_HEARTBEAT_FILE
    try:
        return time.time() - os.stat(path).st_mtime < HEARTBEAT_MAX_AGE_S  # noqa: PTH116
    except OSError:
        return False
