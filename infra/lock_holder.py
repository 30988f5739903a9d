"""Who holds a deploy lock, as the labels of its volume say it, and whether they still live."""

from __future__ import annotations

import datetime
import hashlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from infra.errors import printable
from infra.provenance import operator

_PREFIX = "runbook.lock."
_UNKNOWN = "unknown"
_SAME_S = 0.05


class Kind(StrEnum):
    """What ends a lock: the end of the process that took it, or a person."""

    PROCESS = "process"
    MANUAL = "manual"


@dataclass(frozen=True)
class Holder:
    """Who holds the lock, and why.

    `by` is user@host, `since` ISO 8601 in UTC, `token` another for each taking. `pid` and `started` (seconds
    since the machine's start) name the process, and `place` the machine and pid namespace in which they do.
    `took_over` names the hosts of those before it that were gone without ending the lock.
    """

    by: str
    kind: Kind
    message: str
    since: str
    token: str
    pid: int = 0
    started: float = 0.0
    place: str = ""
    took_over: tuple[str, ...] = ()

    @classmethod
    def here(cls, kind: Kind, message: str) -> Holder:
        """A new holder: this process, or the person who typed the command."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        fresh = cls(by=operator(), kind=kind, message=message, since=now, token=secrets.token_hex(16))
        if kind is Kind.MANUAL:
            return fresh
        return replace(fresh, pid=os.getpid(), started=_start(psutil.Process()), place=place())

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> Holder:
        """What a lock's labels say; of one that was not made by the runbook, that nothing is known."""
        found = {name: labels.get(f"{_PREFIX}{name}", "") for name in cls.__dataclass_fields__}
        return cls(
            by=found["by"] or _UNKNOWN,
            kind=Kind.PROCESS if found["kind"] == Kind.PROCESS else Kind.MANUAL,
            message=found["message"],
            since=found["since"] or _UNKNOWN,
            token=found["token"],
            pid=int(found["pid"]) if found["pid"].isdecimal() else 0,
            started=_number(found["started"]),
            place=found["place"],
            took_over=tuple(filter(None, found["took_over"].split(","))),
        )

    def as_labels(self) -> dict[str, str]:
        """The labels from which `from_labels` makes the same holder."""
        fields = {**vars(self), "took_over": ",".join(self.took_over)}
        return {f"{_PREFIX}{name}": str(value) for name, value in fields.items()}

    def __str__(self) -> str:
        """Who, since when, why."""
        process = f" (process {self.pid})" if self.kind is Kind.PROCESS else ""
        return f"{printable(self.by)}{process} since {printable(self.since)}: {printable(self.message)}"

    @property
    def host(self) -> str:
        """The machine that it is on."""
        return self.by.rpartition("@")[2]

    @property
    def is_near(self) -> bool:
        """Whether it is a process that can be judged from here: one of this machine, not in a container."""
        return self.kind is Kind.PROCESS and self.pid > 0 and self.place == place()

    @property
    def is_gone(self) -> bool:
        """Whether it is a process of this machine that has ended; one elsewhere is judged by its lease."""
        if not self.is_near:
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or abs(_start(process) - self.started) > _SAME_S
        except psutil.AccessDenied:
            return False
        except psutil.NoSuchProcess:
            return not _is_hidden(self.pid)


def place() -> str:
    """What tells this machine, and this pid namespace on it, from all others; the same after a restart.

    A container may have its host's name, yet the host's process 7 is not its process 7.
    """
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = ""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()}\0{machine}\0{namespace}".encode()).hexdigest()[:16]


def _start(process: psutil.Process) -> float:
    """When it started, in seconds since the machine did: setting the clock does not change that."""
    return float(round(process.create_time() - psutil.boot_time(), 2))


def _is_hidden(pid: int) -> bool:
    """Whether it is another user's process, on a machine that shows nobody those of others (`hidepid`)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
