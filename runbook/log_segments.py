"""A stack's log segments on this machine: fetched from its collector as they are asked for, and kept.

Finished segments never change: each is fetched once, and goes when it is gone in the collector. Of an open
one only what is new is fetched. All comes by the engine's API: the collector may be stopped, or elsewhere.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import docker
import requests
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from infra.checkout import BUILD
from infra.containers import ContainerExec
from infra.errors import Refused, printable
from infra.file_lock import held
from infra.stack_name import bare_name, prefix_of
from runbook.console import say
from runbook.errors import RunbookError
from runbook.log_query import CLASSES

FOLDER = "/var/tmp"  # noqa: S108 - in the collector's container, a volume of its own
_NAME = re.compile(r"(\d{13})-(?:open|(\d{13})-(\d{13}))\.jsonl(?:\.gz)?")
_TRIES = 3
_CHUNK = 256 * 1024
_POLL_INTERVAL_S = 1.0


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
        return not self.first_ms

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


def segment_of(class_name: str, name: str) -> Segment | None:
    """The segment that a file is, by its name."""
    found = _NAME.fullmatch(name)
    if found is None or class_name not in CLASSES:
        return None
    return Segment(class_name, name, *(int(part) for part in found.groups() if part))


def segments_in(folder: Path) -> list[Segment]:
    """The segments in a folder of this machine; of one that is there twice, what it became."""
    found = [segment_of(path.parent.name, path.name) for path in sorted(folder.glob("*/*.jsonl*"))]
    return list({segment.key: segment for segment in found if segment}.values())


Wanted = Callable[[Segment], bool]


@dataclass
class LogFolder:
    """Segments in a folder of this machine, such as a copy of a collector's."""

    folder: Path

    def update(self, _is_wanted: Wanted) -> list[Segment]:
        """All there are."""
        return segments_in(self.folder)

    def local(self, segment: Segment) -> Path | None:
        """Where this machine has *segment*, if at all: an open one as far as it was fetched."""
        end = "open.jsonl" if segment.is_open else "[0-9]*.jsonl*"
        found = self.folder.glob(f"{segment.class_name}/{segment.opened_ms:013d}-{end}")
        return next((path for path in found if segment_of(segment.class_name, path.name)), None)


def folder_of(stack: str) -> Path:
    """Where this machine keeps what it fetched of a stack's log."""
    return BUILD / "logs" / bare_name(stack)


class LogCopy(LogFolder):
    """What this machine has of a stack's log."""

    def __init__(self, stack: str) -> None:
        super().__init__(folder_of(stack))
        self._stack, self._name = stack, f"{prefix_of(stack)}-logs"

    def update(self, is_wanted: Wanted) -> list[Segment]:
        """Fetch what is wanted and not here yet; all segments that the collector has.

        Raises:
            RunbookError, Refused: there is no collector, or it cannot be asked.
        """
        container = self._container()
        fetch = self._fetch if container.status == "running" else self._fetch_from_stopped
        with held(self.folder / "lock"):
            for _ in range(_TRIES):
                try:
                    there = fetch(container, is_wanted)
                    break
                except _Moved:
                    continue  # finished, compressed or pruned while we looked
            else:
                raise RunbookError(f"the segments in {self._name} change all the time", "run it again")
            there = list({segment.key: segment for segment in there}.values())  # one may be just packed
            known = {(segment.key, segment.is_open) for segment in there}
            for kept in segments_in(self.folder):
                if (kept.key, kept.is_open) not in known:
                    (self.folder / kept.path).unlink(missing_ok=True)
        return there

    def _container(self) -> Container:
        try:
            return docker.from_env().containers.get(self._name)
        except NotFound:
            raise _no_collector(f"there is no container {self._name}", self._stack) from None

    def _fetch(self, container: Container, is_wanted: Wanted) -> list[Segment]:
        run = ContainerExec(self._name).run
        code, output = run(["ls", "-R", FOLDER])  # a class may have no folder yet
        there = list(_listed(output))
        if code != 0 and not there:
            why = printable(output.strip()) or f"`ls` ended with {code}"
            raise RunbookError(
                f"the segments in {self._name} cannot be listed: {why}",
                f"`docker logs {self._name}` may say more; what was fetched lies in {self.folder}",
            )
        for segment in filter(is_wanted, there):
            if segment.is_open:
                target = self._target(segment)
                size = target.stat().st_size if target.exists() else 0
                code, text = run(["tail", "-c", f"+{size + 1}", f"{FOLDER}/{segment.path}"])
                if code != 0:
                    raise _Moved
                with target.open("ab") as file:
                    file.write(text[: text.rfind("\n") + 1].encode())  # a line may be half written
            elif self.local(segment) is None:
                for _, content in _files_of(container, f"{FOLDER}/{segment.path}"):
                    _keep(content, self._target(segment))
        return there

    def _fetch_from_stopped(self, container: Container, is_wanted: Wanted) -> list[Segment]:
        """No command runs in it: all its files come, and what is not wanted is passed over."""
        there = []
        for path, content in _files_of(container, FOLDER):
            if (segment := segment_of(path.parent.name, path.name)) is not None:
                there.append(segment)
                if is_wanted(segment):
                    _keep(content, self._target(segment))
        return there

    def _target(self, segment: Segment) -> Path:
        target = self.folder / segment.path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def new_lines(source: LogFolder, classes: Collection[str], there: Iterable[Segment]) -> Iterator[Path]:
    """Each second, where there are any, a file with the lines that came since *there* was fetched.

    A collector that cannot be asked is waited for, and said once.
    """
    ends: dict[tuple[str, int], int | None] = {
        each.key: path.stat().st_size if each.is_open and (path := source.local(each)) else None
        for each in there
    }
    is_away = False

    def is_new(segment: Segment) -> bool:
        return segment.class_name in classes and ends.get(segment.key, 0) is not None

    with tempfile.TemporaryDirectory() as folder:
        while True:
            time.sleep(_POLL_INTERVAL_S)
            try:
                there = source.update(is_new)
            except (Refused, DockerException, requests.RequestException) as error:
                if not is_away:
                    say(f"waiting for the collector: {printable(error)}")
                is_away = True
                continue
            is_away = False
            with (file := Path(folder, "new.jsonl")).open("wb") as new:
                for segment in filter(is_new, there):
                    if (path := source.local(segment)) is not None:
                        end = _copy_from(path, ends.get(segment.key) or 0, new)
                        ends[segment.key] = end if segment.is_open else None
            if file.stat().st_size:
                yield file


def _copy_from(path: Path, offset: int, target: IO[bytes]) -> int:
    """Append the lines of a segment from *offset* on to *target*; the offset of its end."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source:
        source.seek(offset)
        shutil.copyfileobj(source, target, _CHUNK)
        return source.tell()


class _Moved(Exception):
    """A file is not there any more by the name that it was listed by."""


class _Chunks(io.RawIOBase):
    """A download as a file that can be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def _files_of(container: Container, path: str) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The files at or below *path* in a container that need not run, each to be read before the next."""
    try:
        chunks, _ = container.get_archive(path, chunk_size=_CHUNK)
    except NotFound:
        raise _Moved from None
    with tarfile.open(fileobj=io.BufferedReader(_Chunks(chunks)), mode="r|") as archive:
        for member in archive:
            if (content := archive.extractfile(member)) is not None:
                yield PurePosixPath(member.name), content


def _keep(content: IO[bytes], target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with part.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)
    part.replace(target)


def _listed(output: str) -> Iterator[Segment]:
    """What `ls` says of several folders."""
    class_name = ""
    for line in output.splitlines():
        if line.endswith(":"):
            class_name = line[:-1].rpartition("/")[2]
        elif (segment := segment_of(class_name, line)) is not None:
            yield segment


def _no_collector(message: str, stack: str) -> RunbookError:
    setting = f"bin/pulumi config set --path runbook:layout.monitoring true --stack {stack}"
    return RunbookError(message, f"`{setting}`, then `bin/runbook up`")
