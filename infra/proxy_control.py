"""Controls a stack's proxy: reads its routes, writes one, has HAProxy take it without losing a request.

All through the Docker engine: the proxy publishes no control port.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import docker

from infra.containers import ContainerExec, ContainerGone
from infra.errors import Refused
from infra.live_route import LiveRoute, Move, read_live_route

ROUTES = "/routes"
_STOP = f"{ROUTES}/stop"
_POLL_INTERVAL_S = 0.05
_CHANGE_ROUTES = Path(__file__).with_name("change_routes.sh").read_text(encoding="utf-8")
MAX_RELOAD_S = float(_CHANGE_ROUTES.partition("\nMAX_RELOAD_S=")[2].partition("\n")[0])
"""HAProxy takes a new configuration within this time, or it is taken back."""

_CHANGE_S = round(3 * MAX_RELOAD_S)
"""A change that HAProxy does not take is taken back in this time."""

_KNOWN_THEN = re.compile(r" init-addr \S+$", re.MULTILINE)
"""Added by `change_routes.sh` to a server whose name was not answered then."""
_INVALID, _NOT_TAKEN, _MOVED = 10, 11, 12
"""Its exit codes."""

# The master keeps the connection open after an answer: it has to be told to close it.
_ASK = "exec 3<>/dev/tcp/127.0.0.1/8999 && printf '%s;quit\\n' \"$1\" >&3 && timeout 5 cat <&3"


@dataclass(frozen=True)
class Workers:
    """HAProxy's worker processes: the one that serves, and those that only finish what they have."""

    current: str
    old: tuple[str, ...]


@dataclass(frozen=True)
class Counters:
    """A backend's answers since the last reload.

    `errors` are those with a 5xx status, HAProxy's own included, `refused` those with a 4xx. `mean_ms` decays
    over some 512 answers, `slowest_ms` the longest time from a request's last byte to its answer's head.
    """

    requests: int
    errors: int
    mean_ms: float
    slowest_ms: float
    refused: int = 0


class RouteMoved(Refused):
    """Somebody else gave the traffic to another release meanwhile: there it stays."""

    @classmethod
    def by(cls, move: Move) -> Self:
        """Of the *move* that came between."""
        return cls(
            f"the traffic was moved meanwhile: `{move.verb}` of {move.by} gave it to {move.release} at "
            f"{move.at}; it stays there",
            "`bin/runbook releases` says what is live; run this again if that is not to stay",
        )


class ProxyControl:
    """One proxy's container, *name*."""

    def __init__(self, name: str, engine: docker.DockerClient | None = None) -> None:
        engine = engine or docker.from_env()
        # Root owns the routes, so that HAProxy itself (uid 99) cannot change them.
        self._proxy = ContainerExec(name, user="0", engine=engine)
        # It has the same volume and is there when the proxy is gone.
        self._routes_seed = ContainerExec(f"{name}-routes-seed", engine=engine)

    def put_route(self, name: str, config: str, lease_s: float = 0, after: Collection[str] = ()) -> None:
        """Make *config* the route *name*, as `put_routes` does."""
        self.put_routes({name: config}, lease_s, after)

    def put_routes(self, routes: Mapping[str, str], lease_s: float = 0, after: Collection[str] = ()) -> None:
        """Make each configuration the route of its name; returns when new connections are served by them.

        `LEASE_END` in one becomes the time in *lease_s* seconds. *after*: only while the last move of the
        live route, if it has any, is one of these ids.

        Raises:
            RouteMoved: it is another; the routes are as they were.
            Refused: HAProxy finds one wrong, or did not take them in time; the routes are as they were.
        """
        parts = [part for route in routes.items() for part in route]
        self._change(", ".join(map(repr, routes)), "put", str(round(lease_s)), " ".join(after), *parts)

    def remove_route(self, name: str) -> None:
        """End the route *name*. Nothing to do where it, or the whole proxy, is gone."""
        try:
            self._change(repr(name), "remove", name)
        except ContainerGone:
            return

    def route(self, name: str) -> str | None:
        """The configuration of the route *name*, from a proxy that need not run; None where there is none."""
        for container in (self._proxy, self._routes_seed):
            try:
                config = container.read_file(f"{ROUTES}/{name}.cfg")
            except ContainerGone:
                continue
            return config and _KNOWN_THEN.sub("", config)
        return None

    def live_route(self) -> LiveRoute | None:
        """Which release has the live traffic, and since when; None before the first."""
        return read_live_route(self.route("live"))

    def settled_live_route(self) -> LiveRoute | None:
        """As `live_route`, once a change is over that went on when whoever began it was interrupted."""
        with suppress(Refused):  # a proxy that does not run changes nothing
            self._proxy.run(["flock", "-w", str(_CHANGE_S), ROUTES, "true"])
        return self.live_route()

    def request_stop(self) -> None:
        """Ask whoever tries a release, or shifts the traffic to it, to give up: it goes back at once."""
        self._run(["touch", _STOP], "a stop cannot be asked for")

    def stop_requested(self) -> bool:
        """Whether somebody asked for a stop since `clear_stop`."""
        return self._proxy.run(["test", "-e", _STOP])[0] == 0

    def clear_stop(self) -> None:
        """Forget a stop that was asked for before this update."""
        self._run(["rm", "-f", _STOP], "an earlier request to stop cannot be removed")

    def counters(self, backend: str) -> Counters | None:
        """What the serving process has counted on *backend* since the last reload; None if it has no such."""
        shown = self._ask(f"@!{self._workers().current} show stat -1 2 -1")
        return parse_counters(shown or "", backend)

    def wait_drained(self, timeout_s: float) -> bool:
        """Wait until no old worker has a request left; False if some still had after *timeout_s*."""
        return self._wait(lambda workers: bool(workers.current) and not workers.old, timeout_s)

    def _change(self, named: str, *arguments: str) -> None:
        code, output = self._proxy.run(["bash", "-c", _CHANGE_ROUTES, "bash", *arguments])
        if code == _MOVED and (live := self.live_route()) and live.moves:
            raise RouteMoved.by(live.moves[-1])
        if code == _INVALID:
            raise Refused(f"with route {named} changed the configuration is not valid: {output.strip()}")
        if code == _NOT_TAKEN:
            raise Refused(
                f"route {named}: the proxy {self._proxy.name} did not take its new configuration within "
                f"{MAX_RELOAD_S:g} s; `docker logs {self._proxy.name}` says why"
            )
        if code != 0:
            raise Refused(f"route {named} could not be changed: {output.strip()}")

    def _wait(self, reached: Callable[[Workers], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if reached(self._workers()):
                return True
            time.sleep(_POLL_INTERVAL_S)
        return False

    def _workers(self) -> Workers:
        """As the master process tells; empty while it restarts itself for a reload."""
        return parse_workers(self._ask("show proc") or "")

    def _ask(self, question: str) -> str | None:
        """The master's answer; None while it restarts itself for a reload."""
        code, output = self._proxy.run(["bash", "-c", _ASK, "bash", question])
        return output if code == 0 else None

    def _run(self, command: list[str], otherwise: str) -> None:
        code, output = self._proxy.run(command)
        if code != 0:
            raise Refused(f"{otherwise}: {output.strip()}")


def parse_workers(shown: str) -> Workers:
    """Read the master's answer to `show proc`: sections `# workers` and `# old workers`, the PID first."""
    section = ""
    found: dict[str, list[str]] = {"# workers": [], "# old workers": []}
    for line in shown.splitlines():
        if line.startswith("#"):
            section = line.strip()
        elif section in found and line.strip():
            found[section].append(line.split()[0])
    return Workers("".join(found["# workers"][:1]), tuple(found["# old workers"]))


def parse_counters(shown: str, backend: str) -> Counters | None:
    """Read one backend's line from the answer to `show stat`: a CSV table whose header begins with `# `."""
    rows = csv.DictReader(shown.removeprefix("# ").splitlines())
    row = next((row for row in rows if row["pxname"] == backend and row["svname"] == "BACKEND"), None)
    if row is None:
        return None
    answers = sum(int(row[name] or 0) for name in row if name.startswith("hrsp_"))
    names = ("hrsp_5xx", "rtime", "rtime_max", "hrsp_4xx")
    return Counters(answers, *(int(row[name] or 0) for name in names))
