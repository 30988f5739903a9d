from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from infra.manifest import REPOSITORY
from runbook.checklist import build as module
from runbook.checklist.build import build
from runbook.checklist.code import STEPS, code_line, run_step
from runbook.checklist.line import Failed, Result, Skipped


def test_what_was_said_last_is_told(tmp_path: Path) -> None:
    """Once every program has ended well; all of it stands in the log."""
    log = tmp_path / "logs" / "x.log"
    assert run_step([["platform"], ["this"]], log).startswith("Namespaces are one honking great idea")
    assert "Zen of Python" in log.read_text()


def test_the_first_that_fails_ends_it(tmp_path: Path) -> None:
    """With its exit code, its last words, and where all of them are."""
    log = tmp_path / "x.log"
    with pytest.raises(
        Failed, match=r"`python -m no_such_module` ended with 1: .*No module named"
    ) as refusal:
        run_step([["no_such_module"], ["this"]], log)
    assert str(log) in str(refusal.value)


def test_silence_is_no_trouble(tmp_path: Path) -> None:
    """A program may have nothing to say."""
    assert run_step([["compileall", "-q", str(tmp_path)]], tmp_path / "x.log").startswith(
        "nothing was said ("
    )


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    """And not run."""
    line = code_line("tests", is_left_out=True, logs=tmp_path)
    assert (line.result, line.detail) == (Result.SKIPPED, "--fast leaves it out")
    assert list(tmp_path.iterdir()) == []


def test_lint_is_really_run(tmp_path: Path) -> None:
    """On this checkout, by the programs that its lock file pins."""
    line = code_line("lint", logs=tmp_path)
    assert line.result is Result.PASSED, line.detail
    assert "files already formatted" in (tmp_path / "lint.log").read_text()


def test_the_tests_are_those_that_need_no_container() -> None:
    """A checklist is gone through in minutes; `bin/runbook test` runs all."""
    (tests,) = STEPS["tests"]
    assert tests[-1] == "not integration and not stack and not chaos"


def test_without_the_packages_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching them takes minutes: `up` does it."""
    monkeypatch.setattr(module, "BUILD", tmp_path)
    with pytest.raises(Skipped, match="are not fetched yet"):
        build("dev")


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    """The engine, in which no image of a check is left after."""
    engine = docker.from_env()
    yield engine
    left = [tag for image in engine.images.list("runbook/service") for tag in image.tags if "check-" in tag]
    assert left == []


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, engine: docker.DockerClient, tmp_path: Path) -> str:
    """An image with packages that the engine has, taken for that of this checkout."""
    tags = [tag for image in engine.images.list("runbook/packages") for tag in image.tags]
    if not tags:
        pytest.skip("the engine has no image with the service's packages: `bin/runbook up` makes it")

    class Packages:
        name = tags[0]

        @classmethod
        def of(cls, *_: object) -> type[Packages]:
            return cls

    (tmp_path / "site-x").mkdir()
    monkeypatch.setattr(module, "BUILD", tmp_path)
    monkeypatch.setattr(module, "ensure_site", lambda _lock: tmp_path / "site-x")
    monkeypatch.setattr(module, "packages_context", lambda _site: tmp_path)
    monkeypatch.setattr(module, "Packages", Packages)
    monkeypatch.setattr(module, "resolve", lambda *_: None)
    return tags[0]


@pytest.mark.integration
def test_the_sources_build_and_import(base: str, engine: docker.DockerClient) -> None:
    """In a real engine, as an update builds them; the image is removed, the releases' ones stay."""
    before = {image.id for image in engine.images.list() if image.tags}
    assert f"builds on {base} and imports" in build("dev", engine)
    assert before <= {image.id for image in engine.images.list() if image.tags}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("code", "why"),
    [("import no_such_module\n", "do not import: .*no_such_module"), ("def (:\n", "does not build: ")],
)
def test_broken_sources_are_said(
    base: str,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: str,
    why: str,
) -> None:
    """What does not compile does not build; what cannot be imported is found in the image."""
    context = tmp_path / "context"
    (context / "service").mkdir(parents=True)
    (context / "Dockerfile").write_text((REPOSITORY / "service/Dockerfile").read_text())
    (context / "service/__init__.py").write_text(code)
    monkeypatch.setattr(module, "snapshot", lambda *_: context)
    with pytest.raises(Failed, match=why):
        build("dev", engine)


@pytest.mark.integration
def test_without_its_base_nothing_is_built(
    base: str, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named."""
    monkeypatch.setattr(module.Packages, "name", "runbook/packages:none")
    with pytest.raises(ImageNotFound):
        engine.images.get("runbook/packages:none")
    with pytest.raises(Skipped, match="the engine has no runbook/packages:none yet"):
        build("dev", engine)
