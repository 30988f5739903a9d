import os
import shutil
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import docker
import pytest

from infra.base_images import BaseImage, Choices, Mode, Origin, Role, ensure, ensure_all, resolve
from infra.errors import PartMissing
from infra.images.engine import DockerImages
from infra.images.recipes import Recipe, User, content_tag, plain_tag

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


@dataclass
class FakeEngine:
    """An engine with *present* images and a registry with *pullable* ones; keeps what was pulled."""

    present: set[str] = field(default_factory=set)
    pullable: set[str] = field(default_factory=set)
    pulls: list[str] = field(default_factory=list)

    def identity(self) -> str:
        return "engine-1"

    def has(self, name: str) -> bool:
        return name in self.present

    def pull(self, name: str) -> bool:
        self.pulls.append(name)
        if name in self.pullable:
            self.present |= {name, self.pinned(name)}
        return name in self.pullable

    def pinned(self, name: str) -> str:
        return f"{name.partition(':')[0]}@sha256:0"

    def tag(self, name: str, alias: str) -> None:
        raise AssertionError("resolving tags nothing")


def choices(tmp_path: Path, today: date = MONDAY) -> Choices:
    """A memory in a file of the test's own, read on the day *today*."""
    return Choices(tmp_path / "choices.json", lambda: today)


@pytest.mark.parametrize(
    ("mode", "name"), [(Mode.OFFICIAL, "redis:7"), (Mode.DEBIAN, content_tag(Role.REDIS))]
)
def test_explicit_modes_ask_nobody(mode: Mode, name: str, tmp_path: Path) -> None:
    """A mode set by the operator is obeyed without a look at engine, registry or memory."""
    engine = FakeEngine()
    assert resolve(Role.REDIS, mode, engine, choices(tmp_path)).name == name
    assert engine.pulls == []
    assert not (tmp_path / "choices.json").exists()


def test_auto_takes_the_official_image_that_can_be_pulled(tmp_path: Path) -> None:
    """Where the registry answers, `auto` is the official image, named by its digest."""
    engine = FakeEngine(pullable={"redis:7"})
    image = resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path))
    assert image == BaseImage(Role.REDIS, "redis@sha256:0", Origin.OFFICIAL)


def test_auto_does_not_pull_what_the_engine_has(tmp_path: Path) -> None:
    """An official image that is there is taken as it is."""
    engine = FakeEngine(present={"redis:7"})
    assert resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path)).origin == Origin.OFFICIAL
    assert engine.pulls == []


def test_a_failed_pull_is_remembered_for_the_day(tmp_path: Path) -> None:
    """A registry that cannot be reached is asked once a day, not at every command."""
    engine = FakeEngine()
    first = resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path))
    again = resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path))
    assert first == again == BaseImage(Role.REDIS, content_tag(Role.REDIS), Origin.DEBIAN)
    assert engine.pulls == ["redis:7"]


def test_a_debian_choice_outlives_the_day_while_its_image_is_there(tmp_path: Path) -> None:
    """A registry that comes back does not change the image of an unchanged release."""
    engine = FakeEngine()
    resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path, MONDAY))
    engine.present.add(plain_tag(Role.REDIS))
    engine.pullable.add("redis:7")
    assert resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path, TUESDAY)).origin == Origin.DEBIAN


def test_an_official_choice_is_made_again_when_its_image_is_gone(tmp_path: Path) -> None:
    """A choice whose image was removed from the engine holds only for the day it was made."""
    engine = FakeEngine(pullable={"redis:7"})
    resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path, MONDAY))
    engine.present.clear()
    engine.pullable.clear()
    assert resolve(Role.REDIS, Mode.AUTO, engine, choices(tmp_path, TUESDAY)).origin == Origin.DEBIAN


def test_damaged_memory_is_no_error(tmp_path: Path) -> None:
    """A memory that cannot be read is made anew."""
    (tmp_path / "choices.json").write_text("{")
    image = resolve(Role.REDIS, Mode.AUTO, FakeEngine(), choices(tmp_path))
    assert choices(tmp_path).recall(Role.REDIS, FakeEngine()) == image


@pytest.mark.parametrize(
    "changed",
    [
        Recipe("redis:7", ("redis-server", "tini"), ()),
        Recipe("redis:7", ("redis-server",), ("EXPOSE 6379",)),
        Recipe("redis:7", ("redis-server",), (), User("redis", 999, "/data")),
    ],
)
def test_every_part_of_a_recipe_is_in_its_digest(changed: Recipe) -> None:
    """Packages, settings and user of an image each change its tag."""
    assert changed.digest() != Recipe("redis:7", ("redis-server",), ()).digest()


def test_an_image_that_cannot_be_pulled_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explicit official images without a registry end in an error that names the image and a way out."""
    monkeypatch.setattr(DockerImages, "has", lambda _self, _name: False)
    monkeypatch.setattr(DockerImages, "pull", lambda _self, _name: False)
    with pytest.raises(PartMissing, match="redis:7") as refused:
        ensure(BaseImage(Role.REDIS, "redis:7", Origin.OFFICIAL), lambda _line: None)
    assert "debian" in refused.value.hint


def test_a_missing_mmdebstrap_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without mmdebstrap and without the right to install it, the error names the package."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = BaseImage(Role.REDIS, "runbook/redis:never-built", Origin.DEBIAN)
    with pytest.raises(PartMissing, match="mmdebstrap"):
        ensure(image, lambda _line: None)


@pytest.fixture(scope="session")
def debian_images() -> dict[Role, str]:
    """The three images, made where they are missing."""
    images = [resolve(role, Mode.DEBIAN) for role in Role]
    ensure_all(images, print)
    return {image.role: image.name for image in images}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("role", "command", "said"),
    [
        (Role.PYTHON, ["python3", "-c", "import ssl, sqlite3, sys; print(sys.version)"], "3.11"),
        (Role.REDIS, ["redis-server", "--version"], "Redis server v=7"),
        (Role.REDIS, ["bash", "-c", "id -u redis; stat -c %u:%g /data"], "999\n999:999"),
        (Role.HAPROXY, ["haproxy", "-v"], "HAProxy version 2."),
        (Role.HAPROXY, ["bash", "-c", "id -u; id -g"], "99\n99"),
    ],
)
def test_debian_images_equal_the_official_ones_where_we_use_them(
    debian_images: dict[Role, str], role: Role, command: list[str], said: str
) -> None:
    """Each image has bash, its program, and the user and folders that the official image has."""
    output = docker.from_env().containers.run(debian_images[role], command, remove=True, network_mode="none")
    assert said in output.decode()


@pytest.mark.integration
def test_an_image_that_is_there_is_not_made_again(debian_images: dict[Role, str]) -> None:
    """Making sure of an image that the engine has costs nothing and says nothing."""
    said: list[str] = []
    ensure(BaseImage(Role.REDIS, debian_images[Role.REDIS], Origin.DEBIAN), said.append)
    assert said == []


@pytest.mark.integration
@pytest.mark.parametrize("role", list(Role))
def test_the_plain_tag_names_the_newest(debian_images: dict[Role, str], role: Role) -> None:
    """`runbook/<role>:debian12` is the image of the present recipe."""
    images = docker.from_env().images
    assert images.get(plain_tag(role)).id == images.get(debian_images[role]).id
