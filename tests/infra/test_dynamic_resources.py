"""When a route moves and what the ledger keeps; the moving itself is tested on a real proxy."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pulumi.output import Unknown

from infra.dynamic.base_image import BaseImageProvider
from infra.dynamic.gate import GateProvider
from infra.dynamic.ledger import LedgerProvider
from infra.dynamic.route import RouteProvider
from infra.dynamic.trial import TrialProvider
from infra.errors import Refused
from infra.haproxy_config import Backend, route_config
from infra.history import REMEMBERED

INPUTS: dict[str, Any] = {
    "route": "live",
    "release": "r-1",
    "servers": ["web-1"],
    "proxy": "proxy",
    "proxy_id": "p1",
    "base": "global",
    "redis": "redis",
    "limits": {},
    "in_steps": True,
    "config": None,
}
STATE = {**INPUTS, "config": route_config("live", Backend("r-1", ("web-1",))), "refusal": [], "traffic": None}


def moves(state: dict[str, Any], **changed: Any) -> bool:
    """Whether the live route would be updated."""
    return bool(RouteProvider().diff("live", state, {**INPUTS, **changed}).changes)


def test_an_unchanged_route_stays() -> None:
    """Nothing to do means no reload; how it would move is no reason to move."""
    assert not moves(STATE)
    assert not moves(STATE, limits={"drain_s": 20}, redis="other", in_steps=False)


@pytest.mark.parametrize(
    "changed",
    [{"release": "r-2"}, {"servers": ["web-1", "web-2"]}, {"proxy_id": "p2"}, {"base": "defaults"}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_route_moves_with_its_release_and_its_proxy(changed: dict[str, Any]) -> None:
    """Another release, other servers, another proxy (whose volume is empty) or base configuration."""
    assert moves(STATE, **changed)


def test_a_refusal_does_not_outlive_its_release() -> None:
    """The release that kept the traffic is asked for again: nothing is said against it then."""
    assert moves({**STATE, "refusal": ["traffic: r-2 did not keep the traffic (fail)"]})


@pytest.mark.parametrize("found", [None, "frontend live\n  bind :8080\n"])
def test_a_route_changed_by_hand_is_put_right(found: str | None) -> None:
    """A refresh has seen another file, or none: the next update writes it again."""
    assert moves({**STATE, "config": found})


def noted(*releases: str, refusal: list[str] | None = None) -> dict[str, Any]:
    """The ledger after *releases* went live, one after the other; the last with a *refusal*, if any."""
    ledger, state = LedgerProvider(), {}
    for number, release in enumerate(releases):
        last = number == len(releases) - 1
        entry = {"manifest": {"id": release}, "refusal": refusal if last else []}
        news = {"release": release, "entry": entry}
        state = (ledger.update("ledger", state, news) if state else ledger.create(news)).outs or {}
    return state


def test_the_ledger_appends_and_keeps_a_bounded_number() -> None:
    """Oldest first; a release that comes back is told again, and which one it replaced."""
    many = [f"r-{number}" for number in range(REMEMBERED + 5)]
    assert [entry["manifest"]["id"] for entry in noted(*many)["entries"]] == many[5:]
    assert [entry["replaced"] for entry in noted("r-1", "r-2", "r-1")["entries"]] == [None, "r-1", "r-2"]


def test_a_release_that_did_not_keep_the_traffic_is_noted_and_not_live() -> None:
    """The next update is news to the ledger again."""
    state = noted("r-1", "r-2", refusal=["traffic: r-2 did not keep the traffic"])
    assert state["release"] == "r-1"
    assert state["entries"][-1]["refusal"]
    assert LedgerProvider().diff("ledger", state, {"release": "r-2", "entry": {}}).changes


def test_only_another_release_is_news_to_the_ledger() -> None:
    """Time and operator differ at each run; that is no change."""
    old = {"release": "r-1", "entry": {"at": "then"}}
    assert not LedgerProvider().diff("ledger", old, {"release": "r-1", "entry": {"at": "now"}}).changes
    assert LedgerProvider().diff("ledger", old, {"release": "r-2", "entry": {"at": "now"}}).changes


def test_a_gate_lets_through_what_nothing_is_said_against() -> None:
    """And is passed once for a release."""
    props = {"of": "gate", "release": "r-1", "refusal": []}
    assert GateProvider().create(props).id == "gate-r-1"
    assert GateProvider().diff("gate-r-1", props, props).changes is False


def test_a_gate_that_was_passed_stops_what_is_refused_later() -> None:
    """A release passed, live traffic refused it, another was tried, then this one again: refused now."""
    passed = {"of": "gate", "release": "r-1", "refusal": []}
    refused = {**passed, "refusal": ["gate: load refused release r-1:"]}
    assert GateProvider().diff("gate-r-1", passed, refused).changes
    assert GateProvider().diff("gate-r-1", passed, {**passed, "refusal": Unknown()}).changes
    with pytest.raises(Refused, match="load refused release r-1"):
        GateProvider().update("gate-r-1", passed, refused)


def test_a_gate_raises_all_that_is_said_against_a_release() -> None:
    """Line by line."""
    props = {"of": "gate", "release": "r-1", "refusal": ["gate: load refused release r-1:", "  lost: fail"]}
    with pytest.raises(Refused) as refused:
        GateProvider().create(props)
    assert str(refused.value) == "gate: load refused release r-1:\n  lost: fail"


def tries(refusal: list[str], release: str) -> bool:
    """Whether a trial is made of *release*, after one of r-1 that ended in *refusal*."""
    return bool(
        TrialProvider().diff("trial", {"release": "r-1", "refusal": refusal}, {"release": release}).changes
    )


def test_a_release_is_tried_until_it_has_passed() -> None:
    """What it consists of is in its id: then never again, until another was."""
    assert not tries([], "r-1")
    assert tries(["gate: load refused release r-1"], "r-1")
    assert tries([], "r-2")


@pytest.mark.parametrize(
    "provider", [RouteProvider, TrialProvider, GateProvider, LedgerProvider, BaseImageProvider]
)
def test_providers_are_pickled_by_reference(provider: type) -> None:
    """The engine keeps them in the state: their code must not be, or each edit would be a change."""
    assert len(pickle.dumps(provider())) < 200
