"""`python -m service metrics`: those of the process in the same container. Imports little, to be fast."""

from __future__ import annotations

import os
import socket
import sys

from service.healthcheck import DEFAULT_PORT, TIMEOUT_S, own_host

DEFAULT_METRICS_PORT = 9100  # as in settings.py

_REQUEST = b"GET /metrics HTTP/1.0\r\nHost: metrics\r\n\r\n"


def print_metrics() -> int:
    """Print the text of `/metrics` of the worker or web process here; 1 if neither answers."""
    ports = _ports()
    for port in ports:
        text = _metrics_at(port)
        if text is not None:
            sys.stdout.write(text)
            return 0
    asked = ", ".join(f"{own_host()}:{port}" for port in ports)
    print(f"error: no process of the service answers at {asked}", file=sys.stderr)
    print("hint: run it beside a web or worker process, with its HOST, PORT or METRICS_PORT", file=sys.stderr)
    return 1


def _ports() -> list[str]:
    """Where a worker would be, then where a web process would: first what is named, then by default.

    A release's containers have one environment: the workers' too names the port of the web processes.
    """
    defaults = {"METRICS_PORT": str(DEFAULT_METRICS_PORT), "PORT": str(DEFAULT_PORT)}
    named = {name: value for name in defaults if (value := os.environ.get(name))}
    unnamed = [port for name, port in defaults.items() if name not in named]
    return [*(port for port in named.values() if port != "0"), *unnamed]


def _metrics_at(port: str) -> str | None:
    answer = b""
    try:
        with socket.create_connection((own_host(), int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(_REQUEST)
            while part := connection.recv(65536):
                answer += part
    except (OSError, ValueError, OverflowError):  # nobody is there, or it is no port
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if head.split(b" ")[1:2] == [b"200"] else None
