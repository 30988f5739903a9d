"""The service's Python packages as a folder to copy into its image, made on this machine.

Containers may have neither a network nor the machine's certificates, so nothing is installed inside them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import docker
from packaging.markers import Marker

from infra.cache_folder import cache_folder
from infra.errors import PartMissing
from infra.file_lock import held
from infra.pip_environment import pip_environment
from infra.run_command import run_command

IMAGE_PYTHON = "3.11.2"
"""The oldest Python among the base images: Debian 12's."""

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
_OLDEST_GLIBC_MINOR, _DEBIAN_12_GLIBC_MINOR = 17, 36
_KEPT = 4
_LAST_LINES = 8


def ensure_site(lock: Path, folder: Path | None = None) -> Path:
    """A folder with the packages of *lock*, for Python 3.11 on the engine's kind of machine; made once.

    It lies in *folder*; by default in the user's cache, for every checkout.

    Raises:
        PartMissing: pip could not fetch a wheel, or its hash is not the lock file's.
    """
    machine = _engine_machine()
    requirements = for_image(lock.read_text(encoding="utf-8"), machine)
    digest = hashlib.sha256(f"{machine} {IMAGE_PYTHON}\n{requirements}".encode()).hexdigest()
    sites = folder or cache_folder() / "sites"
    site = sites / digest[:12]
    with held(sites / "lock"):
        if site.is_dir():
            os.utime(site)  # the sites that were used last are kept
        else:
            _install(requirements, machine, site)
            _prune(sites, keep=site)
    return site


def for_image(lock: str, machine: str) -> str:
    """The requirements of *lock* that hold inside the image, their markers resolved.

    pip would resolve the markers for the Python it runs on, and miss what only the image's needs.
    """
    inside = {
        "python_version": IMAGE_PYTHON.rpartition(".")[0],
        "python_full_version": IMAGE_PYTHON,
        "implementation_name": "cpython",
        "implementation_version": IMAGE_PYTHON,
        "platform_python_implementation": "CPython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    kept = []
    for requirement in lock.replace("\\\n", "").splitlines():
        pinned, option, hashes = requirement.partition(" --hash")
        name, _, marker = pinned.partition(";")
        if not marker.strip() or Marker(marker).evaluate(inside):
            kept.append(f"{name.strip()}{option}{hashes}\n")
    return "".join(kept)


def pip_command(requirements: Path, machine: str, target: Path) -> list[str]:
    """The pip command that puts wheels for *machine*, whatever this one is, into *target*."""
    newest_first = range(_DEBIAN_12_GLIBC_MINOR, _OLDEST_GLIBC_MINOR - 1, -1)
    tags = [*(f"manylinux_2_{minor}_{machine}" for minor in newest_first), f"manylinux2014_{machine}"]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"),
        *("--implementation", "cp", "--python-version", IMAGE_PYTHON),
        *(word for tag in tags for word in ("--platform", tag)),
        *("--target", str(target), "-r", str(requirements)),
    ]


@cache
def _engine_machine() -> str:
    """The engine's architecture as wheels name it."""
    architecture = str(docker.from_env().version()["Arch"])
    try:
        return _MACHINES[architecture]
    except KeyError:
        raise PartMissing(
            f"the container engine runs on {architecture}, for which the service's packages have no wheels",
            f"use an engine on one of {', '.join(sorted(set(_MACHINES.values())))}",
        ) from None


def _install(requirements: str, machine: str, site: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".site-", dir=site.parent) as folder:
        staged, resolved = Path(folder, "site"), Path(folder, "requirements.txt")
        resolved.write_text(requirements, encoding="utf-8")
        command, env = pip_command(resolved, machine, staged), pip_environment(sys.executable)
        failure = run_command(command, last_lines=_LAST_LINES, env=env)
        if failure:
            raise PartMissing(
                f"the service's packages could not be had (pip):\n{failure.last}",
                "see that pip reaches its index; if the requirements changed, write the lock file again",
            )
        shutil.rmtree(staged / "bin", ignore_errors=True)  # scripts that name this machine's Python
        staged.rename(site)


def _prune(sites: Path, keep: Path) -> None:
    """Remove all but the few sites that were used last."""
    by_age = sorted(sites.glob("*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in [path for path in by_age if path != keep][_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
