"""A release's identity: a hash, known before anything runs, of all that it consists of."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from infra.checkout import BUILD as BUILD
from infra.checkout import REPOSITORY as REPOSITORY
from infra.stack_settings import StackSettings

MANIFEST_LABEL = "runbook.manifest"
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
_MODES = f"{_FOLDER_MODE:o} {_FILE_MODE:o}\0".encode()
"""Of all in a build context, whatever the umask was under which it was checked out or installed: images keep
the modes, and run as a user who is none of ours. They stand in each context's hash."""
_SHAPED_BY = (REPOSITORY / "infra/components/release.py", REPOSITORY / "infra/components/hardening.py")


class Sizing(BaseModel):
    """How many containers a release has and how large they are (MiB)."""

    model_config = ConfigDict(frozen=True)

    web_replicas: int
    worker_replicas: int
    web_memory_mb: int
    worker_memory_mb: int

    @classmethod
    def of(cls, layout: StackSettings) -> Self:
        """The sizing that the stack's configuration asks for."""
        return cls(**{name: getattr(layout, name) for name in cls.model_fields})


class Needed(BaseModel):
    """A migration that a release needs: `key`; why releases from before it cannot come back, if so."""

    model_config = ConfigDict(frozen=True)

    key: str
    irreversible: str = ""


class Manifest(BaseModel):
    """All that is needed to run a release again; contains no secret.

    `secrets` maps each secret's name to the keyed hash of the value that the release was gated with. It is in
    the release's record, and on each of its containers as the label `MANIFEST_LABEL`: what runs on the engine
    tells what it is when the state cannot be asked.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    image: str
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}
    sizing: Sizing = Field(validation_alias=AliasChoices("sizing", "shape"))
    migrations: list[Needed] = []
    logs: dict[str, Any] = {}
    """Where its containers' lines go, as arguments of a container; nothing: the engine's own files."""


@dataclass(frozen=True)
class Secrets:
    """The values in force now, those that were (by keyed hash), and the key of the hash."""

    current: dict[str, str]
    retired: dict[str, str]
    key: str

    def digest(self, value: str) -> str:
        """A keyed hash: the same for the same value, and telling nothing about it.

        Also of bytes that are no UTF-8, which an older version kept: else they could not be replaced.
        """
        key, hashed = (text.encode(errors="surrogateescape") for text in (self.key, value))
        return hmac.new(key, hashed, hashlib.sha256).hexdigest()[:24]

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """The digest of each current secret in *names* that is set."""
        return {name: self.digest(self.current[name]) for name in sorted(names) if self.current.get(name)}

    def values(self, wanted: dict[str, str]) -> dict[str, str]:
        """The values behind the digests of a manifest, current or retired.

        Raises:
            KeyError: the name of the first secret whose value is no longer known.
        """
        known = self.retired | {self.digest(value): value for value in self.current.values()}
        missing = next((name for name, digest in wanted.items() if digest not in known), None)
        if missing is not None:
            raise KeyError(missing)
        return {name: known[digest] for name, digest in wanted.items()}


def describe(
    context: Path,
    base_image: str,
    env: dict[str, str],
    secrets: dict[str, str],
    sizing: Sizing,
    migrations: list[Needed],
    logs: dict[str, Any],
) -> Manifest:
    """The manifest of the release made of exactly these parts, and of the code that shapes its containers."""
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _SHAPED_BY]
    keys = [migration.key for migration in migrations]
    parts = [context.name, base_image, env, secrets, sizing.model_dump(), code, keys, logs]
    release = "r-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:7]
    image = f"runbook/service:{release}"
    return Manifest(
        id=release, image=image, env=env, secrets=secrets, sizing=sizing, migrations=migrations, logs=logs
    )


def snapshot(package: str, site: Path) -> Path:
    """A build context: a copy of *package* as it is now; its name holds the hashes of it and of its packages.

    The copy is hashed, not the original: an edit during an update cannot get into another id's image.
    """
    staged = _staged(package)
    shutil.copytree(
        REPOSITORY / package, staged / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.move(staged / package / "Dockerfile", staged / "Dockerfile")
    _set_modes(staged)
    return _kept(staged, f"{package}-{hash_tree(staged)[:12]}-{site.name}")


def packages_context(site: Path) -> Path:
    """The build context of the image with the packages in *site*, by hard links: it costs no disk space."""
    dockerfile = REPOSITORY / "infra/images/packages.Dockerfile"
    name = f"packages-{hashlib.sha256(_MODES + dockerfile.read_bytes()).hexdigest()[:12]}-{site.name}"
    if (BUILD / "context" / name).is_dir():
        return BUILD / "context" / name
    staged = _staged("packages")
    shutil.copytree(site, staged / "site", copy_function=os.link)
    shutil.copy2(dockerfile, staged / "Dockerfile")
    _set_modes(staged)
    return _kept(staged, name)


def _staged(name: str) -> Path:
    folder = BUILD / "context" / f".{name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _set_modes(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)


def _kept(staged: Path, name: str) -> Path:
    """The context *name*: made of *staged*, unless it is there."""
    context = staged.with_name(name)
    if context.is_dir():
        shutil.rmtree(staged)
    else:
        staged.rename(context)
    return context


def hash_tree(root: Path) -> str:
    """A hash over the names and bytes of all files below *root*, and the modes that they get in an image."""
    digest = hashlib.sha256(_MODES)
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
