"""Where the Debian images are made: in a folder in which programs can be run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.errors import PartMissing
from infra.images import debian
from infra.images.recipes import RECIPES, Role

FAKE_MMDEBSTRAP = '#!/bin/sh\nfor last; do :; done\necho "$TMPDIR" > "$last"\n'


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder for temporary files, and a home folder."""
    tmp, home = tmp_path / "tmp", tmp_path / "home"
    for folder in (tmp, home):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp))
    monkeypatch.setenv("HOME", str(home))
    return tmp, home


def mount(monkeypatch: pytest.MonkeyPatch, flags: dict[str, int]) -> None:
    """Let the file systems of these folders be mounted with these flags, all others without."""
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=flags.get(folder, 0)))


@pytest.mark.parametrize("flag", [os.ST_NOEXEC, os.ST_NODEV | os.ST_NOSUID])
def test_a_folder_where_nothing_can_be_run_is_passed_over(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    """As `/tmp` is on many a hardened machine."""
    tmp, home = places
    mount(monkeypatch, {str(tmp): flag, "/var/tmp": flag})
    assert debian._workshop() == str(home)
    mount(monkeypatch, {})
    assert debian._workshop() == str(tmp)


def test_nowhere_to_make_one_is_said(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folders, why, and what to set."""
    tmp, home = places
    mount(monkeypatch, dict.fromkeys((str(tmp), "/var/tmp", str(home)), os.ST_NOEXEC))
    with pytest.raises(PartMissing, match=f"{tmp}, /var/tmp, {home} are mounted noexec") as refusal:
        debian._workshop()
    assert "TMPDIR" in refusal.value.hint


def test_mmdebstrap_works_beside_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it would unpack by itself nothing may be run."""
    program = tmp_path / "mmdebstrap"
    program.write_text(FAKE_MMDEBSTRAP)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", "/mounted/noexec")
    debian._make_root(RECIPES[Role.REDIS], Role.REDIS, tmp_path / "root.tar")
    assert (tmp_path / "root.tar").read_text() == f"{tmp_path}\n"
