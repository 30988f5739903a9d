"""Traffic moves in steps, judged by the new release's own answers, and goes back when they are bad."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from contracts.targets import Switch
from contracts.verdict import Verdict
from infra.errors import Refused
from infra.haproxy_config import Backend, Canary, backend_in, route_config
from infra.proxy_control import Counters
from infra.traffic import Mover, judge, refusal

OLD, NEW = Backend("r-1", ("old",)), Backend("r-2", ("new",))
LIMITS = Switch(
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

    `beside` are those of the release before, while both have traffic.
    """

    seen: list[Counters | None]
    beside: Counters | None = GOOD
    routes: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def put_route(self, name: str, config: str) -> None:
        assert name == "live"
        self.routes.append(config)

    def counters(self, backend: str) -> Counters | None:
        self.asked.append(backend)
        if self.failure is not None:
            raise self.failure
        if backend == "live" and "backend canary" in self.routes[-1]:
            return self.beside
        return self.seen[len(self.routes) - 1]


def mover(proxy: FakeProxy, limits: Switch = LIMITS) -> tuple[Mover, list[str], Clock]:
    """A mover, the releases that the workers were told of, and its clock."""
    told: list[str] = []
    clock = Clock()
    return Mover(proxy, told.append, limits, clock, clock.sleep), told, clock


def test_a_good_release_gets_all_of_it_step_by_step() -> None:
    """Its workers take live messages only with the last step."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    moving, told, _ = mover(proxy)
    report = moving.in_steps(OLD, NEW)
    assert proxy.routes == [
        route_config("live", OLD, Canary(NEW, 5)),
        route_config("live", OLD, Canary(NEW, 25)),
        route_config("live", NEW),
    ]
    assert [backend for backend, _ in itertools.groupby(proxy.asked)] == ["canary", "live"] * 2
    assert told == ["r-2"]
    assert report.verdict is Verdict.PASS
    assert refusal(report, "r-2", LIMITS) == []
    assert len(report.checks) == 12


BREACHES = {
    "error rate": Counters(100, 2, 5, 40),
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
    moving, told, _ = mover(proxy)
    report = moving.in_steps(OLD, NEW)
    assert proxy.routes[-1] == route_config("live", OLD)
    assert len(proxy.routes) == step + 2
    assert told[-1] == "r-1"
    lines = refusal(report, "r-2", LIMITS)
    assert lines[0] == "traffic: r-2 did not keep the traffic (fail); the one before has it again:"
    assert lines[1].startswith(f"  {name} at {LIMITS.steps[step]} %: fail: ")
    assert "samples 100" in lines[1]


def test_few_bad_answers_are_a_breach_too() -> None:
    """Only a good result must first be believed."""
    checks = judge(5, Counters(3, 1, 5, 40), GOOD, LIMITS)
    assert checks[0].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("refused", "of", "before", "verdict"),
    [
        (50, 50, (0, 950), Verdict.FAIL),  # another secret than WAHA's
        (3, 3, (1, 60), Verdict.FAIL),
        (10, 10, (0, 0), Verdict.FAIL),  # of the release before nothing is known
        (2, 2, (0, 9), Verdict.NO_EVIDENCE),
        (40, 100, (400, 1000), Verdict.PASS),  # strangers, at either release
        (4, 80, (0, 1000), Verdict.PASS),  # within the limit
        (0, 80, (0, 0), Verdict.PASS),
        (0, 3, (3, 60), Verdict.NO_EVIDENCE),
    ],
)
def test_what_only_the_new_release_refuses_is_its_doing(
    refused: int, of: int, before: tuple[int, int], verdict: Verdict
) -> None:
    """A stranger's request is a 4xx of either; one that the release before would take is not."""
    beside = Counters(before[1], 0, 5, 40, refused=before[0])
    check = judge(5, Counters(of, 0, 5, 40, refused=refused), beside, LIMITS)[1]
    assert (check.name, check.verdict) == ("refused beyond the live release at 5 %", verdict)


def test_the_last_step_is_held_against_what_the_release_before_did_last() -> None:
    """It has no traffic any more. Where it never had any beside, there is nothing to be held against."""
    moving, told, _ = mover(FakeProxy([GOOD, GOOD, Counters(100, 0, 5, 40, refused=90), GOOD]))
    assert (
        "refused beyond the live release at 100 %: fail: 0.9, limit 0.05, samples 100"
        in refusal(moving.in_steps(OLD, NEW), "r-2", LIMITS)[1]
    )
    assert told == ["r-2", "r-1"]
    at_once = LIMITS.model_copy(update={"steps": [100]})
    moving, _, _ = mover(FakeProxy([Counters(100, 0, 5, 40, refused=90)]), at_once)
    assert moving.in_steps(OLD, NEW).verdict is Verdict.PASS


def test_a_quiet_stack_promotes_soon_and_says_so() -> None:
    """Nobody waits for requests that do not come; the evidence is none, and that is recorded."""
    proxy = FakeProxy([NONE, Counters(1, 0, 5, 5), NONE])
    moving, told, clock = mover(proxy)
    report = moving.in_steps(OLD, NEW)
    assert told == ["r-2"]
    assert report.verdict is Verdict.NO_EVIDENCE
    assert refusal(report, "r-2", LIMITS) == []
    assert clock.now <= 3 * LIMITS.step_s + 1
    assert "fewer than 50" in report.checks[0].detail


def test_a_quiet_stack_may_also_refuse() -> None:
    """Where the team wants evidence or nothing."""
    limits = LIMITS.model_copy(update={"quiet": "refuse"})
    proxy = FakeProxy([NONE, GOOD])
    moving, told, _ = mover(proxy, limits)
    report = moving.in_steps(OLD, NEW)
    assert told == ["r-1"]
    assert refusal(report, "r-2", limits)[0].startswith("traffic: r-2 did not keep the traffic (no evidence)")


def test_a_step_lasts_until_its_samples_are_there() -> None:
    """At ten a second, fifty take five seconds: more than the shortest step, less than the longest."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    moving, _, clock = mover(proxy)
    proxy.counters = lambda _backend: Counters(int(clock.now * 10), 0, 5, 5)  # type: ignore[method-assign]
    moving.in_steps(OLD, NEW)
    assert 5 <= clock.now <= 5 + 2 * LIMITS.step_s + 1


def test_few_requests_at_first_may_be_chance() -> None:
    """Three a second are enough in time; that only three came in the first two seconds proves nothing."""
    proxy = FakeProxy([GOOD, GOOD, GOOD])
    moving, _, clock = mover(proxy)
    proxy.counters = lambda _backend: Counters(max(3, int(clock.now * 3)), 0, 5, 5)  # type: ignore[method-assign]
    assert moving.in_steps(OLD, NEW).verdict is Verdict.PASS


def test_a_proxy_that_tells_nothing_is_not_a_quiet_stack() -> None:
    """It is asked again; what it does not tell in time is no reason to go on."""
    proxy = FakeProxy([GOOD, None, GOOD])
    moving, told, clock = mover(proxy)
    with pytest.raises(Refused, match="for 20 s the proxy told nothing of backend 'canary'"):
        moving.in_steps(OLD, NEW)
    assert proxy.routes[-1] == route_config("live", OLD)
    assert told == ["r-1"]
    assert clock.now <= LIMITS.step_s + LIMITS.within_s + 1

    at_last = FakeProxy([BREACHES["error rate"]])
    moving, _, clock = mover(at_last)
    tell = at_last.counters
    at_last.counters = lambda backend: tell(backend) if clock.now > 5 else None  # type: ignore[method-assign]
    assert moving.in_steps(OLD, NEW).verdict is Verdict.FAIL


@pytest.mark.parametrize("failure", [RuntimeError("the engine is gone"), KeyboardInterrupt()], ids=type)
def test_a_move_that_breaks_off_goes_back(failure: BaseException) -> None:
    """Told to end, too: a step is nothing to leave traffic at."""
    proxy = FakeProxy([GOOD], failure=failure)
    moving, told, _ = mover(proxy)
    with pytest.raises(type(failure)):
        moving.in_steps(OLD, NEW)
    assert proxy.routes[-1] == route_config("live", OLD)
    assert told == ["r-1"]


def test_the_release_that_a_route_leads_to_is_read_without_its_canary() -> None:
    """A killed update leaves a step behind: what was live is still to be seen."""
    assert backend_in(route_config("live", OLD, Canary(NEW, 25))) == OLD
    assert backend_in(route_config("live", NEW)) == NEW
    assert backend_in("frontend live\n  bind :8080\n") is None
    assert backend_in("") is None
