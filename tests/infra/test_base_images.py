import datetime
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from private_engine import PrivateEngine

from infra.base_images import (
    BaseImage,
    Mode,
    Origin,
    Role,
    age_days,
    ensure,
    ensure_all,
    refresh,
    resolve,
    resolve_monitors,
)
from infra.errors import PartMissing
from infra.images import debian
from infra.images.engine import DockerImages
from infra.images.recipes import MONITORS, RECIPES, Recipe, User, content_tag, dated_tag, plain_tag

TODAY = datetime.datetime.now(datetime.UTC).date()


@dataclass
class FakeEngine:
    """An engine with *present* images and a registry with *pullable* ones; keeps what was pulled."""

    present: set[str] = field(default_factory=set)
    pullable: set[str] = field(default_factory=set)
    pulls: list[str] = field(default_factory=list)
    digest: str = "sha256:0"
    days_old: int = 0

    def has(self, name: str) -> bool:
        return name in self.present

    def names(self, repository: str) -> list[str]:
        return [name for name in self.present if name.startswith(f"{repository}:")]

    def created(self, _name: str) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=self.days_old, hours=1)

    def pull(self, name: str) -> bool:
        self.pulls.append(name)
        if name in self.pullable:
            self.present.add(name)
        return name in self.pullable

    def pinned(self, name: str) -> str:
        assert name in self.present
        return f"{name.partition(':')[0]}@{self.digest}"


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.OFFICIAL])
def test_an_official_image_is_named_by_its_digest(mode: Mode) -> None:
    """Where the registry answers, and where the engine has it: then the registry is not asked."""
    engine = FakeEngine(pullable={"redis:7"})
    expected = BaseImage(Role.REDIS, "redis@sha256:0", Origin.OFFICIAL)
    assert resolve(Role.REDIS, mode, engine) == expected
    assert resolve(Role.REDIS, mode, engine) == expected
    assert engine.pulls == ["redis:7"]


def test_what_cannot_be_pulled_is_made_of_todays_packages() -> None:
    """The day is in the name: what is made on another day has other content."""
    engine = FakeEngine()
    made = BaseImage(Role.REDIS, f"{content_tag(Role.REDIS)}-{TODAY:%Y%m%d}", Origin.DEBIAN)
    assert resolve(Role.REDIS, Mode.AUTO, engine) == made
    assert engine.pulls == ["redis:7"]
    assert resolve(Role.REDIS, Mode.DEBIAN, FakeEngine()) == made


def test_what_must_be_official_is_not_made() -> None:
    """The name that cannot be pulled is what `ensure` then says."""
    assert resolve(Role.REDIS, Mode.OFFICIAL, FakeEngine()) == BaseImage(
        Role.REDIS, "redis:7", Origin.OFFICIAL
    )


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.DEBIAN])
def test_the_newest_that_the_engine_has_is_used_by_all(mode: Mode) -> None:
    """Whoever asks, from whichever machine, on whichever day: a registry that comes back changes nothing."""
    days = (datetime.date(2026, 9, 30), datetime.date(2026, 11, 2), datetime.date(2026, 10, 31))
    engine = FakeEngine(pullable={"redis:7"})
    engine.present = {content_tag(Role.REDIS), *(dated_tag(Role.REDIS, day) for day in days)}
    engine.present |= {"runbook/redis:debian12-000000000000-20261201", plain_tag(Role.REDIS)}
    assert resolve(Role.REDIS, mode, engine).name.endswith("-20261102")
    assert engine.pulls == []


def test_an_image_from_before_days_were_in_names_is_used() -> None:
    """Until it is refreshed."""
    engine = FakeEngine({content_tag(Role.REDIS)})
    assert resolve(Role.REDIS, Mode.AUTO, engine).name == content_tag(Role.REDIS)


def test_a_refresh_pulls_the_official_image_again() -> None:
    """Under the same tag there may be another digest by now."""
    engine = FakeEngine({"redis:7"}, {"redis:7"})
    refresh(Role.REDIS, Mode.AUTO, lambda _line: None, engine)
    assert engine.pulls == ["redis:7"]
    engine.digest = "sha256:1"
    assert resolve(Role.REDIS, Mode.AUTO, engine).name == "redis@sha256:1"


def test_a_refresh_that_cannot_pull_says_so() -> None:
    """What is there stays what is used."""
    engine = FakeEngine({"redis:7"})
    with pytest.raises(PartMissing, match="redis:7"):
        refresh(Role.REDIS, Mode.OFFICIAL, lambda _line: None, engine)


def test_the_age_is_the_contents() -> None:
    """In whole days."""
    image = BaseImage(Role.REDIS, "redis@sha256:0", Origin.OFFICIAL)
    assert age_days(image, FakeEngine(days_old=40)) == 40


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


@pytest.mark.integration
def test_a_refresh_makes_todays_image_and_removes_the_oldest(
    debian_images: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before stays for a rollback; a second refresh on the same day makes nothing.

    That an image can be built is shown by those that there are.
    """
    earlier = [dated_tag(Role.HAPROXY, datetime.date(2026, month, 1)) for month in (9, 10)]
    with PrivateEngine() as private:
        private.load(debian_images[Role.HAPROXY])
        engine = DockerImages()
        engine.client = private.client
        for name in earlier:
            engine.tag(debian_images[Role.HAPROXY], name)
        engine.remove(debian_images[Role.HAPROXY])
        monkeypatch.setattr(debian, "build", lambda _client, _role, name, _say: engine.tag(earlier[0], name))
        said: list[str] = []
        refresh(Role.HAPROXY, Mode.DEBIAN, said.append, engine)
        refresh(Role.HAPROXY, Mode.DEBIAN, said.append, engine)
        made = resolve(Role.HAPROXY, Mode.AUTO, engine)
        assert said == ["building the haproxy image from Debian packages"]
        assert made.name == dated_tag(Role.HAPROXY, TODAY)
        left = {*engine.names("runbook/haproxy")} - {plain_tag(Role.HAPROXY)}
        assert left == {earlier[1], made.name}


@pytest.mark.parametrize("role", MONITORS)
def test_monitors_of_debian_are_one_image(role: Role) -> None:
    """Most of it is the system around them; and Grafana, which Debian has not, is left out."""
    images = resolve_monitors(Mode.DEBIAN, FakeEngine())
    assert {image.name.partition(":")[0] for image in images} == {"runbook/monitors"}
    assert [image.role for image in images if image.role is role] == [role]
    assert Role.GRAFANA not in {image.role for image in images}


def test_official_monitors_come_with_grafana() -> None:
    """Where theirs can be pulled, so can its."""
    everything = {recipe.official for recipe in RECIPES.values()}
    images = resolve_monitors(Mode.AUTO, FakeEngine(pullable=everything))
    assert [image.role for image in images] == [*MONITORS, Role.GRAFANA]
    assert {image.origin for image in images} == {Origin.OFFICIAL}
