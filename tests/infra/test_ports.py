"""Who has a port: another container, a process, or nobody."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.free_ports import free_ports
from infra.ports import holder_of


def engine(*published: tuple[str, int], address: str = "http+docker://localhost") -> Any:
    """An engine at *address* with one container for each port that is published."""
    listed = [
        SimpleNamespace(attrs={"Names": [f"/has-{port}"], "Ports": [{"IP": ip, "PublicPort": port}]})
        for ip, port in published
    ]
    containers = SimpleNamespace(list=lambda **_: listed)
    return SimpleNamespace(containers=containers, api=SimpleNamespace(base_url=address))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_process_is_named(address: str) -> None:
    """With its number; at every address it stands in the way of one, and the other way round."""
    [port] = free_ports(1)
    assert holder_of(address, port, engine()) is None
    with socket.create_server(("127.0.0.1", port)):
        holder = holder_of(address, port, engine())
    assert holder is not None
    assert holder.startswith(f"process {os.getpid()} (")


def test_a_container_is_named_on_another_machine_too() -> None:
    """There, nothing else can be seen from here."""
    [port] = free_ports(1)
    remote = engine(("0.0.0.0", port), address="http://192.0.2.1:2375")
    assert holder_of("127.0.0.1", port, remote) == f"container has-{port} has it"
    with socket.create_server(("127.0.0.1", port)):
        assert holder_of("127.0.0.1", port, engine(address="http://192.0.2.1:2375")) is None


@pytest.mark.parametrize(
    ("wanted", "had", "meet"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "192.0.2.1", True),
        ("127.0.0.1", "192.0.2.1", False),
        ("::1", "0.0.0.0", False),
        ("::1", "::", True),
    ],
)
def test_addresses_meet_where_one_covers_the_other(wanted: str, had: str, meet: bool) -> None:
    """Each kind for itself."""
    [port] = free_ports(1)
    assert (holder_of(wanted, port, engine((had, port))) is not None) == meet


def test_an_address_of_another_machine_is_no_address_here() -> None:
    """The engine would only say so after the old proxy is gone."""
    assert holder_of("192.0.2.1", 8080, engine()) == "192.0.2.1 is no address of this machine"
