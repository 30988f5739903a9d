"""A release's identity: a hash, known before anything runs, of all that it consists of."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.stack_config import Layout

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / ".build"
_SHAPED_BY = (REPOSITORY / "infra/components/release.py", REPOSITORY / "infra/components/hardening.py")


@dataclass(frozen=True)
class Shape:
    """How many containers a release has and how large they are (MiB)."""

    web_replicas: int
    worker_replicas: int
    web_memory_mb: int
    worker_memory_mb: int

    @classmethod
    def of(cls, layout: Layout) -> Shape:
        """The shape that the stack's configuration asks for."""
        return cls(layout.web_replicas, layout.worker_replicas, layout.web_memory_mb, layout.worker_memory_mb)


@dataclass(frozen=True)
class Manifest:
    """All that is needed to run a release again; contains no secret.

    `secrets` maps each secret's name to the keyed hash of the value that the release was gated with.
    `migrations` are those that it needs: `key`, and why releases from before it cannot come back, where so.
    """

    id: str
    image: str
    env: dict[str, str]
    secrets: dict[str, str]
    shape: Shape
    migrations: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The manifest as the ledger keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Manifest:
        """The manifest that `as_dict` gave."""
        return cls(**{**kept, "shape": Shape(**{name: int(n) for name, n in kept["shape"].items()})})


@dataclass(frozen=True)
class Secrets:
    """The values in force now, those that were (by keyed hash), and the key of the hash."""

    current: dict[str, str]
    retired: dict[str, str]
    key: str

    def digest(self, value: str) -> str:
        """A keyed hash: the same for the same value, and telling nothing about it."""
        return hmac.new(self.key.encode(), value.encode(), hashlib.sha256).hexdigest()[:24]

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
    shape: Shape,
    migrations: list[dict[str, str]],
) -> Manifest:
    """The manifest of the release made of exactly these parts, and of the code that shapes its containers."""
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _SHAPED_BY]
    keys = [migration["key"] for migration in migrations]
    parts = json.dumps([context.name, base_image, env, secrets, asdict(shape), code, keys], sort_keys=True)
    release = "r-" + hashlib.sha256(parts.encode()).hexdigest()[:7]
    return Manifest(release, f"runbook/service:{release}", env, secrets, shape, migrations)


def snapshot(package: str, site: Path) -> Path:
    """A build context: a copy of *package* as it is now; its name holds the hashes of it and of its packages.

    The copy is hashed, not the original: an edit during an update cannot get into another id's image.
    """
    staged = _staged(package)
    shutil.copytree(
        REPOSITORY / package, staged / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.move(staged / package / "Dockerfile", staged / "Dockerfile")
    return _kept(staged, f"{package}-{hash_tree(staged)[:12]}-{site.name}")


def packages_context(site: Path) -> Path:
    """The build context of the image with the packages in *site*, by hard links: it costs no disk space."""
    dockerfile = REPOSITORY / "infra/images/packages.Dockerfile"
    name = f"packages-{hashlib.sha256(dockerfile.read_bytes()).hexdigest()[:12]}-{site.name}"
    if (BUILD / "context" / name).is_dir():
        return BUILD / "context" / name
    staged = _staged("packages")
    shutil.copytree(site, staged / "site", copy_function=os.link)
    shutil.copy2(dockerfile, staged / "Dockerfile")
    return _kept(staged, name)


def _staged(name: str) -> Path:
    folder = BUILD / "context" / f".{name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _kept(staged: Path, name: str) -> Path:
    """The context *name*: made of *staged*, unless it is there."""
    context = staged.with_name(name)
    if context.is_dir():
        shutil.rmtree(staged)
    else:
        staged.rename(context)
    return context


def hash_tree(root: Path) -> str:
    """A hash over the names and bytes of all files below *root*."""
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
