"""The releases that the program declares: the one to come, and those that are kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from declared_stack import PREFIX, STACK, DeclaredStack, declare
from fake_docker_api import FakeDocker, fake_docker

from infra.haproxy_config import Backend
from infra.live_route import Move, live_config
from infra.provenance import Sources

KEPT, SECOND = "r-0000001", "r-0000002"
MANIFEST = {
    "id": KEPT,
    "image": f"runbook/service:{KEPT}",
    "env": {},
    "secrets": {},
    "shape": {"web_replicas": 1, "worker_replicas": 1, "web_memory_mb": 256, "worker_memory_mb": 256},
    "migrations": [],
}


@pytest.fixture
def engine() -> Iterator[FakeDocker]:
    """An engine with nothing on it."""
    with fake_docker() as engine:
        yield engine


@pytest.fixture
def stack(engine: FakeDocker) -> DeclaredStack:
    """A stack in which KEPT has been live."""
    went_live = {"manifest": MANIFEST, "gate": [], "at": "2026-11-24T12:40:31+00:00", "by": "somebody"}
    outputs: dict[str, Any] = {"release": KEPT, "releases": [went_live], "kept": []}
    return declare(engine.host, outputs=outputs)


def test_a_kept_release_stays_as_it_was_gated_and_is_seen_to_run(stack: DeclaredStack) -> None:
    """Nothing of it is replaced; that a container of it was stopped shows, so that it is started again."""
    parts = [each for each in stack.resources if KEPT in each.name and each.type.startswith("docker:")]
    assert {each.type.rpartition(":")[2] for each in parts} == {"Volume", "Container"}
    for part in parts:
        if part.type.endswith(":Container"):
            assert set(part.inputs) - {"mustRun"} <= set(part.ignore_changes)
            assert "mustRun" not in part.ignore_changes
        else:
            assert {"*"} <= set(part.ignore_changes)


def test_the_traffic_moves_after_the_gate_and_the_gate_comes_after_the_candidates_route(
    stack: DeclaredStack,
) -> None:
    """The order is in what depends on what, through however many resources."""
    release = next(each.name for each in stack.of("Release") if each.name != KEPT)
    order = [
        f"{PREFIX}-web-1-{release}",
        "candidate",
        "trial",
        f"gate-{release}",
        "live",
        "ledger",
        f"promoted-{release}",
    ]
    for earlier, later in pairwise(order):
        assert earlier in depended_on(stack, later), f"{later} does not wait for {earlier}"
        assert later not in depended_on(stack, earlier)


def depended_on(stack: DeclaredStack, name: str) -> set[str]:
    """All that *name* waits for, near and far."""
    found, left = set[str](), {name}
    while left:
        found |= (nearest := {each for one in left for each in stack[one].depends_on} - found)
        left = nearest
    return found


def test_nothing_of_a_release_waits_for_more_than_it_needs(stack: DeclaredStack) -> None:
    """A kept release does not wait for the new one's gate."""
    kept = depended_on(stack, f"{PREFIX}-web-1-{KEPT}")
    assert kept.isdisjoint({"candidate", "trial", "live"})


@pytest.mark.parametrize(("preview", "token", "forgets"), [(False, "", 1), (False, "t", 0), (True, "", 0)])
def test_an_update_without_the_runbook_is_not_ended_by_an_earlier_stop(
    engine: FakeDocker, monkeypatch: pytest.MonkeyPatch, preview: bool, token: str, forgets: int
) -> None:
    """Nobody waits for one that holds no lock; who took it has forgotten the stop already."""
    found: list[str] = []
    monkeypatch.setattr("infra.program.forget_stop", found.append)
    monkeypatch.setenv("RUNBOOK_LOCK_TOKEN", token) if token else monkeypatch.delenv(
        "RUNBOOK_LOCK_TOKEN", raising=False
    )
    declare(engine.host, preview=preview)
    assert found == [STACK] * forgets


def test_the_live_route_is_told_what_its_release_was_made_from(
    engine: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It notes that with the move: an update that is interrupted behind it writes no record."""
    made_from = Sources(commit="4cb1406aaaaa+", branch="main", dirty=True)
    monkeypatch.setattr("infra.plan.read_sources", lambda: made_from)
    why = declare(engine.host)["live"].inputs["why"]
    assert (why["verb"], why["commit"], why["branch"]) == ("up", "4cb1406aaaaa+", "main")


def test_the_live_route_is_told_which_move_the_update_began_with(engine: FakeDocker) -> None:
    """Only if that is its last one still does the traffic move."""
    assert declare(engine.host)["live"].inputs["last_move"] == ""
    serve_second(engine)
    assert declare(engine.host)["live"].inputs["last_move"] == "m-2"


def serve_second(engine: FakeDocker) -> None:
    """Let the live route lead to SECOND, which came after KEPT."""
    moves = [Move(id="m-1", release=KEPT), Move(id="m-2", release=SECOND)]
    engine.run(seed := f"{PREFIX}-proxy-routes-seed")
    engine.files[seed, "/routes/live.cfg"] = live_config(Backend(SECOND, ("web-1",)), moves)


def test_an_update_says_that_the_state_is_behind_the_proxy(engine: FakeDocker) -> None:
    """A rollback whose state could not follow, for example. A preview changes nothing, and says nothing."""
    serve_second(engine)
    said = f"the proxy serves {SECOND}, the state says that {KEPT} is live: this update goes by the proxy"
    assert said in declare(engine.host, outputs={"release": KEPT}).log
    assert said not in declare(engine.host, outputs={"release": KEPT}, preview=True).log
    assert declare(engine.host, outputs={"release": SECOND}).log == []
