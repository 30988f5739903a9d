"""Which base image each role uses, decided before anything runs and kept; and how it comes to exist.

`auto` takes the official image where the engine has it or can pull it, and otherwise one built from Debian
packages. The choice is remembered for each engine and holds as long as the image is there, so that a registry
that comes and goes does not make a new release of unchanged content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from infra.cache_folder import cache_folder
from infra.errors import PartMissing
from infra.file_lock import held
from infra.images import debian
from infra.images.engine import DockerImages, ImageEngine
from infra.images.recipes import RECIPES, Role, content_tag, plain_tag

__all__ = ["BaseImage", "Choices", "Mode", "Origin", "Role", "ensure", "ensure_all", "resolve"]


class Mode(StrEnum):
    """How base images are chosen (stack config)."""

    AUTO = "auto"
    OFFICIAL = "official"
    DEBIAN = "debian"


class Origin(StrEnum):
    """Where a base image comes from."""

    OFFICIAL = "official"
    DEBIAN = "debian"


@dataclass(frozen=True)
class BaseImage:
    """A role's image: `name` is what containers and `FROM` lines say."""

    role: Role
    name: str
    origin: Origin


@dataclass(frozen=True)
class Choices:
    """The choices made so far, as JSON in `file`: engine → role → `{"name", "origin", "on"}`."""

    file: Path = field(default_factory=lambda: cache_folder() / "base-images.json")
    today: Callable[[], date] = date.today

    def recall(self, role: Role, engine: ImageEngine) -> BaseImage | None:
        """The choice of *role* that still holds: made today, or its image is in the engine."""
        made = self._read().get(engine.identity(), {}).get(role)
        if made is None:
            return None
        if made["origin"] == Origin.DEBIAN:
            image, witness = _debian(role), plain_tag(role)
        else:
            image = BaseImage(role, made["name"], Origin.OFFICIAL)
            witness = image.name
        return image if made["on"] == self.today().isoformat() or engine.has(witness) else None

    def remember(self, image: BaseImage, engine: ImageEngine) -> None:
        """Keep *image* as its role's choice for this engine."""
        with held(self.file.with_suffix(".lock")):
            made = self._read()
            entry = {"name": image.name, "origin": str(image.origin), "on": self.today().isoformat()}
            made.setdefault(engine.identity(), {})[image.role] = entry
            fresh = self.file.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(made, indent=1), encoding="utf-8")
            fresh.replace(self.file)

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        try:
            made: dict[str, dict[str, dict[str, str]]] = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # lost or damaged: the choice is simply made again
            return {}
        return made


def resolve(
    role: Role | str, mode: Mode | str, engine: ImageEngine | None = None, choices: Choices | None = None
) -> BaseImage:
    """The base image of *role*. Instant, but an engine's first `auto` may pull the official image."""
    role, mode = Role(role), Mode(mode)
    if mode is Mode.OFFICIAL:
        return BaseImage(role, RECIPES[role].official, Origin.OFFICIAL)
    if mode is Mode.DEBIAN:
        return _debian(role)
    engine, choices = engine or DockerImages(), choices or Choices()
    kept = choices.recall(role, engine)
    if kept is not None:
        return kept
    image = _choose(role, engine)
    choices.remember(image, engine)
    return image


def ensure(image: BaseImage, report: Callable[[str], None], engine: DockerImages | None = None) -> None:
    """See that *image* is in the engine: pull or build it where it is not. One at a time for each role.

    Raises:
        PartMissing: it could not be pulled or built.
    """
    engine = engine or DockerImages()
    with held(cache_folder() / "locks" / f"image-{image.role}"):
        if engine.has(image.name):
            return
        if image.origin == Origin.OFFICIAL:
            _pull(image, engine, report)
        else:
            report(f"building the {image.role} image from Debian packages")
            debian.build(engine.client, image.role, report)
            engine.tag(image.name, plain_tag(image.role))


def ensure_all(images: Sequence[BaseImage], report: Callable[[str], None]) -> None:
    """`ensure` each image, as many at a time as there are cores.

    Raises:
        PartMissing: the first that could not be had, after the others are done.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for pending in [pool.submit(ensure, image, report) for image in images]:
            pending.result()


def _debian(role: Role) -> BaseImage:
    return BaseImage(role, content_tag(role), Origin.DEBIAN)


def _choose(role: Role, engine: ImageEngine) -> BaseImage:
    official = RECIPES[role].official
    if engine.has(official) or engine.pull(official):
        return BaseImage(role, engine.pinned(official), Origin.OFFICIAL)
    return _debian(role)


def _pull(image: BaseImage, engine: ImageEngine, report: Callable[[str], None]) -> None:
    report(f"pulling {image.name}")
    if not engine.pull(image.name):
        raise PartMissing(
            f"{image.name} is not in the engine and cannot be pulled",
            "give the engine access to the registry, or set the stack's base images to `debian` or `auto`",
        )
