"""A real HAProxy moves a route from one release to the next without losing a request."""

from __future__ import annotations

import http.client
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from abandoned import OURS, remove_abandoned
from docker.models.containers import Container
from steady_client import SteadyClient
from waiting import wait_until

from contracts.targets import read_targets
from infra.base_images import Mode, Role, resolve
from infra.containers import ContainerExec, ContainerGone
from infra.errors import Refused
from infra.haproxy_config import LIVE_PORT, Backend, base_config, route_config
from infra.live_route import Canary, Move, live_config, redirected
from infra.proxy_control import ProxyControl, RouteMoved
from infra.traffic import TrafficShifter, refusal

pytestmark = pytest.mark.integration

STACK = f"{OURS}-reload"
PREFIX = f"runbook-{STACK}"
LABELS = {"runbook.stack": STACK}
SERVER = """
import http.server, socket
class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = (socket.gethostname() + " " + self.headers.get("X-Gate-Lane", "live")).encode()
        wrong = {"broken": 500, "refusing": 401 if self.path == "/" else 200}
        self.send_response(wrong.get(socket.gethostname(), 200))
        self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("", 8000), Named).serve_forever()
"""


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """As WAHA would ask, but for a header that must not get through."""
    connection.request("GET", "/", headers={"X-Gate-Lane": "forged"})
    return connection.getresponse()


@pytest.fixture(scope="module")
def proxy() -> Iterator[Container]:
    """A proxy with the base configuration; beside it `old`, `new`, `broken` (500) and `refusing` (401)."""
    remove_abandoned()
    engine = docker.from_env()
    with ExitStack() as undo:
        network = engine.networks.create(PREFIX, labels=LABELS)
        undo.callback(network.remove)

        def run(role: Role, name: str, command: list[str], **more: object) -> Container:
            container = engine.containers.run(
                resolve(role, Mode.AUTO).name,
                command,
                entrypoint="",
                name=f"{PREFIX}-{name}",
                hostname=name,
                network=network.name,
                labels=LABELS,
                detach=True,
                **more,
            )
            undo.callback(container.remove, force=True, v=True)
            return container

        for name in ("old", "new", "broken", "refusing"):
            run(Role.PYTHON, name, ["python3", "-c", SERVER], init=True)
        start = (
            f"mkdir -p /routes && printf '%s' \"$1\" > /routes/00-base.cfg && chmod 755 /routes && {HAPROXY}"
        )
        command = ["bash", "-c", start, "bash", base_config(sandbox=False)]
        yield run(
            Role.HAPROXY,
            "proxy",
            command,
            user="0",
            tmpfs={"/run/haproxy": "mode=0777"},
            ports={f"{LIVE_PORT}/tcp": ("127.0.0.1", None)},
            dns=["127.0.0.1"],  # as behind a locked-down network: nobody answers for names that are not ours
            restart_policy={"Name": "unless-stopped"},
        )


HAPROXY = "exec haproxy -W -db -S 127.0.0.1:8999 -f /routes"


def port_of(container: Container) -> int:
    """Where the live frontend is published."""
    container.reload()
    return int(container.ports[f"{LIVE_PORT}/tcp"][0]["HostPort"])


def name_of(server: str) -> str:
    """A server's name on the network."""
    return f"{PREFIX}-{server}"


OLD, NEW, BROKEN, REFUSING = (
    Backend(f"r-{server}", (name_of(server),)) for server in ("old", "new", "broken", "refusing")
)
MOVE = Move(id="m-1", release="r-new", replaced="r-old")
RESOLVER_S = 10
"""What libc waits for an answer about one name."""

LIMITS = read_targets().rollout.model_copy(
    update={"step_s": 1, "min_samples": 10, "mean_ms": 60_000, "slowest_ms": 60_000}
)
"""How fast the servers answer is not asked: the machine may be slow, and share its cores."""


def live_release(container: Container) -> str:
    """What a worker is told that asks whose turn it is."""
    ask = "exec 3<>/dev/tcp/127.0.0.1/8405 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
    _, answer = ContainerExec(container.name or "").run(["bash", "-c", ask])
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    return body


def test_a_route_moves_without_a_failed_request(proxy: Container) -> None:
    """Over kept-alive connections every request is answered, before, during and after."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 50)
        for server in ("new", "old", "new"):
            control.put_route("live", live_config(Backend(f"r-{server}", (name_of(server),))))
            assert control.wait_drained(60)
            before = client.answers[f"{server} live"]
            client.wait_for(f"{server} live", before + 30)
    assert client.failures == []
    assert set(client.answers) == {"old live", "new live"}


def test_traffic_moves_in_steps_judged_by_haproxys_counters(proxy: Container) -> None:
    """Every step has its samples, no request fails, and all of them reach the new release in the end."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 50)
        report = TrafficShifter(control, LIMITS).shift_in_steps(OLD, NEW, MOVE)
        before = client.answers["old live"]
        client.wait_for("new live", client.answers["new live"] + 60)
        assert client.answers["old live"] - before <= 8  # those on their way
    assert client.failures == []
    assert report.verdict == "pass", [str(check) for check in report.checks]
    assert min(check.samples for check in report.checks) >= LIMITS.min_samples
    route = control.live_route()
    assert route
    assert (route.to, route.moves) == (NEW, (MOVE,))
    assert live_release(proxy) == "r-new"


def lost_at_the_first_step(proxy: Container, to: Backend) -> tuple[str, set[str]]:
    """Why *to* lost the traffic, and the statuses of the canary's share of some seconds that failed."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 50)
        report = TrafficShifter(control, LIMITS).shift_in_steps(OLD, to, MOVE)
        client.wait_for("old live", client.answers["old live"] + 60)
    assert len(client.failures) < 0.15 * client.sent
    route = control.live_route()
    assert route
    assert (route.to, route.moves, route.canary) == (OLD, (), None)
    assert live_release(proxy) == "r-old"
    return refusal(report, to.release, LIMITS)[1], {failure[:3] for failure in client.failures}


def test_a_release_that_fails_loses_the_traffic_at_its_first_step(proxy: Container) -> None:
    """The reason is the proxy's own count."""
    reason, statuses = lost_at_the_first_step(proxy, BROKEN)
    assert "error rate at 5 %: fail: 1, limit 0.01, samples" in reason
    assert statuses <= {"500", "503"}  # 503: its health check failed too


def test_a_release_that_refuses_what_was_taken_loses_the_traffic_at_its_first_step(proxy: Container) -> None:
    """Such as one with another secret than WAHA's: every gate signs with the release's own."""
    reason, statuses = lost_at_the_first_step(proxy, REFUSING)
    assert "refused beyond the live release at 5 %: fail: 1, limit 0.05" in reason
    assert statuses == {"401"}


def test_a_canary_whose_deployer_is_gone_loses_its_share_by_itself(proxy: Container) -> None:
    """Nobody writes a file or reloads anything: the proxy's own clock ends the lease."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:

        def has_had_its_share() -> bool:
            control.put_route("live", live_config(OLD, (), Canary(NEW, 50)), lease_s=4)
            return client.answers["new live"] >= 20

        wait_until(has_had_its_share)  # on a slow machine one lease may be too short for that
        route = control.live_route()
        assert route
        while time.time() < route.canary_until_s + 1:
            client.wait_for_sent(client.sent + 10)
        before = client.answers["new live"]
        client.wait_for("old live", client.answers["old live"] + 60)
        assert client.answers["new live"] == before
    assert client.failures == []
    assert live_release(proxy) == "r-old"


def test_a_rollback_keeps_what_another_version_wrote(proxy: Container) -> None:
    """The route leads to the other release, and has the limits it had."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD).replace("sc0_conn_cur gt 2000", "sc0_conn_cur gt 77"))
    control.put_route("live", redirected(control.route("live") or "", NEW, [MOVE]))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("new live", 20)
    assert "sc0_conn_cur gt 77" in (control.route("live") or "")
    assert live_release(proxy) == "r-new"


def test_the_live_route_is_read_from_a_proxy_that_does_not_run(proxy: Container) -> None:
    """Killed, restarting or stopped: what it will serve is known."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD, [MOVE]))
    proxy.kill()
    try:
        route = control.live_route()
        assert route
        assert (route.to, route.moves) == (OLD, (MOVE,))
    finally:
        proxy.start()


def test_a_wrong_route_changes_nothing(proxy: Container) -> None:
    """HAProxy checks it first; the file and the traffic stay as they were."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    before = control.route("live")
    with pytest.raises(Refused, match="not valid"):
        control.put_route("live", "frontend live\n  bind :8080\n  no-such-keyword\n")
    assert control.route("live") == before
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 10)
    assert client.failures == []


def test_a_route_that_haproxy_cannot_take_leaves_the_one_before(proxy: Container) -> None:
    """The check finds nothing wrong with an address that is not the container's: only the reload does."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 10)
        taken_nowhere = live_config(NEW).replace("bind :8405", "bind 203.0.113.1:8405")
        with pytest.raises(Refused, match="did not take its new configuration"):
            control.put_routes({"live": taken_nowhere, "candidate": route_config("candidate", NEW)})
        client.wait_for("old live", client.answers["old live"] + 10)
    assert set(client.answers) == {"old live"}
    assert control.route("live") == live_config(OLD)
    assert control.route("candidate") is None
    assert live_release(proxy) == "r-old"
    control.put_route("live", live_config(NEW))  # and the next one is taken
    assert live_release(proxy) == "r-new"


def test_servers_that_are_gone_hold_up_no_move(proxy: Container) -> None:
    """The release that crashed is nobody's name any more, and the world's DNS does not answer."""
    control = ProxyControl(proxy.name or "")
    gone = Backend("r-gone", (name_of("gone"), name_of("gone-too")))
    control.put_routes({"live": live_config(gone), "candidate": route_config("candidate", gone)})
    assert control.route("live") == live_config(gone)
    live = redirected(control.route("live") or "", OLD, [MOVE])
    began = time.monotonic()
    control.put_route("live", live)
    assert time.monotonic() - began < 2 * RESOLVER_S  # there are two such names
    assert control.route("live") == live
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 20)
    control.remove_route("candidate")
    assert control.route("candidate") is None


def test_a_server_that_is_up_is_never_left_to_the_resolver(proxy: Container) -> None:
    """However late its name is answered: the public frontend had no server until then."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 20)
        late = "printf '#!/bin/sh\nsleep 60\n' > /usr/local/bin/getent && chmod 755 /usr/local/bin/getent"
        shell = ContainerExec(proxy.name or "", user="0")
        assert shell.run(["sh", "-c", late])[0] == 0
        try:
            control.put_route("candidate", route_config("candidate", NEW))
        finally:
            assert shell.run(["rm", "/usr/local/bin/getent"])[0] == 0
        _, files = shell.run(["sh", "-c", "cat /routes/live.cfg; echo ---; cat /routes/candidate.cfg"])
        live, _, candidate = files.partition("---")
        assert re.search(r"init-addr \d+\.\d+\.\d+\.\d+$", live, re.MULTILINE)
        assert "init-addr none" in candidate
        assert control.route("live") == live_config(OLD)
        client.wait_for("old live", client.answers["old live"] + 50)
    assert client.failures == []
    control.remove_route("candidate")


def test_a_server_that_has_just_gone_holds_up_no_move(proxy: Container) -> None:
    """As of a release that crashes again and again: HAProxy does not know yet that it is down."""
    engine, control = docker.from_env(), ProxyControl(proxy.name or "")
    network, new = engine.networks.get(PREFIX), engine.containers.get(name_of("new"))
    control.put_route("live", live_config(NEW))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("new live", 20)
        network.disconnect(new)
        try:
            control.put_routes({"live": live_config(OLD), "candidate": route_config("candidate", NEW)})
            client.wait_for("old live", 20)
        finally:
            network.connect(new, aliases=["new"])
    control.remove_route("candidate")


def test_a_server_that_comes_back_is_asked_again(proxy: Container) -> None:
    """Its name was nobody's when the routes were changed; no change is needed for it."""
    engine, control = docker.from_env(), ProxyControl(proxy.name or "")
    network, new = engine.networks.get(PREFIX), engine.containers.get(name_of("new"))
    network.disconnect(new)
    try:
        control.put_route("live", live_config(NEW))
    finally:
        network.connect(new, aliases=["new"])
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("new live", 20)


def test_a_route_that_moved_meanwhile_stays(proxy: Container) -> None:
    """Looked at in the container, by whatever writes it: nobody comes between."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(NEW))
    for moves in ((), (MOVE,)):  # one without any move is nobody's
        control.put_route("live", live_config(OLD, moves), after=["m-1"])
    by_hand = Move(id="m-2", release="r-old", verb="rollback", by="anna@laptop", at="2026-11-24T12:40:31")
    control.put_route("live", live_config(OLD, [MOVE, by_hand]), after=["m-1", "m-9"])
    with pytest.raises(RouteMoved, match="`rollback` of anna@laptop gave it to r-old at 2026-11-24T12:40:31"):
        control.put_route("live", live_config(NEW, [MOVE]), after=["m-1", "m-9"])
    assert control.route("live") == live_config(OLD, [MOVE, by_hand])
    assert live_release(proxy) == "r-old"


def test_a_route_is_served_though_whoever_wrote_it_is_gone(
    proxy: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever wrote the file has the proxy take it, too: what it says is what is served."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    run = ContainerExec.run

    def run_and_die(self: ContainerExec, command: list[str]) -> tuple[int, str]:
        done = run(self, command)
        if control.route("live") != live_config(OLD):
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ContainerExec, "run", run_and_die)
        control.put_route("live", live_config(NEW))
    assert live_release(proxy) == "r-new"


def test_a_proxy_that_was_reloaded_comes_back_after_a_crash(proxy: Container) -> None:
    """A container that the engine has sent a signal, whichever, counts as stopped by hand."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    proxy.reload()
    os.kill(proxy.attrs["State"]["Pid"], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while True:
        try:
            assert live_release(proxy) == "r-old"
            break
        except (Refused, AssertionError):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_removed_route_is_closed(proxy: Container) -> None:
    """Nothing listens any more; removing again, or from a proxy that is gone, is no error."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", live_config(OLD))
    control.remove_route("live")
    assert control.route("live") is None
    control.remove_route("live")
    ProxyControl(f"{PREFIX}-none").remove_route("live")


def test_a_missing_proxy_is_named() -> None:
    """The operator learns which container is not there."""
    assert ProxyControl(f"{PREFIX}-none").route("live") is None
    with pytest.raises(ContainerGone, match=f"{PREFIX}-none"):
        ProxyControl(f"{PREFIX}-none").put_route("live", "")
