"""The proxy's configuration: who may choose the lane, and that HAProxy itself finds it valid."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from infra.base_images import Mode, Role, resolve
from infra.haproxy_config import MOST_PER_ADDRESS, Backend, base_config, route_config
from infra.live_route import LEASE_END, Canary, Move, live_config

W, NEW = Backend("r-1", ("w",)), Backend("r-2", ("new",))
MOVE = Move.now("r-1", None, verb="up", reason="ä\"'#\n $HOME", by="kim@host")


def test_the_public_frontend_strips_the_lane_and_the_candidate_sets_it() -> None:
    """Nobody outside can reach a gate lane, and the loopback frontend can reach nothing else."""
    assert "http-request del-header X-Gate-Lane" in route_config("live", W)
    assert "http-request set-header X-Gate-Lane 1" in route_config("candidate", W)
    assert "http-request set-header X-Gate-Lane 1" in route_config("baseline", W)


@pytest.mark.parametrize("route", ["live", "candidate", "baseline"])
def test_the_clients_address_is_the_proxys_word(route: str) -> None:
    """A forged X-Forwarded-For is replaced, not appended to."""
    assert "http-request set-header X-Forwarded-For %[src]" in route_config(route, W)  # type: ignore[arg-type]


def test_every_replica_is_a_checked_server() -> None:
    """Traffic goes to those that say they are ready."""
    config = route_config("live", Backend("r-1", ("web-1", "web-2")))
    assert "server web-1 ipv4@web-1:8000" in config
    assert "server web-2 ipv4@web-2:8000" in config
    assert "option httpchk GET /api/health/ready" in config


def test_one_address_cannot_take_all_connections() -> None:
    """The public frontend bounds each address to a third of `maxconn`; the loopback one is the suites'."""
    limit = f"tcp-request connection reject if {{ sc0_conn_cur gt {MOST_PER_ADDRESS} }}"
    assert limit in route_config("live", W)
    assert "reject" not in route_config("candidate", W)
    assert f"maxconn {3 * MOST_PER_ADDRESS}\n" in base_config(sandbox=False)


@pytest.mark.integration
@pytest.mark.parametrize("sandbox", [True, False])
def test_haproxy_accepts_it(tmp_path: Path, sandbox: bool) -> None:
    """The real HAProxy checks the base and both routes together, without a warning."""
    files = {
        "00-base.cfg": base_config(sandbox=sandbox),
        "candidate.cfg": route_config("candidate", NEW),
        "baseline.cfg": route_config("baseline", W),
        "live.cfg": live_config(Backend("r-1", ("web-1", "web-2")), [MOVE], Canary(NEW, 5)).replace(
            LEASE_END, "1764460060"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    output = docker.from_env().containers.run(
        resolve(Role.HAPROXY, Mode.AUTO).name,
        ["haproxy", "-c", "-f", "/routes"],
        entrypoint="",
        user="99:99",
        remove=True,
        stderr=True,
        volumes={str(tmp_path): {"bind": "/routes", "mode": "ro"}},
        tmpfs={"/run/haproxy": "mode=0777"},
        extra_hosts=dict.fromkeys(("w", "new", "web-1", "web-2", "sandbox"), "127.0.0.1"),
    )
    assert b"WARNING" not in output
    assert b"Configuration file is valid" in output
