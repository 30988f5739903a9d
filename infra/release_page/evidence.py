"""All that a release's folder holds. Whatever is missing or damaged is said, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contracts.verdict import Report
from infra.release_page.log_tail import log_tail
from infra.release_page.records import ContainersSeries, LoadSeries, Release

SUITES = ("smoke", "load", "containers", "traffic")
"""In the order in which a deployment runs them."""

_PROBLEMS_NAMED = 3
_Read = TypeVar("_Read")
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Damage:
    """A file that is there and cannot be used, and why."""

    file: str
    why: str


@dataclass
class Evidence:
    """What was found in the folder called `folder`; a suite that left no report is not in `reports`."""

    folder: str
    release: Release | None = None
    reports: dict[str, Report] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    load: LoadSeries | None = None
    containers: ContainersSeries | None = None
    damaged: list[Damage] = field(default_factory=list)

    def damage(self, file: str) -> Damage | None:
        """What is wrong with *file*, if it is damaged."""
        return next((damage for damage in self.damaged if damage.file == file), None)


def read_evidence(folder: Path) -> Evidence:
    """Read what lies in *folder*; never raises for what a file holds or for one that cannot be read."""
    found = Evidence(folder.resolve().name)
    found.release = _record(found, folder / "release.json", Release)
    for suite in SUITES:
        if report := _record(found, folder / f"{suite}.json", Report):
            found.reports[suite] = report
        if log := _read(found, folder / f"{suite}.log", log_tail):
            found.logs[suite] = log
    found.load = _record(found, folder / "load.series.json", LoadSeries)
    found.containers = _record(found, folder / "containers.series.json", ContainersSeries)
    return found


def _record(found: Evidence, file: Path, model: type[_Model]) -> _Model | None:
    return _read(found, file, lambda there: model.model_validate_json(there.read_bytes()))


def _read(found: Evidence, file: Path, read: Callable[[Path], _Read]) -> _Read | None:
    try:
        if not file.exists():
            return None
        if not file.is_file():
            raise OSError(None, "is not a file")
        return read(file)
    except OSError as error:
        found.damaged.append(Damage(file.name, f"cannot be read: {error.strerror}"))
    except ValidationError as error:
        found.damaged.append(Damage(file.name, _problems(error)))
    return None


def _problems(error: ValidationError) -> str:
    """The first problems, each with its place; not the values, which may be as long as the file."""
    lines = [
        ": ".join(filter(None, [".".join(map(str, problem["loc"])), problem["msg"]]))
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" and {len(lines) - _PROBLEMS_NAMED} more" if len(lines) > _PROBLEMS_NAMED else ""
    return "; ".join(lines[:_PROBLEMS_NAMED]) + more
