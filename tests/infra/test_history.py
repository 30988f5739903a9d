"""What a stack's outputs tell of its releases."""

from __future__ import annotations

from typing import Any

from infra.history import EARLIER, REMEMBERED, History, remembered


def entry(release: str, verb: str = "up", replaced: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of the ledger."""
    return {
        "manifest": {"id": release},
        "order": {"verb": verb, "reason": "it fails", "gate": "full"},
        "replaced": replaced,
        "at": "2026-11-25T03:04:05+00:00",
        "by": "kim@host",
        **more,
    }


def history(*entries: dict[str, Any], live: str, kept: tuple[str, ...] = ()) -> History:
    """As it is in the outputs."""
    return History.of({"release": live, "releases": list(entries), "kept": list(kept)})


def test_before_the_first_update_there_is_nothing() -> None:
    """No outputs, no releases."""
    assert History.of({}) == History(None, (), ())


def test_a_rollback_takes_out_the_release_that_it_replaced() -> None:
    """Who, when and why is known."""
    found = history(entry("r-1"), entry("r-2", replaced="r-1"), entry("r-1", "rollback", "r-2"), live="r-1")
    assert list(found.rolled_back) == ["r-2"]
    assert str(found.rolled_back["r-2"]) == "at 2026-11-25 03:04 by kim@host: it fails"
    assert found.rolled_back["r-2"].to == "r-1"


def test_an_ordinary_update_takes_out_none() -> None:
    """What was replaced may come back."""
    assert history(entry("r-1"), entry("r-2", replaced="r-1"), live="r-2").rolled_back == {}


def test_a_release_that_is_live_again_is_forgiven() -> None:
    """By force, or by another rollback."""
    found = history(entry("r-1"), entry("r-1", "rollback", "r-2"), entry("r-2", replaced="r-1"), live="r-2")
    assert found.rolled_back == {}


def test_a_release_that_did_not_keep_the_traffic_never_was_live() -> None:
    """It can neither be brought back, nor does it forgive."""
    refused = entry("r-2", replaced="r-1", refusal=["traffic: r-2 did not keep the traffic"])
    found = history(entry("r-1"), entry("r-1", "rollback", "r-2"), refused, live="r-1")
    assert list(found.manifests) == ["r-1"]
    assert list(found.rolled_back) == ["r-2"]


def test_the_live_release_is_the_first_that_can_stay() -> None:
    """Then those that stayed so far, latest first; never the one that comes, nor one that was rolled back."""
    entries = [entry(f"r-{number}") for number in range(1, 5)]
    found = history(*entries, live="r-4", kept=("r-3", "r-2"))
    assert [kept["id"] for kept in found.keepable("r-5", takes_out=False)] == ["r-4", "r-3", "r-2"]
    assert [kept["id"] for kept in found.keepable("r-4", takes_out=False)] == ["r-3", "r-2"]
    assert [kept["id"] for kept in found.keepable("r-2", takes_out=True)] == ["r-3"]


def test_a_release_whose_containers_are_gone_is_not_kept() -> None:
    """Keeping is for what runs: r-1 was live once, and is not among those."""
    found = history(entry("r-1"), entry("r-2"), entry("r-3"), live="r-3", kept=("r-2",))
    assert [kept["id"] for kept in found.keepable("r-4", takes_out=False)] == ["r-3", "r-2"]


def test_entries_from_before_orders_were_noted_are_read() -> None:
    """A stack that an older version deployed goes on."""
    old = {"manifest": {"id": "r-1"}, "at": "2026-11-01T00:00:00+00:00", "by": "kim@host"}
    found = History.of({"release": "r-1", "releases": [old]})
    assert found.rolled_back == {}
    assert found.entries[0]["order"]["verb"] == "up"


def test_the_ledger_is_bounded() -> None:
    """The oldest go first."""
    entries = [entry(f"r-{number}") for number in range(REMEMBERED + 5)]
    assert remembered(entries) == entries[5:]


def test_what_can_come_back_is_remembered_however_much_came_since() -> None:
    """The live release and the good ones before it; neither refusals nor rollbacks push them out."""
    good = [entry(f"r-{number}") for number in range(EARLIER + 3)]
    refused = [entry("r-bad", refusal=["traffic: it failed"]) for _ in range(REMEMBERED + 1)]
    assert remembered([*good, *refused]) == [*good[2:], *refused[1:]]

    live = good[-1]["manifest"]["id"]
    taken_out = [
        made
        for number in range(REMEMBERED)
        for made in (entry(f"r-bad-{number}", replaced=live), entry(live, "rollback", f"r-bad-{number}"))
    ]
    entries = remembered([*good, *taken_out])
    assert entries == [*good[2:-1], *taken_out[-REMEMBERED:]]
    found = history(*entries, live=live, kept=("r-3",))
    assert [kept["id"] for kept in found.keepable("r-next", takes_out=False)] == [live, "r-3"]


def test_a_release_is_of_the_sources_that_it_was_made_from() -> None:
    """Those of its last `up` or `hotfix`, be they noted again when it was brought back or not."""
    entries = [
        entry("r-1", commit="1111", branch="main", behind=2),
        entry("r-1", "hotfix", commit="1112", branch="hotfix/x"),
        entry("r-2", replaced="r-1", commit="2222"),
        entry("r-1", "rollback", "r-2", commit="2222"),
        entry("r-1", commit="3333", refusal=["traffic: it failed"]),
    ]
    found = history(*entries, live="r-1")
    assert found.sources("r-1") == {"commit": "1112", "branch": "hotfix/x"}
    assert history(*entries[3:], live="r-1").sources("r-1") == {"commit": "2222"}
    assert found.sources("r-9") == {}
