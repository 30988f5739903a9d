"""The machine that figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.errors import BenchError
from benchmarks.programs import REPOSITORY
from benchmarks.report import Machine

PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "redis", "hiredis", "orjson", "aiohttp")
_IN_MEMORY = ("tmpfs", "ramfs")
_SYNCS = 50
_BLOCK = bytes(4096)


def read_machine(folder: Path) -> Machine:
    """The machine, with the disk that *folder* lies on.

    Raises:
        BenchError: it lies in memory, where a sync costs nothing.
    """
    file_system = file_system_of(folder)
    if file_system in _IN_MEMORY:
        raise BenchError(
            f"{folder} is on {file_system}: syncing would cost nothing", "name a folder on a disk: --folder"
        )
    return Machine(
        cores=os.cpu_count() or 1,
        cpu=_cpu_model(),
        memory_mb=round(psutil.virtual_memory().total / 1e6),
        kernel=platform.release(),
        file_system=file_system,
        sync_ms=round(_sync_ms(folder), 3),
        versions=_versions(),
        commit=_commit(),
    )


def file_system_of(folder: Path) -> str:
    """The type of the file system that *folder* lies on."""
    mounts = {Path(mount.mountpoint): str(mount.fstype) for mount in psutil.disk_partitions(all=True)}
    above = (parent for parent in (folder.resolve(), *folder.resolve().parents) if parent in mounts)
    return mounts[next(above)]


def _sync_ms(folder: Path) -> float:
    times_s = []
    file = folder / "sync-probe"
    with file.open("wb", buffering=0) as probe:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            probe.write(_BLOCK)
            os.fdatasync(probe.fileno())
            times_s.append(time.perf_counter() - began)
    file.unlink()
    return statistics.median(times_s) * 1000


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    redis_server = _said("redis-server", "--version").partition("v=")[2].partition(" ")[0]
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "redis-server": redis_server, **packages}


def _commit() -> str:
    """The commit that is checked out, marked where the tree has changes; or that there is none."""
    commit = _said("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit} with changes" if _said("git", "status", "--porcelain", "-uno") else commit


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip()
