"""Who has a port of this machine that a container is to publish."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import docker
import psutil  # type: ignore[import-untyped]

_LOCAL = "http+docker://"
"""What the SDK's addresses of engines on this machine begin with."""


def holder_of(address: str, port: int, engine: docker.DockerClient) -> str | None:
    """Who has *port* at *address*, or what else is in the way; None where it is free.

    Of an engine on another machine only its containers are known.
    """
    for container in engine.containers.list(sparse=True):
        if any(_meet(address, port, published) for published in container.attrs.get("Ports") or ()):
            return f"container {container.attrs['Names'][0].removeprefix('/')} has it"
    if not engine.api.base_url.startswith(_LOCAL):
        return None
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{address} is no address of this machine"
        return _listener(port) if error.errno == errno.EADDRINUSE else None
    return None


def _meet(address: str, port: int, published: dict[str, object]) -> bool:
    """Whether a container's *published* port is that one; an unspecified address is every one of its kind."""
    wanted, had = ip_address(address), ip_address(str(published.get("IP") or "0.0.0.0"))  # noqa: S104
    same = wanted == had or wanted.is_unspecified or had.is_unspecified
    return published.get("PublicPort") == port and wanted.version == had.version and same


def _listener(port: int) -> str:
    """The process that listens on *port*, as far as it can be seen."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()}) has it"
    return "a process that this user cannot see has it"
