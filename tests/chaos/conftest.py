"""The programs that the chaos tests kill, starve and flood are this machine's own."""

from __future__ import annotations

import os
import shutil

import pytest

from infra import debian_packages
from infra.errors import PartMissing

PACKAGES = {"redis-server": "redis-server", "haproxy": "haproxy"}
"""Program to Debian package."""

SBIN = "/usr/sbin"


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """See that `redis-server` and `haproxy` are there; on Debian as root they are installed."""
    if SBIN not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] += os.pathsep + SBIN  # where Debian has haproxy; not on everybody's path
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        try:
            debian_packages.install(missing, print)
        except PartMissing as error:
            pytest.fail(str(error))
