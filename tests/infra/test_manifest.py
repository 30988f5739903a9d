"""A release's id is a hash of all that it consists of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import manifest as module
from infra.manifest import (
    Manifest,
    Needed,
    Secrets,
    Sizing,
    describe,
    hash_tree,
    packages_context,
    snapshot,
)

SIZING = Sizing(web_replicas=2, worker_replicas=1, web_memory_mb=256, worker_memory_mb=256)
CONTEXT = Path("service-0123456789ab-site-1")


def made(**changed: object) -> Manifest:
    """The manifest of a sample release with some parts changed."""
    parts = {
        "context": CONTEXT,
        "base_image": "python:1",
        "env": {"A": "1"},
        "secrets": {"S": "d"},
        "sizing": SIZING,
        "migrations": [Needed(key="functions@abc")],
        "logs": {},
    }
    return describe(**{**parts, **changed})  # type: ignore[arg-type]


def test_same_content_same_id() -> None:
    """Nothing else goes into the id: an unchanged release is no change."""
    assert made() == made()
    assert made().id.startswith("r-")
    assert len(made().id) == 9


@pytest.mark.parametrize(
    "changed",
    [
        {"context": Path("service-ba9876543210-site-1")},
        {"base_image": "python:2"},
        {"env": {"A": "2"}},
        {"secrets": {"S": "e"}},
        {"sizing": SIZING.model_copy(update={"web_memory_mb": 512})},
        {"migrations": [Needed(key="functions@def")]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_part_changes_the_id(changed: dict[str, object]) -> None:
    """Sources, base image, configuration, secrets and sizing: another of any is another release."""
    assert made(**changed).id != made().id


def test_a_manifest_survives_the_ledger() -> None:
    """Pulumi keeps numbers as floats; the manifest that comes back is the one that went in."""
    kept = made().model_dump(mode="json")
    kept["sizing"] = {name: float(number) for name, number in kept["sizing"].items()}
    assert Manifest.model_validate(kept) == made()


def test_a_manifest_survives_a_containers_label() -> None:
    """What runs on the engine tells what it is."""
    assert Manifest.model_validate_json(made().model_dump_json()) == made()


def test_a_retired_secret_is_found_by_its_digest() -> None:
    """Rolling back brings back the value that the release was gated with."""
    before = Secrets({"S": "old"}, {}, "key")
    wanted = before.digests(["S"])
    after = Secrets({"S": "new"}, {before.digest("old"): "old"}, "key")
    assert after.values(wanted) == {"S": "old"}
    assert after.values(after.digests(["S"])) == {"S": "new"}


def test_a_forgotten_secret_is_named() -> None:
    """A release whose secret is gone cannot be brought back silently with another."""
    with pytest.raises(KeyError, match="S"):
        Secrets({"S": "new"}, {}, "key").values({"S": "0" * 24})


def test_bytes_that_are_no_text_have_a_digest() -> None:
    """One that was kept before they were refused could not be replaced otherwise; of text it is as ever."""
    assert Secrets({}, {}, "key").digest("\udcff") != Secrets({}, {}, "key").digest("\udcfe")
    assert Secrets({}, {}, "\udcff").digest("v") != Secrets({}, {}, "key").digest("v")
    assert Secrets({}, {}, "key").digest("ü") == "407ed3864b449b4225d8f740"


def test_digests_depend_on_the_key() -> None:
    """Without the stack's key nobody can guess a secret from a release's id."""
    assert Secrets({}, {}, "one").digest("v") != Secrets({}, {}, "two").digest("v")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny repository with a package and a site folder."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service/app.py").write_text("1")
    (tmp_path / "service/Dockerfile").write_text("FROM x")
    (tmp_path / "site-a").mkdir()
    (tmp_path / "site-a/lib.py").write_text("2")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "BUILD", tmp_path / ".build")
    return tmp_path


def test_a_snapshot_is_a_complete_build_context(project: Path) -> None:
    """It holds the Dockerfile and the package; bytecode does not count."""
    (project / "service/__pycache__").mkdir()
    (project / "service/__pycache__/app.pyc").write_bytes(b"x")
    context = snapshot("service", project / "site-a")
    found = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    assert found == {"Dockerfile", "service/app.py"}


def test_a_snapshot_is_named_by_its_content(project: Path) -> None:
    """The same sources give the same folder, a changed line another; nothing half made is left."""
    one = snapshot("service", project / "site-a")
    assert snapshot("service", project / "site-a") == one
    (project / "service/app.py").write_text("2")
    two = snapshot("service", project / "site-a")
    assert two != one
    assert {path.name for path in one.parent.iterdir()} == {one.name, two.name}


@pytest.fixture(params=[0o077, 0o027, 0o000], ids="umask {:03o}".format)
def strict_project(request: pytest.FixtureRequest, project: Path) -> Iterator[Path]:
    """The repository as it is checked out under such a umask, which is still in force."""
    before = os.umask(request.param)
    for path in (project / "service", project / "site-a", *project.glob("*/*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~request.param)
    yield project
    os.umask(before)


def test_modes_in_an_image_do_not_depend_on_the_machine(strict_project: Path) -> None:
    """All is readable by the image's user, and nothing writable by others: sources and packages."""
    dockerfile = strict_project / "infra/images/packages.Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text("FROM x")
    site = strict_project / "site-a"
    for context in (snapshot("service", site), packages_context(site)):
        found = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (context, *context.rglob("*"))}
        assert found == {(True, 0o755), (False, 0o644)}


def test_a_moved_file_changes_the_hash(tmp_path: Path) -> None:
    """Names count, not only bytes."""
    (tmp_path / "a").write_text("x")
    before = hash_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert hash_tree(tmp_path) != before


def test_the_packages_context_is_made_once(project: Path) -> None:
    """It holds the packages by hard links, and is named by the lock's site and its own Dockerfile."""
    dockerfile = project / "infra/images/packages.Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text("FROM x")
    one = packages_context(project / "site-a")
    assert (one / "site/lib.py").stat().st_ino == (project / "site-a/lib.py").stat().st_ino
    assert packages_context(project / "site-a") == one
    dockerfile.write_text("FROM y")
    assert packages_context(project / "site-a") != one
