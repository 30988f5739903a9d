"""Throws away what no release needs any more: images and reports of old and of refused ones, build contexts.

Only what this stack's own history names: another stack on the engine may be able to roll back to what it has.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import docker
from docker.errors import APIError

from infra.history import MAX_GOOD, History
from infra.manifest import BUILD

CONTEXTS = 3
MAX_REFUSED_REPORTS = 10


def prune(
    history: History,
    refused: Iterable[str],
    reports: Path,
    engine: docker.DockerClient | None = None,
    contexts: Path = BUILD / "context",
) -> list[str]:
    """Remove what is not needed; the releases whose image is gone now.

    *refused*: their ids, oldest first. *reports*: the folder with the stack's evidence, a folder a release.
    """
    refused = list(refused)
    for folder in (*obsolete_contexts(contexts), *obsolete_reports(reports, history, refused)):
        shutil.rmtree(folder, ignore_errors=True)
    images = (engine or docker.from_env()).images
    gone = []
    for release in obsolete(history, refused):
        # Not there any more, or a container of it still is: then it is kept.
        with contextlib.suppress(APIError):
            images.remove(f"runbook/service:{release}")
            gone.append(release)
    return gone


def obsolete(history: History, refused: Iterable[str]) -> list[str]:
    """The releases that cannot be brought back any more; never one that is live or kept.

    One that was rolled back keeps its image as long as a good one would: whoever mends it may want to look.
    """
    known = history.releases
    needed = {history.live, *history.running, *history.good, *known[: MAX_GOOD + 1]}
    return [release for release in dict.fromkeys([*known, *refused]) if release not in needed]


def obsolete_reports(folder: Path, history: History, refused: Sequence[str]) -> list[Path]:
    """The evidence on releases that neither can come back nor were refused lately."""
    kept = set(history.releases) - set(obsolete(history, refused)) | {*refused[-MAX_REFUSED_REPORTS:]}
    return [path for path in folder.glob("r-*") if path.name not in kept]


def obsolete_contexts(folder: Path) -> list[Path]:
    """All but the latest of each kind; each is made anew from the sources when it is needed."""
    found = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    kinds: dict[str, list[Path]] = {}
    for path in found:
        kinds.setdefault(path.name.partition("-")[0], []).append(path)
    return [path for paths in kinds.values() for path in paths[CONTEXTS:]]
