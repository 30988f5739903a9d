"""Containers of a release that restart or leak while it is tried are seen, and named."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from abandoned import OURS, remove_abandoned
from docker.errors import NotFound
from docker.models.containers import Container

from contracts.targets import Containers
from contracts.verdict import Verdict
from infra.base_images import Mode, Role, resolve
from infra.container_watch import (
    ContainerWatch,
    Watched,
    how_it_ended,
    memory_check,
    restarts_check,
    steepest,
)

STACK = f"{OURS}-watch"
NAME = f"runbook-{STACK}"
LIMITS = Containers(memory_mb_per_s=6, memory_window_s=4, restarts=0)


def samples(*megabytes: float) -> list[tuple[float, float]]:
    """One each second."""
    return [(float(second), each) for second, each in enumerate(megabytes)]


def test_growth_is_the_steepest_over_a_window() -> None:
    """A short step is no leak, a rise in the middle is one, a restart in between hides nothing."""
    assert steepest(samples(60, 70, 70, 70, 70, 70, 70), 4) == 2.5
    assert steepest(samples(60, 60, 80, 100, 120, 140, 140), 4) == 20.0
    assert steepest(samples(60, 140, 60, 80, 100, 120, 140), 4) == 20.0
    assert steepest(samples(60, 70), 4) is None


def test_a_leak_is_named_with_its_container() -> None:
    """The one that grows most."""
    found = [
        Watched("web-1", memory=samples(60, 60, 60, 60, 60, 60)),
        Watched("web-2", memory=samples(60, 80, 100, 120, 140, 160)),
    ]
    check = memory_check(found, LIMITS)
    assert str(check) == ("memory growth: fail: 20 MB/s, limit 6 MB/s, samples 12: over 4 s, in web-2")


def test_containers_not_watched_long_enough_prove_nothing() -> None:
    """No evidence is not a pass, and says what was missing."""
    memory = memory_check([Watched("web-1", memory=samples(60, 61))], LIMITS)
    assert (memory.verdict, memory.detail) == (Verdict.NO_EVIDENCE, "no container was seen for 4 s")
    restarts = restarts_check([Watched("web-1")], LIMITS)
    assert (restarts.verdict, restarts.detail) == (Verdict.NO_EVIDENCE, "no container was seen")


def test_steady_containers_pass() -> None:
    """With the growth that there was."""
    steady = [Watched("web-1", restarts_before=0, memory=samples(60, 61, 62, 63, 64))]
    assert memory_check(steady, LIMITS).value == 1.0
    assert restarts_check(steady, LIMITS).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("state", "restarts", "said"),
    [
        ({"Running": True}, 0, ""),
        ({"Running": True, "ExitCode": 0}, 2, "restarted 2 times"),
        (
            {"Running": True, "Restarting": True, "ExitCode": 7},
            1,
            "restarted 1 times, ended with exit code 7",
        ),
        ({"Running": False, "ExitCode": 3}, 0, "ended with exit code 3"),
        ({"Running": False, "OOMKilled": True, "ExitCode": 137}, 0, "ended with out of memory"),
    ],
)
def test_how_a_container_ended(state: dict[str, object], restarts: int, said: str) -> None:
    """As far as the engine knows at the moment of the look."""
    assert how_it_ended(state, restarts) == said


class BusyEngine:
    """An engine that does not answer the first look in time; the container is gone at the next."""

    def __init__(self) -> None:
        self.containers = self
        self.asked = 0

    def get(self, name: str) -> Container:
        self.asked += 1
        if self.asked == 1:
            raise requests.ReadTimeout(f"no answer about {name}")
        raise NotFound(name)


def test_an_engine_that_is_busy_for_a_moment_ends_no_watch() -> None:
    """What happens after that is seen."""
    engine = BusyEngine()
    with ContainerWatch({"one": "web"}, engine) as watch:  # type: ignore[arg-type]
        deadline = time.monotonic() + 120
        while not watch.found[0].ended and time.monotonic() < deadline:
            time.sleep(0.05)
        assert watch.found[0].ended == "it is gone"


@pytest.fixture
def dying() -> Iterator[Container]:
    """A container that ends with exit code 7 every second, and is started again."""
    remove_abandoned()
    container = docker.from_env().containers.run(
        resolve(Role.PYTHON, Mode.AUTO).name,
        ["python3", "-c", "import time; print('dying', flush=True); time.sleep(1); raise SystemExit(7)"],
        name=NAME,
        labels={"runbook.stack": STACK},
        detach=True,
        restart_policy={"Name": "always"},
    )
    yield container
    container.remove(force=True)


@pytest.mark.integration
def test_a_real_container_that_dies_is_seen(dying: Container, tmp_path: Path) -> None:
    """With its exit code; its log and its memory over time are kept."""
    watch = ContainerWatch({str(dying.name): "web", f"{NAME}-missing": "worker"})
    with watch:
        deadline = time.monotonic() + 120
        while not watch.found[0].restarts and time.monotonic() < deadline:
            time.sleep(0.1)
    check = watch.report(LIMITS).checks[0]
    assert check.verdict is Verdict.FAIL
    assert re.search(rf"{NAME}: (restarted|ended with exit code 7)", check.detail)
    assert f"{NAME}-missing: it is gone" in check.detail
    assert "dying" in watch.logs()[str(dying.name)]
    assert watch.logs()[f"{NAME}-missing"] == ""
    watch.write_series(tmp_path / "series.json")
    assert '"memory_mb"' in (tmp_path / "series.json").read_text()
