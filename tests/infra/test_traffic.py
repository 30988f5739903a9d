"""Traffic moves in steps, judged by the new release's own answers, and goes back when they are bad."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from contracts.targets import Rollout
from contracts.verdict import Verdict
from infra.errors import Refused
from infra.haproxy_config import Backend
from infra.live_route import Canary, Move, live_config, read_live_route
from infra.proxy_control import MAX_RELOAD_S, Counters, RouteMoved
from infra.traffic import TrafficShifter, judge, refusal

OLD, NEW = Backend("r-1", ("old",)), Backend("r-2", ("new",))
EARLIER = Move(id="m-1", release="r-1")
MOVE = Move(id="m-2", release="r-2", replaced="r-1")
LIMITS = Rollout(
    steps=[5, 25, 100],
    step_s=2,
    within_s=20,
    min_samples=50,
    error_rate=0.01,
    refused_share=0.05,
    mean_ms=250,
    slowest_ms=3000,
    quiet="promote",
    drain_s=15,
)
NONE = Counters(0, 0, 0, 0)
GOOD = Counters(requests=80, errors=0, mean_ms=5, slowest_ms=40)


@dataclass
class Clock:
    """Time passes only by sleeping."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeProxy:
    """Notes the routes that it was given; `seen` are the new release's counters at each of them.

    `baseline` are those of the release before, while both have traffic. `moved_at`: before the route of this
    number somebody else moves the traffic; `breaks_at`: whoever writes that one is interrupted just after.
    """

    seen: list[Counters | None]
    baseline: Counters | None = GOOD
    routes: list[str] = field(default_factory=list)
    leases_s: list[float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    is_to_stop: bool = False
    moved_at: int | None = None
    breaks_at: int | None = None

    def stop_requested(self) -> bool:
        return self.is_to_stop

    def put_route(self, name: str, config: str, lease_s: float = 0, after: Collection[str] = ()) -> None:
        assert name == "live"
        written = read_live_route(self.routes[-1]) if self.routes else None
        last = written.moves[-1].id if written and written.moves else EARLIER.id
        if self.moved_at is not None and len(self.routes) >= self.moved_at:
            last = "m-of-a-rollback"
        if last not in after:
            raise RouteMoved("somebody else moved the traffic")
        self.routes.append(config)
        self.leases_s.append(lease_s)
        if len(self.routes) - 1 == self.breaks_at:
            raise KeyboardInterrupt

    def counters(self, backend: str) -> Counters | None:
        self.asked.append(backend)
        if self.failure is not None:
            raise self.failure
        return self.baseline if backend == "live" else self.seen[len(self.routes) - 1]


def shifting(proxy: FakeProxy, limits: Rollout = LIMITS) -> tuple[TrafficShifter, Clock]:
    """A shifter that knows of one earlier move, and its clock."""
    clock = Clock()
    return TrafficShifter(proxy, limits, (EARLIER,), clock, clock.sleep), clock


BACK = live_config(OLD, [EARLIER])


def test_a_good_release_gets_all_of_it_step_by_step() -> None:
    """Each step is a lease; at the last one a few requests still measure the release before."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    shifter, _ = shifting(proxy)
    report = shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes == [
        live_config(OLD, [EARLIER], Canary(NEW, 5)),
        live_config(OLD, [EARLIER], Canary(NEW, 25)),
        live_config(OLD, [EARLIER], Canary(NEW, 95)),
        live_config(NEW, [EARLIER, MOVE]),
    ]
    assert proxy.leases_s == [LIMITS.within_s + MAX_RELOAD_S] * 3 + [0]
    assert [backend for backend, _ in itertools.groupby(proxy.asked)] == ["canary", "live"] * 3
    assert report.verdict is Verdict.PASS
    assert refusal(report, "r-2", LIMITS) == []
    assert len(report.checks) == 12


BREACHES = {
    "error rate": Counters(100, 8, 5, 40),
    "refused beyond the live release": Counters(100, 0, 5, 40, refused=12),
    "mean answer": Counters(100, 0, 251, 900),
    "slowest answer": Counters(100, 0, 5, 3001),
}


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_goes_straight_back(name: str, step: int) -> None:
    """At any step, also the last; the reason has the check, its value, limit and samples."""
    seen: list[Counters | None] = [GOOD, GOOD, GOOD, GOOD]
    seen[step] = BREACHES[name]
    proxy = FakeProxy(seen)
    shifter, _ = shifting(proxy)
    report = shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-1] == BACK
    assert len(proxy.routes) == step + 2
    lines = refusal(report, "r-2", LIMITS)
    assert lines[0] == "traffic: r-2 did not keep the traffic (fail); the one before has it again:"
    assert lines[1].startswith(f"  {name} at {LIMITS.steps[step]} %: fail: ")
    assert "samples 100" in lines[1]


@pytest.mark.parametrize(
    ("errors", "of", "before", "verdict"),
    [
        (1, 20, (0, 400), Verdict.NO_EVIDENCE),  # one of few may be chance
        (1, 60, (0, 400), Verdict.NO_EVIDENCE),
        (3, 3, (0, 60), Verdict.FAIL),
        (8, 100, (0, 400), Verdict.FAIL),
        (8, 100, (40, 400), Verdict.NO_EVIDENCE),  # both lack Redis
        (60, 100, (40, 400), Verdict.FAIL),
        (50, 50, (400, 400), Verdict.NO_EVIDENCE),
        (0, 80, (400, 400), Verdict.PASS),
        (0, 20, (0, 400), Verdict.NO_EVIDENCE),
    ],
)
def test_errors_that_are_no_chance_and_its_own_are_a_breach(
    errors: int, of: int, before: tuple[int, int], verdict: Verdict
) -> None:
    """What the release before suffers from in the same seconds is not held against the new one."""
    baseline = Counters(before[1], before[0], 5, 40)
    check = judge(5, Counters(of, errors, 5, 40), baseline, LIMITS)[0]
    assert (check.name, check.verdict) == ("error rate at 5 %", verdict)


@pytest.mark.parametrize(
    ("requests", "mean_ms", "before_ms", "verdict"),
    [
        (1, 300, 5, Verdict.NO_EVIDENCE),  # a first answer is often slow
        (80, 300, 5, Verdict.FAIL),
        (80, 300, 280, Verdict.NO_EVIDENCE),
        (80, 240, 280, Verdict.PASS),
    ],
)
def test_slow_answers_are_a_breach_where_they_are_many_and_its_own(
    requests: int, mean_ms: float, before_ms: float, verdict: Verdict
) -> None:
    """A slow Redis slows both."""
    checks = judge(5, Counters(requests, 0, mean_ms, 400), Counters(400, 0, before_ms, 400), LIMITS)
    assert (checks[2].name, checks[2].verdict) == ("mean answer at 5 %", verdict)


@pytest.mark.parametrize(
    ("refused", "of", "before", "verdict"),
    [
        (50, 50, (0, 950), Verdict.FAIL),  # another secret than WAHA's
        (3, 3, (1, 60), Verdict.FAIL),
        (2, 2, (0, 9), Verdict.NO_EVIDENCE),
        (40, 100, (400, 1000), Verdict.PASS),  # strangers, at either release
        (4, 80, (0, 1000), Verdict.PASS),  # within the limit
        (0, 3, (3, 60), Verdict.NO_EVIDENCE),
    ],
)
def test_what_only_the_new_release_refuses_is_its_doing(
    refused: int, of: int, before: tuple[int, int], verdict: Verdict
) -> None:
    """A stranger's request is a 4xx of either; one that the release before would take is not."""
    baseline = Counters(before[1], 0, 5, 40, refused=before[0])
    check = judge(5, Counters(of, 0, 5, 40, refused=refused), baseline, LIMITS)[1]
    assert (check.name, check.verdict) == ("refused beyond the live release at 5 %", verdict)


def test_without_the_release_before_there_is_nothing_to_be_held_against() -> None:
    """It got no request in those seconds."""
    names = [check.name for check in judge(5, Counters(100, 0, 5, 40, refused=90), NONE, LIMITS)]
    assert names == ["error rate at 5 %", "mean answer at 5 %", "slowest answer at 5 %"]


def test_a_quiet_stack_promotes_soon_and_says_so() -> None:
    """Nobody waits for requests that do not come; the evidence is none, and that is recorded."""
    proxy = FakeProxy([NONE, Counters(1, 0, 5, 5), NONE])
    shifter, clock = shifting(proxy)
    report = shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-1] == live_config(NEW, [EARLIER, MOVE])
    assert report.verdict is Verdict.NO_EVIDENCE
    assert refusal(report, "r-2", LIMITS) == []
    assert clock.now <= 3 * LIMITS.step_s + 1
    assert "fewer than 50" in report.checks[0].detail


def test_a_quiet_stack_may_also_refuse() -> None:
    """Where the team wants evidence or nothing."""
    limits = LIMITS.model_copy(update={"quiet": "refuse"})
    proxy = FakeProxy([NONE, GOOD])
    shifter, _ = shifting(proxy, limits)
    report = shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-1] == BACK
    assert refusal(report, "r-2", limits)[0].startswith("traffic: r-2 did not keep the traffic (no evidence)")


def test_a_step_lasts_until_its_samples_are_there() -> None:
    """At ten a second, fifty take five seconds: more than the shortest step, less than the longest."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    shifter, clock = shifting(proxy)
    proxy.counters = lambda _backend: Counters(int(clock.now * 10), 0, 5, 5)  # type: ignore[method-assign]
    shifter.shift_in_steps(OLD, NEW, MOVE)
    assert 5 <= clock.now <= 5 + 2 * LIMITS.step_s + 1


def test_few_requests_at_first_may_be_chance() -> None:
    """Three a second are enough in time; that only three came in the first two seconds proves nothing."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    shifter, clock = shifting(proxy)
    proxy.counters = lambda _backend: Counters(max(3, int(clock.now * 3)), 0, 5, 5)  # type: ignore[method-assign]
    assert shifter.shift_in_steps(OLD, NEW, MOVE).verdict is Verdict.PASS


def test_a_proxy_that_tells_nothing_is_not_a_quiet_stack() -> None:
    """It is asked again; what it does not tell in time is no reason to go on."""
    proxy = FakeProxy([GOOD, None, GOOD])
    shifter, clock = shifting(proxy)
    with pytest.raises(Refused, match="for 20 s the proxy told nothing of backend 'canary'"):
        shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-1] == BACK
    assert clock.now <= LIMITS.step_s + LIMITS.within_s + 1

    at_last = FakeProxy([BREACHES["error rate"]])
    shifter, clock = shifting(at_last)
    counters = at_last.counters
    at_last.counters = lambda backend: counters(backend) if clock.now > 5 else None  # type: ignore[method-assign]
    assert shifter.shift_in_steps(OLD, NEW, MOVE).verdict is Verdict.FAIL


def test_a_move_that_somebody_wants_to_end_goes_back() -> None:
    """Ctrl-C, or a rollback that waits: nobody wants to see it through to its last step."""
    proxy = FakeProxy([NONE, NONE, NONE], is_to_stop=True)
    shifter, clock = shifting(proxy)
    with pytest.raises(Refused, match="asked to stop; the release before has the traffic again"):
        shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes == [live_config(OLD, [EARLIER], Canary(NEW, 5)), BACK]
    assert clock.now == 0


@pytest.mark.parametrize("failure", [RuntimeError("the engine is gone"), KeyboardInterrupt()], ids=type)
def test_a_move_that_breaks_off_goes_back(failure: BaseException) -> None:
    """Told to end, too: a step is nothing to leave traffic at."""
    proxy = FakeProxy([GOOD], failure=failure)
    shifter, _ = shifting(proxy)
    with pytest.raises(type(failure)):
        shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-1] == BACK


@pytest.mark.parametrize("moved_at", [0, 1, 2, 3])
def test_what_somebody_else_moved_meanwhile_is_left_alone(moved_at: int) -> None:
    """By a rollback, when the deployer was killed and its CLI lives on: no step undoes it, nor a way back."""
    proxy = FakeProxy([GOOD, GOOD, GOOD], moved_at=moved_at)
    shifter, _ = shifting(proxy)
    with pytest.raises(RouteMoved, match="somebody else moved the traffic"):
        shifter.shift_in_steps(OLD, NEW, MOVE)
    assert len(proxy.routes) == moved_at


def test_the_way_back_from_the_last_write_is_no_other_s_move() -> None:
    """Interrupted when the route had it already: the last move is our own."""
    proxy = FakeProxy([GOOD, GOOD, GOOD], breaks_at=3)
    shifter, _ = shifting(proxy)
    with pytest.raises(KeyboardInterrupt):
        shifter.shift_in_steps(OLD, NEW, MOVE)
    assert proxy.routes[-2:] == [live_config(NEW, [EARLIER, MOVE]), BACK]
