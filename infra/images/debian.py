"""A container image out of Debian packages: mmdebstrap makes the file system, the engine imports it.

mmdebstrap reads the machine's own apt sources, so this works wherever apt does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import docker

from infra import debian_packages
from infra.errors import PartMissing
from infra.images.recipes import RECIPES, SUITE, Recipe, Role
from infra.run_command import run_command

_LAST_LINES = 12
_LONGEST_S = 900

_installing = threading.Lock()
"""Images are built side by side; one of them installs what all need."""


def build(client: docker.DockerClient, role: Role, name: str, report: Callable[[str], None]) -> None:
    """Make the image of *role* in the engine, under *name*. Takes about 25 s on two cores.

    Raises:
        PartMissing: mmdebstrap is missing or failed; the message holds its last lines.
    """
    with _installing:
        if shutil.which("mmdebstrap") is None:
            debian_packages.install(["mmdebstrap", "debian-archive-keyring"], report)
    recipe = RECIPES[role]
    with tempfile.TemporaryDirectory(prefix="runbook-image-", dir=_workshop()) as folder:
        archive = Path(folder, "root.tar")
        _make_root(recipe, role, archive)
        _import(client, recipe, name, archive)


def _workshop() -> str:
    """A folder for temporary files that are programs and devices too: mmdebstrap runs what it unpacks.

    Raises:
        PartMissing: all that are known are mounted `noexec` or `nodev`.
    """
    known = [tempfile.gettempdir(), "/var/tmp", str(Path.home())]  # noqa: S108 - a place, not a file's name
    for folder in known:
        if os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & (os.ST_NOEXEC | os.ST_NODEV):
            return folder
    raise PartMissing(
        f"no base image can be made: {', '.join(known)} are mounted noexec or nodev, or cannot be written",
        "set TMPDIR to a folder in which programs can be run",
    )


def _make_root(recipe: Recipe, role: Role, archive: Path) -> None:
    failure = run_command(
        recipe.command(archive),
        last_lines=_LAST_LINES,
        env={**os.environ, "TMPDIR": str(archive.parent)},
        timeout_s=_LONGEST_S,
    )
    if failure:
        raise PartMissing(
            f"the {role} image could not be built (mmdebstrap, exit {failure.code}):\n{failure.last}",
            f"see that apt can reach Debian {SUITE}, or give the engine access to a registry",
        )


def _import(client: docker.DockerClient, recipe: Recipe, name: str, archive: Path) -> None:
    repository, tag = name.split(":")
    client.api.import_image(src=str(archive), repository=repository, tag=tag, changes=list(recipe.changes))
