"""Which base image each role uses, decided before anything runs; how it comes to exist and is renewed.

`auto` takes the official image where the engine has it or can pull it, and otherwise one built from Debian
packages. The engine is the memory: what it has is what is used, by whoever deploys to it, until `refresh_all`
makes or pulls a newer one. So a registry that comes and goes makes no new release of unchanged content.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from infra.cache_folder import cache_folder
from infra.errors import PartMissing
from infra.file_lock import held
from infra.images import debian
from infra.images.engine import DockerImages, ImageEngine
from infra.images.recipes import (
    MONITORS,
    RECIPES,
    SERVING,
    Role,
    content_tag,
    dated_tag,
    plain_tag,
    repository,
)

__all__ = [
    "SERVING", "BaseImage", "Mode", "Origin", "Role",
    "age_days", "ensure", "ensure_all", "is_fixed", "refresh", "refresh_all", "resolve",
    "resolve_all", "resolve_monitors",
]  # fmt: skip

_FIXED = re.compile(r"(@|^)sha256:[0-9a-f]{64}$|^runbook/[a-z]+:(\w+-)*[0-9a-f]{7,12}(-\d{8})?$")

_KEPT = 2
"""So many Debian images of a role stay when it is refreshed: a release may go back to the one before."""


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
    """A role's image: `name` is what containers and `FROM` lines say. It says what is in it, too.

    An official image by its digest; one from Debian packages by its recipe and the day on which it was made.
    """

    role: Role
    name: str
    origin: Origin


def resolve(role: Role | str, mode: Mode | str, engine: ImageEngine | None = None) -> BaseImage:
    """The base image of *role*. Instant, but an engine's first one may pull the official image."""
    role, mode, engine = Role(role), Mode(mode), engine or DockerImages()
    made = _debian_images(role, engine)
    if mode is Mode.DEBIAN or (mode is Mode.AUTO and made):
        return BaseImage(role, made[-1] if made else dated_tag(role, _today()), Origin.DEBIAN)
    official = RECIPES[role].official
    if engine.has(official) or engine.pull(official):
        return BaseImage(role, engine.pinned(official), Origin.OFFICIAL)
    if mode is Mode.OFFICIAL:
        return BaseImage(role, official, Origin.OFFICIAL)  # `ensure` says what is missing
    return BaseImage(role, dated_tag(role, _today()), Origin.DEBIAN)


def resolve_monitors(mode: Mode | str, engine: ImageEngine | None = None) -> list[BaseImage]:
    """The images of a stack's monitors; Grafana's where theirs are official: nothing equals that one."""
    monitors = [resolve(role, mode, engine) for role in MONITORS]
    if any(image.origin is Origin.DEBIAN for image in monitors):
        return monitors
    return [*monitors, resolve(Role.GRAFANA, Mode.OFFICIAL, engine)]


def resolve_all(mode: Mode | str, *, has_monitors: bool) -> list[BaseImage]:
    """All images of a stack."""
    return [resolve(role, mode) for role in SERVING] + (resolve_monitors(mode) if has_monitors else [])


def refresh(
    role: Role, mode: Mode, report: Callable[[str], None], engine: DockerImages | None = None
) -> None:
    """Pull the official image of *role* again, or make today's from Debian packages; `resolve` gives it then.

    Raises:
        PartMissing: it could not be pulled or built.
    """
    engine = engine or DockerImages()
    if resolve(role, mode, engine).origin is Origin.OFFICIAL:
        _pull(RECIPES[role].official, engine, report)
        return
    ensure(BaseImage(role, dated_tag(role, _today()), Origin.DEBIAN), report, engine)
    for old in _debian_images(role, engine)[:-_KEPT]:
        engine.remove(old)


def ensure(image: BaseImage, report: Callable[[str], None], engine: DockerImages | None = None) -> None:
    """See that *image* is in the engine: pull or build it where it is not. Each is made by one at a time.

    Raises:
        PartMissing: it could not be pulled or built.
    """
    engine = engine or DockerImages()
    kind = repository(image.role).rpartition("/")[2]
    with held(cache_folder() / "locks" / f"image-{kind}"):
        if engine.has(image.name):
            return
        if image.origin == Origin.OFFICIAL:
            _pull(image.name, engine, report)
        else:
            report(f"building the {kind} image from Debian packages")
            debian.build(engine.client, image.role, image.name, report)
            engine.tag(image.name, plain_tag(image.role))


def ensure_all(images: Sequence[BaseImage], report: Callable[[str], None]) -> None:
    """`ensure` each image, as many at a time as there are cores.

    Raises:
        PartMissing: the first that could not be had, after the others are done.
    """
    _side_by_side([partial(ensure, image, report) for image in images])


def refresh_all(mode: Mode, report: Callable[[str], None], *, has_monitors: bool) -> None:
    """`refresh` all images of a stack, as many at a time as there are cores; see `ensure_all`."""
    roles = (*SERVING, *MONITORS) if has_monitors else SERVING
    _side_by_side([partial(refresh, role, mode, report) for role in roles])


def age_days(image: BaseImage, engine: ImageEngine | None = None) -> int:
    """How many days ago the content of *image*, which the engine has, was put together."""
    created = (engine or DockerImages()).created(image.name)
    return (datetime.datetime.now(datetime.UTC) - created).days


def is_fixed(name: str) -> bool:
    """Whether an image's *name* says what is in it, by digest, id or recipe: it can never mean another."""
    return bool(_FIXED.search(name))


def _side_by_side(parts: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for pending in [pool.submit(part) for part in parts]:
            pending.result()


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _debian_images(role: Role, engine: ImageEngine) -> list[str]:
    """The names of those in the engine that the present recipe made, oldest first.

    One without a day is from before days were in the names.
    """
    plain = content_tag(role)
    return sorted(
        name for name in engine.names(repository(role)) if name == plain or name.startswith(f"{plain}-")
    )


def _pull(name: str, engine: ImageEngine, report: Callable[[str], None]) -> None:
    report(f"pulling {name}")
    if not engine.pull(name):
        raise PartMissing(
            f"{name} is not in the engine and cannot be pulled",
            "give the engine access to the registry, or set the stack's base images to `debian` or `auto`",
        )
