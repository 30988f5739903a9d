"""Moves the proxy: writes a route's file, has HAProxy take it without losing a request, waits until it did.

All through the Docker engine: the proxy publishes no control port.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.containers import ContainerGone, Inside
from infra.errors import Refused
from infra.haproxy_config import Backend, backend_in

ROUTES = "/routes"
_TAKEN_WITHIN_S = 10.0
_POLL_S = 0.05

# Checked beside the other routes before it takes the place of the old file: a wrong one changes nothing.
_WRITE = """
set -e
umask 022
cd "$1"
printf '%s' "$3" > "$2.cfg.new"
set -- "$2"
others=
for file in *.cfg; do [ "$file" = "$1.cfg" ] || others="$others -f $file"; done
if ! haproxy -c -q $others -f "$1.cfg.new"; then rm -f "$1.cfg.new"; exit 1; fi
mv "$1.cfg.new" "$1.cfg"
"""
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

    `errors` are those with a 5xx status, HAProxy's own included, `refused` those with a 4xx. `mean_ms` is
    over the last 1024 answers, `slowest_ms` the longest time from a request's last byte to its answer's head.
    """

    requests: int
    errors: int
    mean_ms: float
    slowest_ms: float
    refused: int = 0


class ProxyControl:
    """One proxy's container."""

    def __init__(self, container: str) -> None:
        # Root owns the routes, so that HAProxy itself (uid 99) cannot change them.
        self._inside = Inside(container, user="0")

    def put_route(self, name: str, config: str) -> None:
        """Make *config* the route *name*; returns when new connections are served by it.

        Raises:
            Refused: HAProxy finds the configuration wrong, or did not take it in time.
        """
        before = self._workers()
        self._run(["sh", "-c", _WRITE, "sh", ROUTES, name, config], f"route {name!r} is not valid")
        self._reload(before)

    def remove_route(self, name: str) -> None:
        """End the route *name*. Nothing to do where it, or the whole proxy, is gone."""
        try:
            before = self._workers()
            self._run(["rm", "-f", f"{ROUTES}/{name}.cfg"], f"route {name!r} could not be removed")
            self._reload(before)
        except ContainerGone:
            return

    def route(self, name: str) -> str | None:
        """The configuration that the route *name* has now; None where there is none, or no proxy."""
        try:
            code, output = self._inside.run(["cat", f"{ROUTES}/{name}.cfg"])
        except ContainerGone:
            return None
        return output if code == 0 else None

    def leads_to(self, name: str) -> Backend | None:
        """The release that the route *name* leads to, without its canary; None where it leads nowhere."""
        return backend_in(self.route(name) or "")

    def counters(self, backend: str) -> Counters | None:
        """What the serving process has counted on *backend* since the last reload; None if it has no such."""
        shown = self._ask(f"@!{self._workers().current} show stat -1 2 -1")
        return parse_counters(shown or "", backend)

    def wait_drained(self, timeout_s: float) -> bool:
        """Wait until no old worker has a request left; False if some still had after *timeout_s*."""
        return self._wait(lambda workers: not workers.old, timeout_s)

    def _reload(self, before: Workers) -> None:
        self._inside.signal("SIGUSR2")
        if not self._wait(lambda workers: workers.current not in ("", before.current), _TAKEN_WITHIN_S):
            raise Refused(
                f"the proxy {self._inside.name} did not take its new configuration within "
                f"{_TAKEN_WITHIN_S:g} s; `docker logs {self._inside.name}` says why"
            )

    def _wait(self, reached: Callable[[Workers], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if reached(self._workers()):
                return True
            time.sleep(_POLL_S)
        return False

    def _workers(self) -> Workers:
        """As the master process tells; empty while it restarts itself for a reload."""
        return parse_workers(self._ask("show proc") or "")

    def _ask(self, question: str) -> str | None:
        """The master's answer; None while it restarts itself for a reload."""
        code, output = self._inside.run(["bash", "-c", _ASK, "bash", question])
        return output if code == 0 else None

    def _run(self, command: list[str], otherwise: str) -> None:
        code, output = self._inside.run(command)
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
