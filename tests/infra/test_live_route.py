"""The live route's file: what is live, how it came to be, and a canary whose share ends by itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra import live_route
from infra.haproxy_config import Backend
from infra.live_route import (
    LEASE_END,
    MAX_MOVES,
    Canary,
    LiveRoute,
    Move,
    live_config,
    read_live_route,
    redirected,
    routing_of,
)

OLD, NEW = Backend("r-1", ("web-1-r-1", "web-2-r-1")), Backend("r-2", ("web-1-r-2",))
MOVES = (Move(id="a", release="r-1"), Move(id="b", release="r-2", replaced="r-1", verb="up"))


def leased(until_s: int = 1000) -> str:
    """A route with a canary, as the proxy has it."""
    return live_config(OLD, MOVES[:1], Canary(NEW, 5)).replace(LEASE_END, str(until_s))


def test_what_is_written_is_read_again() -> None:
    """Release, servers, moves; and a canary with the end of its lease."""
    assert read_live_route(live_config(OLD, MOVES)) == LiveRoute(OLD, MOVES)
    assert read_live_route(leased()) == LiveRoute(OLD, MOVES[:1], NEW, 1000)


@pytest.mark.parametrize("config", [None, "", "frontend live\n  bind :8080\n"])
def test_a_file_that_leads_nowhere_is_no_route(config: str | None) -> None:
    """Before the first release, and after somebody has emptied it."""
    assert read_live_route(config) is None


def test_a_canary_has_its_share_until_its_lease_ends() -> None:
    """By the proxy's own clock."""
    assert "use_backend canary if { date() lt 1000 } { rand(100) lt 5 }" in leased()


def test_the_workers_are_told_who_is_live_by_the_same_file() -> None:
    """The canary is not: its messages are the live release's until it is."""
    assert 'string "r-1"' in leased()
    assert 'string "r-2"' in live_config(NEW)


@given(st.text(), st.text(max_size=300), st.text(max_size=250))
@example("😀" * 400, "ü" * 200, "ü" * 200)
@example("no UTF-8: \udcff", "\udcff@host", "\udcff")
def test_whatever_a_reason_holds_the_file_stays_one(reason: str, by: str, branch: str) -> None:
    """It is in one line, short enough for HAProxy, and comes back."""
    commit = "0123456789ab+"
    move = Move.now("r-2", "r-1", verb="rollback", reason=reason, by=by, commit=commit, branch=branch)
    config = live_config(NEW, [move])
    assert max(map(len, config.encode().split(b"\n"))) < 2048
    assert routing_of(config) == routing_of(live_config(NEW))
    route = read_live_route(config)
    assert route
    assert route.moves == (move,)


def test_a_line_changed_by_hand_is_passed_over() -> None:
    """The traffic matters more than its history."""
    config = live_config(OLD, MOVES).replace('"id": "a"', '"id": 7x')
    assert read_live_route(config) == LiveRoute(OLD, MOVES[1:])


def last_id_in_the_proxy(config: str) -> str:
    """The id of the last move, as the script takes it that changes the routes."""
    script = Path(live_route.__file__).with_name("change_routes.sh").read_text()
    expression = re.findall(r"last=\$\(sed -n '([^']*)' live.cfg", script)
    found = subprocess.run(
        ["sed", "-n", *expression], input=config, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("whole", "damaged", "last"),
    [
        ('"reason": ""', '"reason": ""', "b"),
        ('"reason": ""', r'"reason": "\udcff"', "b"),
        ('"release": "r-2", ', "", "b"),
        ('"verb": "up"', '"verb": "u', "b"),
        ('"branch": ""}', "", "b"),
        ('"id": "b"', '"id": b', "a"),
        ('"id": "b", "release": "r-2"', '"release": "r-2", "id": "b"', "a"),
        ('# move {"id": "b"', '# move {"id":"b"', "a"),
    ],
)
def test_the_last_move_is_the_same_one_for_the_script_that_asks_for_it(
    whole: str, damaged: str, last: str
) -> None:
    """Else no other could come after it, for good. Of a damaged one its id is known, and goes on being."""
    *before, line = live_config(OLD, MOVES).splitlines()
    config = "\n".join([*before, line.replace(whole, damaged)]) + "\n"
    route = read_live_route(config)
    assert route
    assert (route.moves[-1].id, last_id_in_the_proxy(config)) == (last, last)
    assert route.moves[-1].release == ("" if damaged != whole and last == "b" else f"r-{len(route.moves)}")
    assert read_live_route(live_config(OLD, route.moves)) == route


def test_the_moves_are_bounded() -> None:
    """The last ones stay."""
    moves = [Move(id=str(number), release="r-1") for number in range(MAX_MOVES + 5)]
    route = read_live_route(live_config(OLD, moves))
    assert route
    assert [move.id for move in route.moves] == [str(number) for number in range(5, MAX_MOVES + 5)]


def test_a_route_is_the_same_whatever_its_moves_and_its_canary_are() -> None:
    """Only what HAProxy serves when the lease is over makes a difference."""
    assert routing_of(leased()) == routing_of(live_config(OLD, MOVES)) == routing_of(live_config(OLD))
    assert routing_of(live_config(OLD)) != routing_of(live_config(NEW))


def test_a_rollback_changes_where_it_leads_and_nothing_else() -> None:
    """Whatever this checkout would write today: timeouts and limits stay as they were."""
    by_another_version = (
        leased().replace("gt 2000 }", "gt 77 }").replace("maxconn 1000", "maxconn 50 weight 9")
    )
    found = redirected(by_another_version, NEW, MOVES)
    assert read_live_route(found) == LiveRoute(NEW, MOVES)
    expected = live_config(NEW).replace("gt 2000 }", "gt 77 }").replace("maxconn 1000", "maxconn 50 weight 9")
    assert routing_of(found) == routing_of(expected)
