"""Ports for servers that are started for a while."""

from __future__ import annotations

import socket

import pytest

from contracts import free_ports as module
from contracts.free_ports import free_port, free_ports

LINUX_GIVES_FROM = 32_768


def test_each_is_another_that_no_outgoing_connection_is_given() -> None:
    """They are below those that Linux takes for connections."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < LINUX_GIVES_FROM


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_one_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Whether it is had at the loopback address or at all of them."""
    with socket.socket() as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(module, "BELOW_EPHEMERAL", [port] * 999 + [free_port()])
        assert free_port() != port
