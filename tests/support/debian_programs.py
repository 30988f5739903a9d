"""Programs that tests run beside Python's; on Debian as root they are installed."""

from __future__ import annotations

import os
import shutil

import pytest

from infra import debian_packages
from infra.errors import PartMissing

SBIN = "/usr/sbin"


def need(*programs: str) -> None:
    """See that *programs*, each named as its package is, can be started, or fail the test."""
    if SBIN not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] += os.pathsep + SBIN  # where Debian has haproxy; not on everybody's path
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        try:
            debian_packages.install(missing, print)
        except PartMissing as error:
            pytest.fail(str(error))
