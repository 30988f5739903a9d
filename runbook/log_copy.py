"""What this machine has of a stack's log: fetched from its collector as it is asked for, and kept.

Finished segments never change: each is fetched once, and goes when it is gone in the collector. Of an open
one only what is new is fetched. All comes by the engine's API: the collector may be stopped, or elsewhere.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import requests
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from infra.checkout import BUILD
from infra.containers import ContainerExec
from infra.errors import Refused, printable
from infra.file_lock import held
from infra.stack_name import bare_name
from runbook.console import say
from runbook.errors import RunbookError
from runbook.log_segments import LogFolder, Segment, Wanted, segment_of, segments_of
from runbook.monitor_containers import monitor_container

FOLDER = "/var/tmp"  # noqa: S108 - in the collector's container, a volume of its own
_TRIES = 3
_CHUNK = 256 * 1024
_POLL_INTERVAL_S = 1.0


def folder_of(stack: str) -> Path:
    """Where this machine keeps what it fetched of a stack's log."""
    return BUILD / "logs" / bare_name(stack)


class LogCopy(LogFolder):
    """What this machine has of a stack's log."""

    def __init__(self, stack: str) -> None:
        super().__init__(folder_of(stack))
        self._stack = stack
        self._seen: tuple[str, list[Segment]] = "", []  # of a collector that is stopped: since when, and what

    def update(self, is_wanted: Wanted) -> list[Segment]:
        """Fetch what is wanted and not here yet; all segments that the collector has.

        Raises:
            RunbookError, Refused: there is no collector, or it cannot be asked.
        """
        container = monitor_container(self._stack, "logs")
        ended = "" if container.status == "running" else str(container.attrs["State"]["FinishedAt"])
        if ended and ended == self._seen[0]:
            return self._seen[1]
        fetch = self._fetch if container.status == "running" else self._fetch_from_stopped
        with held(self.folder / "lock"):
            for _ in range(_TRIES):
                try:
                    there = fetch(container, is_wanted)
                    break
                except _Moved:
                    continue  # finished, compressed or pruned while we looked
            else:
                raise RunbookError(f"the segments in {container.name} change all the time", "run it again")
            known = {(segment.key, segment.is_open) for segment in there}
            for kept in segments_of(self.folder.glob("*/*")):
                if (kept.key, kept.is_open) not in known:
                    (self.folder / kept.path).unlink(missing_ok=True)
        self._seen = ended, there
        return there

    def _fetch(self, container: Container, is_wanted: Wanted) -> list[Segment]:
        run = ContainerExec(str(container.name)).run
        code, output = run(["sh", "-c", f"echo {FOLDER}/*/*"])  # no error where there are none yet
        if code != 0:
            why = printable(output.strip()) or f"`sh` ended with {code}"
            raise RunbookError(
                f"the segments in {container.name} cannot be listed: {why}",
                f"`docker logs {container.name}` may say more; what was fetched lies in {self.folder}",
            )
        there = segments_of(map(PurePosixPath, output.split()))
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
        paths = []
        for path, content in _files_of(container, FOLDER):
            paths.append(path)
            if (segment := segment_of(path)) and is_wanted(segment):
                _keep(content, self._target(segment))
        return segments_of(paths)

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


def _files_of(container: Container, path: str) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The files at or below *path* in a container that need not run."""
    try:
        chunks, _ = container.get_archive(path, chunk_size=_CHUNK)
    except NotFound:
        raise _Moved from None
    with tempfile.TemporaryFile(dir=BUILD) as file:
        file.writelines(chunks)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for member in archive:
                if (content := archive.extractfile(member)) is not None:
                    yield PurePosixPath(member.name), content


def _keep(content: IO[bytes], target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with part.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)
    part.replace(target)
