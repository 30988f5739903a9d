"""Ports for servers that are started on this machine for a while: by tests, benchmarks and `load`."""

from __future__ import annotations

import random
import socket

BELOW_EPHEMERAL = range(10_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on: one of those may be taken before a server has it."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody has now, and that no outgoing connection will be given."""
    found: list[int] = []
    for port in random.SystemRandom().sample(BELOW_EPHEMERAL, 1000):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    return found


def free_port() -> int:
    """One such port."""
    [port] = free_ports(1)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
