"""All that a process must know to send its part of a scenario; the secret to sign with it has itself."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from loadtests.address import Address
from loadtests.arrivals import Plan
from loadtests.messages import Messages
from loadtests.scenarios import Phase, Scenario


class Stream(StrEnum):
    """What is sent side by side."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"
    HEALTH = "health"


class Order(BaseModel):
    """One scenario against one target, or against two by turns.

    Attributes:
        baseline: the live release's address; None where nothing is compared.
        runs: for each stream of webhooks the part of its messages' names that is this run's own.
        health_answer_s: within which a health probe must be answered.
        start_s: when to start, in seconds since the epoch.
        part: of *parts*, which arrivals are this process's: those whose index is *part* modulo *parts*.
    """

    model_config = ConfigDict(frozen=True)

    scenario: Scenario
    host: Address
    baseline: Address | None
    runs: dict[Stream, str]
    health_answer_s: float
    start_s: float = 0
    part: int = 0
    parts: int = 1

    def plans(self) -> dict[Stream, Plan]:
        """The arrivals of each stream: the same wherever they are made."""
        return plans_of(self.scenario, compared=self.baseline is not None)

    def messages(self) -> dict[Stream, Messages]:
        """The messages of each stream of webhooks."""
        return {stream: Messages(run, self.start_s) for stream, run in self.runs.items()}

    def answer_timeout_s(self, stream: Stream) -> float:
        """How long an answer may take before there is none."""
        return self.health_answer_s if stream is Stream.HEALTH else self.scenario.load.answer_timeout_s


def plans_of(scenario: Scenario, *, compared: bool) -> dict[Stream, Plan]:
    """The arrivals of each stream of *scenario*.

    Raises:
        PlanError: as `Plan.of`.
    """
    plan = Plan.of(
        scenario.phases,
        scenario.load.warmup_s,
        duplicates=scenario.duplicates,
        bad_signatures=scenario.bad_signatures,
    )
    plans = {Stream.CANDIDATE: plan.dithered() if compared else plan}
    if compared:
        # By turns: half a period later, so that whatever else happens on the machine hits both alike.
        plans[Stream.BASELINE] = plan.later(0.5 / scenario.load.rate_per_s).dithered()
    if scenario.health_per_s:
        probes = Phase(seconds=scenario.seconds, rate_per_s=scenario.health_per_s)
        plans[Stream.HEALTH] = Plan.of([probes], 0)
    return plans
