"""A container image out of Debian packages: mmdebstrap makes the file system, the engine imports it.

mmdebstrap reads the machine's own apt sources, so this works wherever apt does.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import docker

from infra import debian_packages
from infra.errors import PartMissing
from infra.images.recipes import RECIPES, SUITE, Recipe, Role, content_tag
from infra.quoted_command import failure_of

_LAST_LINES = 12
_LONGEST_S = 900

_installing = threading.Lock()
"""Images are built side by side; one of them installs what all need."""


def build(client: docker.DockerClient, role: Role, report: Callable[[str], None]) -> None:
    """Make the image `content_tag(role)` in the engine. Takes about 25 s on two cores.

    Raises:
        PartMissing: mmdebstrap is missing or failed; the message holds its last lines.
    """
    with _installing:
        if shutil.which("mmdebstrap") is None:
            debian_packages.install(["mmdebstrap", "debian-archive-keyring"], report)
    recipe = RECIPES[role]
    with tempfile.TemporaryDirectory(prefix="runbook-image-") as folder:
        archive = Path(folder, "root.tar")
        _make_root(recipe, role, archive)
        _import(client, recipe, role, archive)


def _make_root(recipe: Recipe, role: Role, archive: Path) -> None:
    failure = failure_of(recipe.command(archive), last_lines=_LAST_LINES, timeout_s=_LONGEST_S)
    if failure:
        raise PartMissing(
            f"the {role} image could not be built (mmdebstrap, exit {failure.code}):\n{failure.last}",
            f"see that apt can reach Debian {SUITE}, or give the engine access to a registry",
        )


def _import(client: docker.DockerClient, recipe: Recipe, role: Role, archive: Path) -> None:
    repository, tag = content_tag(role).split(":")
    client.api.import_image(src=str(archive), repository=repository, tag=tag, changes=list(recipe.changes))
