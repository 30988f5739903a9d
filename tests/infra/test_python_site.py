import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from infra import python_site
from infra.errors import PartMissing
from infra.python_site import ensure_site, for_image, pip_command

SERVICE_LOCK = Path(__file__).resolve().parents[2] / "service" / "requirements.lock"
NEVER_THERE = "no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests ask no engine what machine it is."""
    monkeypatch.setattr(python_site, "_engine_machine", lambda: "x86_64")


@pytest.mark.parametrize(
    ("marker", "kept"),
    [
        ("python_full_version < '3.11.3'", True),
        ("python_full_version >= '3.12'", False),
        ("sys_platform == 'win32'", False),
        ("platform_machine == 'aarch64'", False),
        ("platform_python_implementation == 'CPython'", True),
    ],
)
def test_markers_are_resolved_for_the_image(marker: str, kept: bool) -> None:
    """A requirement holds if the image's Python needs it, whatever Python this is."""
    lock = f"one==1.0 ; {marker} \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    expected = "one==1.0 --hash=sha256:aa --hash=sha256:bb" if kept else ""
    assert " ".join(for_image(lock, "x86_64").split()) == expected


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels_are_those_of_the_engine(machine: str) -> None:
    """Only wheels for the engine's machine and a glibc that the images have are allowed."""
    command = pip_command(Path("lock"), machine, Path("site"))
    tags = [after for word, after in pairwise(command) if word == "--platform"]
    assert all(tag.endswith(machine) for tag in tags)
    assert f"manylinux_2_17_{machine}" in tags
    assert f"manylinux_2_37_{machine}" not in tags


def test_a_site_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call for one lock file runs no pip."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("")
    site = ensure_site(lock, tmp_path / "sites")
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: pytest.fail("pip was run again"))
    assert ensure_site(lock, tmp_path / "sites") == site


def test_a_failed_site_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    """What pip says of a package that cannot be had reaches the operator; no half-made folder stays."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(NEVER_THERE)
    with pytest.raises(PartMissing, match="no-such-package-of-ours"):
        ensure_site(lock, tmp_path / "sites")
    assert [path.name for path in (tmp_path / "sites").iterdir()] == ["lock"]


def test_pip_settings_of_the_user_are_not_for_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site is made whatever pip was told for other projects."""
    for name, value in (("PIP_USER", "1"), ("PIP_CONSTRAINT", "/of/another/project.txt")):
        monkeypatch.setenv(name, value)
    lock = tmp_path / "requirements.lock"
    lock.write_text("")
    assert ensure_site(lock, tmp_path / "sites").is_dir()


def test_old_sites_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest few sites are kept, the present one among them."""
    monkeypatch.setattr(python_site, "_install", lambda _text, _machine, site: site.mkdir())
    lock = tmp_path / "requirements.lock"
    sites = []
    for number in range(6):
        lock.write_text(f"one=={number}")
        sites.append(ensure_site(lock, tmp_path))
    assert sites[-1].is_dir()
    assert len(list(tmp_path.glob("*/"))) == 4


def test_the_service_lock_makes_a_site() -> None:
    """Every package of the service's lock file can be had as a wheel, also those only the image needs."""
    site = ensure_site(SERVICE_LOCK)
    assert (site / "starlette").is_dir()
    assert list(site.glob("async_timeout-*"))
    assert not (site / "bin").exists()
