"""A disk of a few megabytes, which can be filled and emptied."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """Mounted at `folder`."""

    folder: Path

    def fill(self) -> None:
        """Leave no byte free, as somebody else's log file would."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (65_536, 1):
                self._write(ballast.fileno(), b"x" * size)

    def empty(self) -> None:
        """Give back what was filled."""
        (self.folder / "ballast").unlink()

    def _write(self, descriptor: int, block: bytes) -> None:
        try:
            while os.write(descriptor, block):
                continue
        except OSError:
            return


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk that is there during the block. Whatever uses it must have ended by then."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"a small disk cannot be mounted: {done.stderr.strip()}: run the chaos tests as root")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
