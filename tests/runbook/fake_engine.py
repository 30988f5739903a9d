"""A Docker engine with what a test gives it; what it was not given, or is not made for, it does not have."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker.errors import ImageNotFound, NotFound
from fake_exec import FakeExecApi
from fake_volumes import VolumesEngine

from infra.live_route import LEASE_END


@dataclass
class Thing:
    """A container or network: `refusal` is what its removal raises.

    Of a container, `files` holds contents by path, `memory` is what the engine tells of it, `answer` what a
    command in it does, and `done` what was made of it besides.
    """

    id: str
    name: str
    labels: dict[str, str]
    refusal: Exception | None = None
    removed: bool = False
    status: str = "running"
    image: str = ""
    restarts: int = 0
    started_at: str = "2026-11-24T12:10:31.052Z"
    memory: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    answer: Callable[[list[str]], tuple[int, str]] = lambda _command: (127, "no such command")

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "Config": {"Image": self.image},
            "RestartCount": self.restarts,
            "State": {
                "Running": self.status == "running",
                "StartedAt": self.started_at,
                "FinishedAt": "2026-11-24T12:40:00.052Z",
                "ExitCode": 0,
            },
            "Labels": self.labels,
        }

    def remove(self, *, force: bool = False) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.removed = True

    def start(self) -> None:
        self.done.append("start")
        self.status = "running"

    def reload(self) -> None:
        self.done.append("reload")

    def unpause(self) -> None:
        self.done.append("unpause")
        self.status = "running"

    def stats(self, **_more: bool) -> dict[str, Any]:
        return {"memory_stats": self.memory}

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, Any]]:
        if path not in self.files:
            raise NotFound("no such file")
        content, archive = self.files[path].encode(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        return [archive.getvalue()], {}


@dataclass
class FakeProxy(Thing):
    """HAProxy's container, as `infra.proxy_control` talks to it; `put` names each route that was written."""

    put: list[str] = field(default_factory=list)
    stat: str = ""

    def __post_init__(self) -> None:
        self.answer = self._run

    def _run(self, command: list[str]) -> tuple[int, str]:
        if command[0] in ("touch", "rm", "test", "flock"):
            self.done.append(" ".join(command))
            return int(command[0] == "test"), ""
        if "/watched" in command[2]:
            self.files["/routes/watched"] = command[-1]
            return 0, ""
        what, *arguments = command[4:]
        if what == "remove":
            self.done.append(f"remove {arguments[0]}")
            self.files.pop(f"/routes/{arguments[0]}.cfg", None)
        elif what == "put":
            lease_s, _after, *routes = arguments
            for name, config in zip(routes[::2], routes[1::2], strict=True):
                self.files[f"/routes/{name}.cfg"] = config.replace(LEASE_END, lease_s)
                self.put.append(name)
        else:
            return 0, self.stat if "show stat" in what else "# workers\n1 worker\n"
        return 0, ""


@dataclass
class Things:
    """A collection of the SDK's: `list` filters by labels, `name` or `name=value`, if by anything."""

    found: list[Thing] = field(default_factory=list)

    def list(self, filters: dict[str, Any] | None = None, **more: bool) -> list[Thing]:
        stopped = more.get("all", False)
        there = (thing for thing in self.found if not thing.removed)
        wanted = (filters or {}).get("label", [])
        labels = [wanted] if isinstance(wanted, str) else wanted
        return [thing for thing in there if (stopped or thing.status == "running") and all_of(labels, thing)]

    def get(self, name: str) -> Thing:
        for thing in self.found:
            if thing.name == name and not thing.removed:
                return thing
        raise NotFound(f"no such container: {name}")

    def add(self, name: str, stack: str = "dev", refusal: Exception | None = None, **labels: str) -> Thing:
        """One more, with an id made of its name; *labels*: `state="x"` is the label `runbook.state`."""
        ours = {f"runbook.{label}": value for label, value in {"stack": stack, **labels}.items()}
        self.found.append(Thing(f"id-of-{name}", name, ours, refusal))
        return self.found[-1]


def all_of(labels: list[str], thing: Thing) -> bool:
    """Whether *thing* has all *labels*, `name` or `name=value`."""
    pairs = [label.partition("=") for label in labels]
    return all(
        name in thing.labels and (not separator or thing.labels[name] == value)
        for name, separator, value in pairs
    )


@dataclass
class FakeImages:
    """The engine's images, by name."""

    names: set[str] = field(default_factory=set)

    def get(self, name: str) -> str:
        if name not in self.names:
            raise ImageNotFound(f"no such image: {name}")
        return name


@dataclass
class FakeEngine(VolumesEngine):
    """What `docker.from_env` gives."""

    containers: Things = field(default_factory=Things)
    networks: Things = field(default_factory=Things)
    images: FakeImages = field(default_factory=FakeImages)

    def __post_init__(self) -> None:
        self.api = FakeExecApi(self._run)

    def _run(self, container: str, command: list[str]) -> tuple[int, str]:
        (found,) = (thing for thing in self.containers.found if thing.id == container)
        return found.answer(command)


@dataclass
class FakeClock:
    """Time that passes only while somebody sleeps; `while_asleep` is what happens meanwhile."""

    time: float = 1000.0
    while_asleep: Callable[[], None] = lambda: None
    slept: int = 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept += 1
        self.while_asleep()
