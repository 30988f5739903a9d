"""The watch judges the release: in a disturbed world a good one stays, and a bad one goes in any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from fake_world import EACH_S, ForEver, Interval, World

from contracts.targets import read_targets
from contracts.verdict import Check
from runbook.monitor import Limits, Monitor, Sends, Webhooks, watch

TARGETS = read_targets()
USUAL = Sends(sent=990, refused=10)
"""One in a hundred: customers who have blocked the number, or have none."""

USUAL_WEBHOOKS = Webhooks(taken=5000, refused=5)
"""Now and then somebody tries a signature."""

USUAL_S = 7200.0
"""In two hours: seven in ten seconds."""

WELL = Interval()
QUIET = Interval(answers=0, taken=0, sent=0)
FORGED = Interval(answers=1, refused=1, refused_webhooks=1, taken=0, sent=0)
FULL = Interval(errors=50, full=50, taken=0, sent=0)
"""Redis or the queue is: all is refused with 503, and counted as refused for that."""
DOWN = {"dependencies_up": False}
"""The release's health report says that WAHA or the database is."""
AWAY = {**DOWN, "redis_away": True, "ready_problem": "HTTP 503", "queue": None}
NO_ENGINE = dict.fromkeys(["release", "counters", "restarts", "memory_share", "queue", "sends", "webhooks"])


def without_redis(**more: Any) -> Interval:
    """Nothing is taken, and it is seen that Redis cannot be reached."""
    return Interval(**{"errors": 50, "taken": 0, "sent": 0, "seen": AWAY, **more})


def watched(
    intervals: Iterable[Interval],
    for_s: float,
    usual: Sends = USUAL,
    usual_webhooks: Webhooks = USUAL_WEBHOOKS,
    usual_s: float = USUAL_S,
) -> tuple[list[Check] | None, World]:
    """What the watch finds, by the targets as they are."""
    world = World(intervals)
    monitor = Monitor("r-2", Limits(TARGETS.watch, TARGETS.rollout, usual, usual_webhooks, usual_s))
    return watch(monitor, world.observe, for_s, lambda: world.now, world.sleep), world


def test_the_worlds_are_observed_as_often_as_the_targets_say() -> None:
    """Each interval is one observation's."""
    assert TARGETS.watch.each_s == EACH_S


GOOD: dict[str, Iterable[Interval]] = {
    "nothing happens": [],
    "Redis is away for 5 s": [WELL, without_redis(), WELL],
    "Redis is away for 15 s": [WELL, *3 * [without_redis()], WELL],
    "Redis is away for a minute": [WELL, *12 * [without_redis()], WELL],
    "Redis is restarted between two observations": [WELL, Interval(errors=20), WELL],
    "Redis hangs for 15 s, and each answer takes 2 s": [
        *4 * [WELL],
        *3 * [without_redis(time_ms=2000)],
        WELL,
    ],
    "Redis is away when the watch begins": [without_redis(), without_redis(), WELL],
    "Redis is away while messages wait": [
        WELL,
        *12 * [without_redis()],
        Interval(taken=0, sent=0, waits_s=62),
        Interval(taken=0, sent=0, waits_s=67),
        Interval(taken=90, waits_s=2),
    ],
    "WAHA or the database cannot be reached": ForEver(WELL, Interval(sent=0, unanswered=40, seen=DOWN)),
    "WAHA is away for a minute and a half, from the beginning": [
        *18 * [Interval(sent=0, unanswered=40, seen=DOWN)],
        WELL,
    ],
    "WAHA goes away and comes back again and again": ForEver(
        WELL,
        Interval(sent=0, unanswered=3),
        *3 * [Interval(sent=0, unanswered=40, seen=DOWN)],
        *2 * [Interval(answers=0, taken=0, sent=0)],
        Interval(sent=2),
        cycle=True,
    ),
    "WAHA is started again, then nobody sends anything": ForEver(
        WELL, Interval(sent=0, unanswered=5), Interval(answers=0, taken=0, sent=0)
    ),
    "WAHA answers 5xx now and then": ForEver(WELL, Interval(sent=20, unanswered=20), cycle=True),
    "WAHA answers 5xx for half a minute": [WELL, *6 * [Interval(sent=0, unanswered=40)], WELL],
    "WAHA answers 5xx for ever to a release that it has answered well": ForEver(
        *3 * [WELL], Interval(sent=0, unanswered=40)
    ),
    "WAHA answers 5xx after it has sent": ForEver(Interval(sent=0, unanswered=40, replied=39)),
    "the session is stopped": ForEver(Interval(sent=0, unavailable=40, waits_s=2)),
    "a backlog of an hour drains": [Interval(taken=300, waits_s=3600 - 5 * n) for n in range(60)],
    "a backlog that hardly gets shorter": ForEver(Interval(taken=1, waits_s=3600)),
    "one message that cannot be sent": [WELL, Interval(sent=39, send_refused=1), WELL],
    "one message that cannot be understood": [WELL, Interval(sent=39, failed=1), WELL],
    "as many refused as usual": ForEver(*2 * [WELL], Interval(sent=39, send_refused=1), cycle=True),
    "errors in one single interval": [WELL, Interval(errors=50), WELL],
    "one slow moment": [WELL, Interval(answers=300, time_ms=1500), WELL],
    "one slow moment, then nobody sends anything": ForEver(
        WELL, Interval(answers=300, time_ms=1500), Interval(answers=0, taken=0, sent=0)
    ),
    "one slow answer": [WELL, Interval(slowest_ms=9000), WELL],
    "strangers are refused": ForEver(Interval(answers=500, refused=480)),
    "strangers are refused, and nobody else sends anything": ForEver(
        Interval(answers=5, refused=5, taken=0, sent=0)
    ),
    "a stranger tries signatures for half a minute, and nobody else sends anything": [
        *7 * [Interval(answers=50, refused=50, refused_webhooks=50, taken=0, sent=0)],
        *20 * [Interval(answers=0, taken=0, sent=0)],
    ],
    "a stranger tries three signatures in 40 s, and nobody else sends anything": ForEver(
        *2 * [QUIET], *2 * [FORGED, *3 * [QUIET]], FORGED, QUIET
    ),
    "a stranger tries signatures for a quiet hour": ForEver(FORGED, *5 * [QUIET], cycle=True),
    "a stranger tries signatures all the time": ForEver(
        Interval(answers=60, refused=50, refused_webhooks=50, taken=8, sent=8)
    ),
    "nobody sends anything": ForEver(Interval(answers=0, taken=0, sent=0)),
    "a message now and then, one answered 5xx": ForEver(
        *5 * [Interval(answers=0, taken=0, sent=0)],
        Interval(answers=1, errors=1, taken=0, sent=0),
        Interval(answers=0, taken=0, sent=0),
    ),
    "the engine answers nothing for a while": [WELL, *6 * [Interval(seen=NO_ENGINE)], WELL],
    "the engine answers nothing when the watch begins": [Interval(seen=NO_ENGINE), WELL],
    "the model takes half a minute": ForEver(
        WELL, *6 * [Interval(taken=0, sent=0, waits_s=29)], Interval(taken=8, sent=8, waits_s=29), cycle=True
    ),
    "the proxy is reloaded again and again": ForEver(WELL, Interval(is_reloaded=True), cycle=True),
    "the proxy is started again": [
        WELL,
        Interval(is_reloaded=True, seen={"ready_problem": "refused", "counters": None}),
        WELL,
    ],
    "one that was not ready for a moment": [WELL, Interval(seen={"ready_problem": "HTTP 503"}), WELL],
    "one whose memory was short for a moment": [WELL, Interval(seen={"memory_share": 0.95}), WELL],
    "one that was started again before the watch": ForEver(Interval(seen={"restarts": 7})),
    "Redis has no memory for more messages": ForEver(WELL, FULL),
    "Redis has no memory now and then": ForEver(*2 * [WELL], *2 * [FULL], cycle=True),
    "the queue is full while a backlog drains": ForEver(
        WELL, Interval(errors=30, full=30, taken=20, waits_s=600)
    ),
    "the processes count refusals that the proxy tells at the next look": ForEver(
        *3 * [WELL], Interval(full=40), Interval(errors=40), cycle=True
    ),
    "Redis has no memory, and now and then nobody tells what is refused": ForEver(
        WELL, *2 * [FULL], *3 * [replace(FULL, seen={"webhooks": None})], cycle=True
    ),
    "many were refused last week, and the engine does not answer when the watch begins": [
        Interval(send_refused=400, failed=400, seen=NO_ENGINE),
        WELL,
    ],
    "ten times as much traffic": ForEver(*6 * [WELL], Interval(answers=500, time_ms=40)),
}


@pytest.mark.parametrize("world", GOOD)
def test_a_good_release_stays(world: str) -> None:
    """For the whole quarter of an hour after a hotfix."""
    failing, seen = watched(GOOD[world], TARGETS.watch.after_hotfix_s)
    assert [str(check) for check in failing or []] == []
    assert failing is not None
    assert seen.observed == TARGETS.watch.after_hotfix_s / EACH_S + 1


@pytest.mark.parametrize("refused", [3, 12])
def test_without_a_usual_share_a_few_refused_are_no_reason(refused: int) -> None:
    """Nothing is kept beside the release, or it never sent: what was usual is not known."""
    intervals = [WELL, *refused * [Interval(sent=39, send_refused=1)], WELL]
    failing, _ = watched(intervals, TARGETS.watch.after_hotfix_s, Sends())
    assert failing == []


BAD: dict[str, tuple[str, Callable[[], Iterable[Interval]]]] = {
    "it is not ready": ("ready", lambda: ForEver(WELL, Interval(seen={"ready_problem": "HTTP 503"}))),
    "it does not answer": ("ready", lambda: ForEver(WELL, Interval(seen={"ready_problem": "timed out"}))),
    "it is started again and again": (
        "restarts",
        lambda: [Interval(seen={"restarts": number // 3}) for number in range(30)],
    ),
    "its memory fills": (
        "memory",
        lambda: [Interval(seen={"memory_share": min(0.99, 0.5 + 0.05 * number)}) for number in range(30)],
    ),
    "one in twenty answers is 5xx": ("error rate", lambda: ForEver(WELL, Interval(answers=40, errors=2))),
    "each of its few answers is 5xx": (
        "error rate",
        lambda: ForEver(*2 * [Interval(answers=0, sent=0, taken=0), Interval(answers=1, errors=1)]),
    ),
    "one in ten answers is 5xx, and some more are refused because Redis is full": (
        "error rate",
        lambda: ForEver(WELL, Interval(errors=8, full=3)),
    ),
    "each of its answers is 5xx, and it does not tell that any is refused": (
        "error rate",
        lambda: ForEver(WELL, Interval(errors=50, seen={"webhooks": None})),
    ),
    "its answers take 400 ms": ("mean answer", lambda: ForEver(WELL, Interval(time_ms=400, answers=250))),
    "some of its answers take longer and longer": (
        "slowest answer",
        lambda: [WELL, *(Interval(slowest_ms=3500 + 100 * number) for number in range(30))],
    ),
    "its workers take nothing": (
        "queue stands still",
        lambda: [
            WELL,
            *(Interval(taken=0, sent=0, waits_s=5 * number) for number in range(1, 30)),
        ],
    ),
    "it has a wrong key for WAHA": (
        "refused sends",
        lambda: ForEver(WELL, Interval(sent=0, send_refused=40)),
    ),
    "it has a wrong key for WAHA, and a message now and then": (
        "refused sends",
        lambda: ForEver(WELL, Interval(answers=1, taken=1, sent=0, send_refused=1)),
    ),
    "one in five of what it sends is refused": (
        "refused sends",
        lambda: ForEver(WELL, Interval(sent=32, send_refused=8)),
    ),
    "none of what it sends is answered, and WAHA is up": (
        "unanswered messages",
        lambda: ForEver(WELL, Interval(sent=0, unanswered=40)),
    ),
    "none of what it sends is answered, a message now and then": (
        "unanswered messages",
        lambda: ForEver(WELL, Interval(answers=1, taken=1, sent=0, unanswered=1)),
    ),
    "an error of its own ends each message": (
        "failed messages",
        lambda: ForEver(WELL, Interval(sent=0, failed=40)),
    ),
    "an error of its own ends one message in five": (
        "failed messages",
        lambda: ForEver(WELL, Interval(sent=32, failed=8)),
    ),
    "it takes no webhook that is signed": (
        "refused webhooks",
        lambda: ForEver(
            Interval(answers=0, taken=0, sent=0),
            Interval(answers=1, refused=1, refused_webhooks=1, taken=0, sent=0),
        ),
    ),
    "it is started again, and the engine did not answer at first": (
        "restarts",
        lambda: [
            Interval(seen=NO_ENGINE),
            *(Interval(seen={"restarts": number // 3}) for number in range(30)),
        ],
    ),
    "an error of its own ends each message, and the engine did not answer at first": (
        "failed messages",
        lambda: ForEver(Interval(seen=NO_ENGINE), WELL, Interval(sent=0, failed=40)),
    ),
    "it is not ready, and Redis was away before": (
        "ready",
        lambda: ForEver(without_redis(), WELL, Interval(seen={"ready_problem": "HTTP 503"})),
    ),
}


@pytest.mark.parametrize("release", BAD)
def test_a_bad_release_goes(release: str) -> None:
    """By the check that is meant for it alone, within the minute after `up`."""
    name, intervals = BAD[release]
    failing, _ = watched(intervals(), TARGETS.watch.after_up_s)
    assert failing is not None
    assert [check.name for check in failing] == [name]


@pytest.mark.parametrize("for_s", [0.0, 1_000_000.0], ids=["nobody knows", "one in three minutes"])
def test_refused_webhooks_are_no_evidence_where_none_was_due(for_s: float) -> None:
    """However many a stranger tries: WAHA may have sent nothing in a quarter of an hour."""
    many = ForEver(Interval(answers=50, refused=50, refused_webhooks=50, taken=0, sent=0))
    failing, _ = watched(many, TARGETS.watch.after_hotfix_s, usual_s=for_s)
    assert failing == []


def test_webhooks_refused_in_a_quiet_hour_are_found_in_time() -> None:
    """After four minutes: fewer than usual, and more than nothing but strangers would send."""
    steps = ForEver(QUIET, FORGED, *3 * [QUIET, FORGED], QUIET, cycle=True)
    failing, _ = watched(steps, TARGETS.watch.after_hotfix_s, usual_s=6 * USUAL_S)
    assert [check.name for check in failing or []] == ["refused webhooks"]


@pytest.mark.parametrize("usual", [Webhooks(), Webhooks(taken=0, refused=500), Webhooks(10, 5000)])
def test_refused_webhooks_are_no_evidence_where_they_are_usual(usual: Webhooks) -> None:
    """They are strangers', as far as anybody knows: the release before it took none, or few of many."""
    refusing = ForEver(Interval(answers=1, refused=1, refused_webhooks=1, taken=0, sent=0))
    failing, _ = watched(refusing, TARGETS.watch.after_up_s, usual_webhooks=usual)
    assert failing == []


def test_without_a_usual_share_a_wrong_key_is_found_all_the_same() -> None:
    """The first release of a stack, or nothing is kept beside: all that it sends is refused."""
    intervals = ForEver(WELL, Interval(sent=0, send_refused=1, taken=1))
    failing, _ = watched(intervals, TARGETS.watch.after_up_s, Sends())
    assert [check.name for check in failing or []] == ["refused sends"]
