"""HAProxy with the project's own configuration: only its addresses are changed to ports of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos_programs import Program

from contracts.free_ports import free_port
from infra.haproxy_config import LIVE_PORT, WEB_PORT, Backend, base_config, route_config

HEALTH_PORT = 8404


@dataclass(frozen=True)
class Proxy:
    """The proxy before some web processes. `port`: of its public frontend; `stats`: of its metrics."""

    program: Program
    port: int
    stats: int

    @classmethod
    def before(cls, web_ports: Sequence[int], folder: Path, patience_s: int | None = None) -> Proxy:
        """A proxy that is not started yet. *patience_s*: for how long the slow are kept, if not as usual."""
        port, stats = free_port(), free_port()
        file = folder / "haproxy.cfg"
        file.write_text(_patient(_base(stats, folder), patience_s) + _live(port, web_ports))
        command = ["haproxy", "-W", "-db", "-f", str(file)]
        return cls(Program("proxy", command, folder / "proxy.log"), port, stats)


def _base(stats: int, folder: Path) -> str:
    text = base_config(sandbox=False)
    return _put(_put(text, f"bind :{HEALTH_PORT}", f"bind 127.0.0.1:{stats}"), "/run/haproxy", str(folder))


def _patient(text: str, patience_s: int | None) -> str:
    if patience_s is None:
        return text
    for limit in ("timeout client 30s", "timeout http-request 10s"):
        text = _put(text, limit, f"{limit.rpartition(' ')[0]} {patience_s}s")
    return text


def _live(port: int, web_ports: Sequence[int]) -> str:
    names = [f"web-{number}" for number, _ in enumerate(web_ports)]
    text = _put(
        route_config("live", Backend("r-chaos", tuple(names))), f"bind :{LIVE_PORT}", f"bind 127.0.0.1:{port}"
    )
    for name, web_port in zip(names, web_ports, strict=True):
        text = _put(text, f"{name}:{WEB_PORT}", f"127.0.0.1:{web_port}")
    return text


def _put(text: str, old: str, new: str) -> str:
    assert old in text, f"the proxy's configuration has no {old!r} any more"
    return text.replace(old, new)
