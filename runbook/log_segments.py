"""Log segments in a folder of this machine: which there are, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

CLASSES = ("rest", "webhooks", "refusals", "received")
"""The collector's, each a folder: `infra/collect_logs.py`."""

_NAME = re.compile(r"(\d{13})-(?:open|(\d{13})-(\d{13}))\.jsonl(?:\.gz)?")


@dataclass(frozen=True)
class Segment:
    """A file of lines. `opened_ms` and the class name it from when it is opened to when it goes."""

    class_name: str
    name: str
    opened_ms: int
    first_ms: int = 0
    last_ms: int = 10**13

    @property
    def is_open(self) -> bool:
        """Whether lines are still written to it."""
        return "-open." in self.name

    @property
    def key(self) -> tuple[str, int]:
        """The same before and after it is finished and compressed."""
        return self.class_name, self.opened_ms

    def is_in(self, classes: Collection[str], since_ms: int, until_ms: int) -> bool:
        """Whether it may have lines of these classes and that time."""
        return self.class_name in classes and self.first_ms <= until_ms and self.last_ms >= since_ms

    @property
    def path(self) -> str:
        """Below the folder of all classes."""
        return f"{self.class_name}/{self.name}"


def segment_of(path: PurePath) -> Segment | None:
    """The segment that a file is, by its name."""
    found = _NAME.fullmatch(path.name)
    if found is None or path.parent.name not in CLASSES:
        return None
    return Segment(path.parent.name, path.name, *(int(part) for part in found.groups() if part))


def segments_of(paths: Iterable[PurePath]) -> list[Segment]:
    """Those that *paths* are; of one that is there twice, as it is just packed, what it became."""
    found = map(segment_of, sorted(paths))
    return list({segment.key: segment for segment in found if segment}.values())


Wanted = Callable[[Segment], bool]


@dataclass
class LogFolder:
    """Segments in a folder of this machine, such as a copy of a collector's."""

    folder: Path

    def update(self, _is_wanted: Wanted) -> list[Segment]:
        """All there are."""
        return segments_of(self.folder.glob("*/*"))

    def local(self, segment: Segment) -> Path | None:
        """Where this machine has *segment*, if at all: an open one as far as it was fetched."""
        end = "open.jsonl" if segment.is_open else "[0-9]*.jsonl*"
        found = self.folder.glob(f"{segment.class_name}/{segment.opened_ms:013d}-{end}")
        return next(filter(segment_of, found), None)
