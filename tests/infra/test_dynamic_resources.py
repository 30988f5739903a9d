"""When a route moves and what the ledger keeps; the moving itself is tested on a real proxy."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pulumi.output import Unknown

from contracts.targets import read_targets
from contracts.verdict import Report
from infra.dynamic import route
from infra.dynamic.base_image import BaseImageProvider
from infra.dynamic.gate import GateProvider
from infra.dynamic.ledger import LedgerProvider, is_behind, outcome
from infra.dynamic.route import RouteProvider, is_elsewhere
from infra.dynamic.stack_id import StackIdProvider
from infra.dynamic.trial import TrialProvider
from infra.errors import Refused
from infra.haproxy_config import Backend, RouteName, route_config
from infra.live_route import LiveRoute, Move, live_config, routing_of
from infra.observed import Observed
from infra.proxy_control import RouteMoved
from infra.release_record import ReleaseRecord

INPUTS: dict[str, Any] = {
    "route": "live",
    "release": "r-1",
    "servers": ["web-1"],
    "proxy": "no-such-proxy",
    "proxy_id": "p1",
    "base": "global",
    "limits": {},
    "in_steps": True,
    "config": None,
}
LIMITS = read_targets().rollout.model_dump(mode="json")
ROUTE = routing_of(live_config(Backend("r-1", ("web-1",))))
STATE = {**INPUTS, "config": ROUTE, "refusal": [], "traffic": None}


def candidate_config(to: Backend) -> str:
    """The candidate's route, led to *to*."""
    return route_config("candidate", to)


def moves(state: dict[str, Any], **changed: Any) -> bool:
    """Whether the live route would be updated."""
    return bool(RouteProvider().diff("live", state, {**INPUTS, **changed}).changes)


def test_an_unchanged_route_stays() -> None:
    """Nothing to do means no reload; how it would move is no reason to move."""
    assert not moves(STATE)
    assert not moves(STATE, limits={"drain_s": 20}, in_steps=False)


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


def test_what_the_proxy_serves_counts_not_what_the_state_says() -> None:
    """A rollback whose state has not followed; a canary that a killed update left."""
    r_1 = Backend("r-1", ("web-1",))
    assert not is_elsewhere("r-1", LiveRoute(r_1))
    assert not is_elsewhere("r-1", None)
    assert is_elsewhere("r-2", LiveRoute(r_1))
    assert is_elsewhere("r-1", LiveRoute(r_1, (), Backend("r-2", ("web-1",)), 1000))


@pytest.mark.parametrize(("name", "make"), [("live", live_config), ("candidate", candidate_config)])
def test_a_frontend_that_a_rollback_led_elsewhere_is_led_back(
    monkeypatch: pytest.MonkeyPatch, name: RouteName, make: Callable[[Backend], str]
) -> None:
    """A rollback tries its release at the candidate's: what is tried next would be judged by that one."""

    class Proxy(FakeProxy):
        leads_to = "r-1"

        def route(self, asked: str) -> str:
            assert asked == name
            return make(Backend(self.leads_to, ("web-1",)))

    monkeypatch.setattr(route, "ProxyControl", Proxy)
    config = routing_of(make(Backend("r-1", ("web-1",))))
    inputs = {**INPUTS, "route": name}
    state = {**STATE, "route": name, "config": config}
    assert not RouteProvider().diff(name, state, inputs).changes
    Proxy.leads_to = "r-2"
    assert RouteProvider().diff(name, state, inputs).changes


@dataclass
class FakeProxy:
    """One whose live route is LIVE; nobody may write it."""

    name: str

    def live_route(self) -> LiveRoute:
        return LIVE


@pytest.mark.parametrize("in_steps", [True, False])
def test_traffic_that_was_moved_since_an_update_began_stays(
    monkeypatch: pytest.MonkeyPatch, in_steps: bool
) -> None:
    """By a rollback, while the trial of this one went on: it took out what this update began with."""
    monkeypatch.setattr("infra.dynamic.route.ProxyControl", FakeProxy)
    why = {"verb": "up", "reason": "", "by": "ben@desk"}
    began_with = {**INPUTS, "release": "r-3", "limits": LIMITS, "why": why, "last_move": "m-1"}
    with pytest.raises(RouteMoved, match="gave it to r-2") as refusal:
        RouteProvider().update("live", STATE, {**began_with, "in_steps": in_steps})
    assert "run this again" in refusal.value.hint


MOVE = Move(id="m-2", release="r-2", replaced="r-1")
LIVE = LiveRoute(Backend("r-2", ("web-1",)), (Move(id="m-1", release="r-1"), MOVE))
TRIED = ReleaseRecord(release="r-2")


def test_the_ledger_records_the_move_that_an_update_made() -> None:
    """Once: an update that finds its release live, and recorded, adds nothing."""
    found = outcome(TRIED, LIVE, [])
    assert found
    assert (found.release, found.replaced, found.move) == ("r-2", "r-1", "m-2")
    assert outcome(TRIED, LIVE, [found]) is None
    assert outcome(ReleaseRecord(release="r-3"), LIVE, []) is None


@pytest.mark.parametrize("verb", ["rollback", "watch", "hotfix"])
def test_the_move_of_another_verb_stays_that_verbs(verb: str) -> None:
    """A rollback was killed behind its move; an `up` of the release that it brought back comes next."""
    moved = LiveRoute(LIVE.to, (LIVE.moves[0], MOVE.model_copy(update={"verb": verb})))
    assert outcome(TRIED, moved, []) is None
    found = outcome(TRIED.model_copy(update={"verb": verb}), moved, [])
    assert found
    assert found.move == "m-2"


def test_a_release_that_did_not_keep_the_traffic_is_recorded_with_who_has_it() -> None:
    """It never had all of it: no move is its own."""
    found = outcome(ReleaseRecord(release="r-3", refusal=["traffic: it failed"]), LIVE, [])
    assert found
    assert (found.replaced, found.move, found.had_traffic) == ("r-2", "", False)


def test_a_route_from_before_moves_were_noted_is_recorded_all_the_same() -> None:
    """A stack that an older version deployed goes on."""
    assert outcome(TRIED, LiveRoute(Backend("r-2", ("web-1",))), []) == TRIED


def test_a_move_that_is_not_recorded_is_news_to_the_ledger() -> None:
    """An update was interrupted after it, or a rollback's state has not followed."""
    recorded = ReleaseRecord(release="r-2", move="m-2")
    assert not is_behind([recorded], LIVE)
    assert not is_behind([], None)
    assert is_behind([ReleaseRecord(release="r-2", move="m-1")], LIVE)
    damaged = LiveRoute(LIVE.to, (*LIVE.moves, Move(id="m-3", release="")))  # no update could record it
    assert not is_behind([recorded], damaged)


@pytest.mark.parametrize(
    ("refusal", "moves"), [([], ["m-1", "m-2"]), (["traffic: it failed"], ["m-1", "m-2", ""])]
)
def test_the_ledger_is_in_the_order_of_the_moves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusal: list[str], moves: list[str]
) -> None:
    """What an update made comes last, after moves that only the proxy knew of, whatever its clock says.

    In a checkout that has no folder for reports yet, too: the traffic has moved by then.
    """
    later = [move.model_copy(update={"at": "2026-11-24T12:05:00+00:00"}) for move in LIVE.moves]
    observed = Observed(LiveRoute(LIVE.to, tuple(later)))
    monkeypatch.setattr("infra.dynamic.ledger.observe_stack", lambda _stack: observed)
    shown = {"refusal": refusal, "traffic": Report.of("traffic", [], 7.0)}
    tried = TRIED.model_copy(update={"at": "2026-11-24T12:00:00+00:00", **shown})
    reports = tmp_path / "reports/r-2"
    props = {"release": "r-2", "record": tried.as_data(), "proxy": "x", "reports": str(reports)}
    entries = LedgerProvider().create(props).outs["entries"]
    assert [entry["move"] for entry in entries] == moves
    assert (reports / "traffic.json").is_file()


def test_only_another_release_is_news_to_the_ledger() -> None:
    """Time and operator differ at each run; that is no change."""
    old = {"release": "r-1", "record": {"at": "then"}, "entries": [], "proxy": "no-such-proxy"}
    assert not LedgerProvider().diff("ledger", old, {**old, "record": {"at": "now"}}).changes
    assert LedgerProvider().diff("ledger", old, {**old, "release": "r-2"}).changes


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


def tries(release: str = "r-1", refusal: list[str] | None = None, **news: Any) -> bool:
    """Whether a trial is made of *release*, after one of r-1 with a full gate that ended in *refusal*."""
    olds = {"release": "r-1", "refusal": refusal or [], "depth": "full", "attempt": 0}
    return bool(TrialProvider().diff("trial", olds, {**olds, "release": release, **news}).changes)


def test_a_release_is_tried_until_it_has_passed() -> None:
    """What it consists of is in its id: then never again, until another was."""
    assert not tries()
    assert tries(refusal=["gate: load refused release r-1"])
    assert tries("r-2")


def test_evidence_has_to_fit_the_question() -> None:
    """A smoke-only pass is not the full gate; what lost its traffic is tried again."""
    assert tries(attempt=1)
    passed = {"release": "r-1", "refusal": [], "depth": "smoke", "attempt": 0}
    for depth, changes in {"full": True, "smoke": False, "short": False, "none": False}.items():
        assert TrialProvider().diff("trial", passed, {**passed, "depth": depth}).changes is changes


def test_a_stop_that_was_asked_for_before_the_first_step_ends_the_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody rolls back while the gate ends: the new release is not given a share first."""

    class Proxy:
        """It notes nothing, since nothing may be done to it."""

        def __init__(self, _name: str) -> None:
            pass

        def live_route(self) -> LiveRoute:
            return LIVE

        def stop_requested(self) -> bool:
            return True

    monkeypatch.setattr(route, "ProxyControl", Proxy)
    limits = read_targets().rollout.model_dump(mode="json")
    why = {"verb": "up", "reason": "", "by": "anna@laptop"}
    with pytest.raises(Refused, match="asked to stop; r-2 has the traffic still"):
        RouteProvider().update("live", STATE, {**INPUTS, "release": "r-3", "limits": limits, "why": why})


@pytest.mark.parametrize(
    "provider",
    [RouteProvider, TrialProvider, GateProvider, LedgerProvider, BaseImageProvider, StackIdProvider],
)
def test_providers_are_pickled_by_reference(provider: type) -> None:
    """The engine keeps them in the state: their code must not be, or each edit would be a change."""
    assert len(pickle.dumps(provider())) < 200
