"""When a route moves and what the ledger keeps; the moving itself is tested on a real proxy."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from infra.dynamic.base_image import BaseImageProvider
from infra.dynamic.gate import GateProvider
from infra.dynamic.ledger import KEPT_ENTRIES, LedgerProvider
from infra.dynamic.route import RouteProvider
from infra.haproxy_config import route_config

INPUTS: dict[str, Any] = {
    "route": "live",
    "release": "r-1",
    "servers": ["web-1"],
    "proxy": "proxy",
    "proxy_id": "p1",
    "base": "global",
    "redis": "redis",
    "drain_s": 15,
    "config": None,
}
STATE = {**INPUTS, "config": route_config("live", "r-1", ["web-1"])}


def moves(state: dict[str, Any], **changed: Any) -> bool:
    """Whether the live route would be updated."""
    return bool(RouteProvider().diff("live", state, {**INPUTS, **changed}).changes)


def test_an_unchanged_route_stays() -> None:
    """Nothing to do means no reload."""
    assert not moves(STATE)
    assert not moves(STATE, drain_s=20, redis="other")


@pytest.mark.parametrize(
    "changed",
    [{"release": "r-2"}, {"servers": ["web-1", "web-2"]}, {"proxy_id": "p2"}, {"base": "defaults"}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_route_moves_with_its_release_and_its_proxy(changed: dict[str, Any]) -> None:
    """Another release, other servers, another proxy (whose volume is empty) or base configuration."""
    assert moves(STATE, **changed)


@pytest.mark.parametrize("found", [None, "frontend live\n  bind :8080\n"])
def test_a_route_changed_by_hand_is_put_right(found: str | None) -> None:
    """A refresh has seen another file, or none: the next update writes it again."""
    assert moves({**STATE, "config": found})


def test_the_ledger_appends_and_keeps_a_bounded_number() -> None:
    """Oldest first; a release that comes back is told again."""
    ledger = LedgerProvider()
    state: dict[str, Any] = ledger.create({"release": "r-0", "entry": {"id": 0}, "entries": None}).outs or {}
    for number in range(1, KEPT_ENTRIES + 5):
        state = ledger.update("ledger", state, {"release": f"r-{number}", "entry": {"id": number}}).outs or {}
    assert [entry["id"] for entry in state["entries"]] == list(range(5, KEPT_ENTRIES + 5))


def test_only_another_release_is_news_to_the_ledger() -> None:
    """Time and operator differ at each run; that is no change."""
    old = {"release": "r-1", "entry": {"at": "then"}}
    assert not LedgerProvider().diff("ledger", old, {"release": "r-1", "entry": {"at": "now"}}).changes
    assert LedgerProvider().diff("ledger", old, {"release": "r-2", "entry": {"at": "now"}}).changes


@pytest.mark.parametrize("provider", [RouteProvider, GateProvider, LedgerProvider, BaseImageProvider])
def test_providers_are_pickled_by_reference(provider: type) -> None:
    """The engine keeps them in the state: their code must not be, or each edit would be a change."""
    assert len(pickle.dumps(provider())) < 200
