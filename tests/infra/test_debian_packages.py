"""Packages are installed by apt-get, which another apt on the machine may keep waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import debian_packages
from infra.debian_packages import install
from infra.errors import PartMissing

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 13702 (apt-get)"

AptGet = Callable[[str], None]


@pytest.fixture
def apt_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AptGet:
    """Put an apt-get that runs a line of shell in front of the machine's; `$count` is its number of runs."""
    runs = tmp_path / "runs"

    def put(script: str) -> None:
        program = tmp_path / "apt-get"
        program.write_text(f"#!/bin/sh\necho $* >> {runs}\ncount=$(wc -l < {runs})\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian_packages, "POLL_INTERVAL_S", 0.01)
    return put


def test_another_apt_is_waited_for(apt_get: AptGet, tmp_path: Path) -> None:
    """A lock that apt does not wait for itself is tried until it is free; it is said once."""
    apt_get(f'[ $count -ge 4 ] || {{ echo "{LOCKED}" >&2; exit 100; }}')
    said: list[str] = []
    install(["haproxy"], said.append)
    assert said == ["installing haproxy (apt-get)", "waiting for another apt to end"]
    runs = (tmp_path / "runs").read_text().splitlines()
    assert [run.split()[3] for run in runs] == ["update"] * 4 + ["install"]


def test_an_apt_that_never_ends_is_given_up(apt_get: AptGet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the lock and who holds it."""
    apt_get(f'echo "{LOCKED}"; exit 100')
    monkeypatch.setattr(debian_packages, "WAIT_S", 0.1)
    with pytest.raises(PartMissing, match="held by process 13702"):
        install(["haproxy"], print)


def test_what_apt_cannot_do_is_not_repeated(apt_get: AptGet, tmp_path: Path) -> None:
    """Only a lock passes by itself."""
    apt_get('echo "E: Unable to locate package"; exit 100')
    with pytest.raises(PartMissing, match="Unable to locate package"):
        install(["haproxi"], print)
    assert len((tmp_path / "runs").read_text().splitlines()) == 1
