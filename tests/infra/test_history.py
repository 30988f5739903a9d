"""What the proxy and a stack's state tell of its releases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from records import deployed, history_of, in_order, manifest, outputs_of, record, route

from infra.history import MAX_GOOD, MAX_RECORDS, History, read_records, remembered
from infra.live_route import Move
from infra.observed import Observed
from infra.provenance import Sources
from infra.release_record import ReleaseRecord
from infra.suites import Depth

BY_TWO_CLOCKS = (
    Move(id="m-1", release="r-1", at="2026-11-24T01:00:00+00:00"),
    Move(id="m-2", release="r-2", replaced="r-1", at="2026-11-24T01:08:00+00:00"),
    Move(id="m-3", release="r-1", replaced="r-2", verb="rollback", at="2026-11-24T01:06:00+00:00"),
)
"""The rollback was typed two minutes after the update before it, where the clock is four minutes behind."""


def test_before_the_first_update_there_is_nothing() -> None:
    """No outputs, no releases."""
    assert History.of({}, Observed()) == History(None, ())


def test_a_rollback_takes_out_the_release_that_it_replaced() -> None:
    """Who, when and why is known."""
    found = history_of(outputs_of(record("r-1"), record("r-2"), record("r-1", "rollback", "it fails")))
    assert list(found.rolled_back) == ["r-2"]
    assert str(found.rolled_back["r-2"]) == "at 2026-11-24 12:12 by root@a-machine-with-a-long-name: it fails"
    assert found.rolled_back["r-2"].to == "r-1"


def test_an_ordinary_update_takes_out_none() -> None:
    """What was replaced may come back."""
    assert history_of(deployed("r-1", "r-2")).rolled_back == {}


def test_a_release_that_is_live_again_is_forgiven() -> None:
    """By force, or by another rollback."""
    records = [record("r-1"), record("r-2"), record("r-1", "rollback"), record("r-2")]
    assert history_of(outputs_of(*records)).rolled_back == {}


def test_a_release_that_did_not_keep_the_traffic_never_was_live() -> None:
    """It can neither be brought back, nor does it forgive; how often it lost the traffic is known."""
    lost = record("r-2", refusal=["traffic: r-2 did not keep the traffic"])
    found = history_of(outputs_of(record("r-1"), record("r-2"), record("r-1", "rollback"), lost))
    assert (found.releases, found.good) == (["r-1", "r-2"], ["r-1"])
    assert list(found.rolled_back) == ["r-2"]
    assert (found.lost_traffic("r-2"), found.lost_traffic("r-1")) == (1, 0)


class TestProxy:
    """The proxy is the truth about what is live; the state follows."""

    def test_an_update_that_was_interrupted_after_its_move(self) -> None:
        """The new release serves: a rollback takes that one out, the good one is the first to come back."""
        move = Move(id="m-12", release="r-3", replaced="r-2", at="2026-11-24T12:12:31+00:00", by="kim@host")
        found = history_of(deployed("r-1", "r-2"), route("r-3", move))
        assert (found.live, found.live_in_state) == ("r-3", "r-2")
        assert found.good == ["r-3", "r-2", "r-1"]
        assert found.rolled_back == {}
        assert found.disagreement == "the proxy serves r-3, the state says that r-2 is live"

    def test_a_rollback_whose_state_has_not_followed(self) -> None:
        """It sticks: the bad release is known as such, and why."""
        moves = [
            Move(id="m-11", release="r-2", replaced="r-1", at="2026-11-24T12:11:31+00:00"),
            Move(
                id="m-12",
                release="r-1",
                replaced="r-2",
                verb="rollback",
                reason="slow",
                at="2026-11-24T12:12:31+00:00",
                by="kim@host",
            ),
        ]
        found = history_of(deployed("r-1", "r-2"), route("r-1", *moves))
        assert (found.live, list(found.rolled_back)) == ("r-1", ["r-2"])
        assert str(found.rolled_back["r-2"]) == "at 2026-11-24 12:12 by kim@host: slow"
        assert found.records[-1].manifest == manifest("r-1")
        assert found.sources("r-1").commit == "4cb1406aaaaa+"

    def test_moves_that_are_recorded_are_not_told_twice(self) -> None:
        """The ledger's own entry has the evidence."""
        moves = [
            Move(id=each.move, release=each.release, replaced=each.replaced, at=each.at)
            for each in in_order(record("r-1"), record("r-2"))
        ]
        found = history_of(deployed("r-1", "r-2"), route("r-2", *moves))
        assert found.records == read_records(deployed("r-1", "r-2")["releases"])
        assert found.disagreement is None

    def test_the_moves_alone_tell_what_was_live(self) -> None:
        """Where the state cannot be read at all, as in a rollback."""
        moves = [
            Move(id=f"m-{number}", release=f"r-{number}", replaced=f"r-{number - 1}", at=f"{number}")
            for number in (1, 2, 3)
        ]
        found = History.of({}, Observed(route("r-3", *moves)))
        assert (found.live, found.good) == ("r-3", ["r-3", "r-2", "r-1"])
        assert found.manifests == {}

    def test_a_rollback_by_a_clock_that_is_behind_takes_out_what_it_took_out(self) -> None:
        """The route's order counts: it is written under a lock, and each machine has a clock of its own."""
        found = History.of({}, Observed(route("r-1", *BY_TWO_CLOCKS)))
        assert list(found.rolled_back) == ["r-2"]
        assert (found.good, found.records[-1].verb) == (["r-1"], "rollback")

    @pytest.mark.parametrize("recorded", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), (0, 2, 1)])
    def test_moves_that_are_recorded_are_in_the_route_s_order_too(self, recorded: tuple[int, ...]) -> None:
        """Whichever of them the state has, also one that an older version sorted by their times."""
        moves = [BY_TWO_CLOCKS[number] for number in recorded]
        records = [ReleaseRecord.of_move(move, None, manifest(move.release)).as_data() for move in moves]
        found = History.of({"releases": records}, Observed(route("r-1", *BY_TWO_CLOCKS)))
        assert [each.move for each in found.records] == ["m-1", "m-2", "m-3"]
        assert (list(found.rolled_back), found.good) == (["r-2"], ["r-1"])

    def test_what_the_route_does_not_tell_of_keeps_its_place(self) -> None:
        """Refusals, releases from before moves were noted, and moves that are older than the route's file."""
        older, refused = record("r-0", move=""), record("r-9", refusal=["traffic: it failed"])
        first = ReleaseRecord.of_move(BY_TWO_CLOCKS[0], None, None)
        records = [older, record("r-0", move="m-0"), first, refused]
        outputs = {"releases": [each.as_data() for each in records]}
        found = History.of(outputs, Observed(route("r-1", *BY_TWO_CLOCKS)))
        assert found.records[:4] == tuple(records)
        assert [each.move for each in found.records[4:]] == ["m-2", "m-3"]

    def test_a_move_of_which_nothing_but_the_id_is_known_is_of_no_release(self) -> None:
        """Its line in the route is damaged: none with an empty name was live, or can come back."""
        found = history_of(deployed("r-1", "r-2"), route("r-2", Move(id="m-12", release="")))
        assert found == history_of(deployed("r-1", "r-2"))

    def test_without_the_engine_it_is_what_the_state_says(self) -> None:
        """Nothing disagrees then."""
        found = History.in_state(deployed("r-1", "r-2", kept=("r-1",)))
        assert (found.live, found.running, found.disagreement) == ("r-2", ("r-1",), None)


def test_the_live_release_is_the_first_that_can_stay() -> None:
    """Then those that stayed so far, latest first; never the one that comes, nor one that was rolled back."""
    found = history_of(deployed("r-1", "r-2", "r-3", "r-4", kept=("r-2", "r-3")))
    assert [kept.id for kept in found.keepable("r-5", takes_out=False)] == ["r-4", "r-3", "r-2"]
    assert [kept.id for kept in found.keepable("r-4", takes_out=False)] == ["r-3", "r-2"]
    assert [kept.id for kept in found.keepable("r-2", takes_out=True)] == ["r-3"]


def test_a_release_whose_containers_are_gone_is_not_kept() -> None:
    """Keeping is for what runs: r-1 was live once, and is not among those."""
    found = history_of(deployed("r-1", "r-2", "r-3", kept=("r-2",)))
    assert [kept.id for kept in found.keepable("r-4", takes_out=False)] == ["r-3", "r-2"]


def test_records_from_before_their_fields_had_names_are_read() -> None:
    """A stack that an older version deployed goes on."""
    old = {
        "manifest": {"id": "r-1", "image": "i", "shape": manifest("r-1").sizing.model_dump(), "env": {}},
        "order": {"verb": "hotfix", "reason": "why", "gate": "smoke"},
        "at": "2026-11-01T00:00:00+00:00",
        "by": "kim@host",
        "commit": "1111",
    }
    (found,) = read_records([old])
    assert (found.release, found.verb, found.reason, found.depth) == ("r-1", "hotfix", "why", Depth.SMOKE)
    assert found.manifest
    assert found.manifest.sizing == manifest("r-1").sizing
    assert History.in_state({"release": "r-1", "releases": [old]}).good == ["r-1"]


def test_what_the_state_keeps_of_a_record_is_the_record() -> None:
    """It drops what is null, and keeps whole numbers as floats."""
    data = record("r-1", ahead=None, behind=2).as_data()
    kept = {name: value for name, value in data.items() if value is not None}
    kept["behind"], kept["manifest"]["sizing"]["web_replicas"] = 2.0, 1.0
    assert ReleaseRecord.model_validate(kept) == record("r-1", ahead=None, behind=2)


def test_the_ledger_is_bounded() -> None:
    """The oldest go first."""
    records = in_order(*(record(f"r-{number}") for number in range(MAX_RECORDS + 5)))
    assert list(remembered(records)) == records[5:]


def test_what_can_come_back_is_remembered_however_much_came_since() -> None:
    """The live release and the good ones before it; neither refusals nor rollbacks push them out."""
    good = [record(f"r-{number}") for number in range(MAX_GOOD + 3)]
    refused = [record("r-bad", refusal=["traffic: it failed"]) for _ in range(MAX_RECORDS + 1)]
    assert list(remembered([*good, *refused])) == [*good[2:], *refused[1:]]

    live = good[-1].release
    taken_out = [
        made
        for number in range(MAX_RECORDS)
        for made in (record(f"r-bad-{number}"), record(live, "rollback", replaced=f"r-bad-{number}"))
    ]
    records = remembered([*good, *taken_out])
    assert list(records) == [*good[2:-1], *taken_out[-MAX_RECORDS:]]
    found = replace(History(live, records), running=("r-3",))
    assert [kept.id for kept in found.keepable("r-next", takes_out=False)] == [live, "r-3"]


def test_a_release_is_of_the_sources_that_it_was_made_from() -> None:
    """Those of its last `up` or `hotfix`, be they noted again when it was brought back or not."""
    records = [
        record("r-1", commit="1111", branch="main", behind=2),
        record("r-1", "hotfix", commit="1112", branch="hotfix/x"),
        record("r-2", commit="2222"),
        record("r-1", "rollback", commit="2222"),
        record("r-1", commit="3333", refusal=["traffic: it failed"]),
    ]
    found = History("r-1", tuple(records))
    assert found.sources("r-1") == Sources(commit="1112", branch="hotfix/x")
    assert History("r-1", tuple(records[3:])).sources("r-1").commit == "2222"
    assert found.sources("r-9") == Sources()
