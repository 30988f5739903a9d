"""What a release says of the services that it depends on, beside what the live release says meanwhile.

A release answers for itself, not for the world: a dependency may be as bad for it as for the live release.
Where there is none to compare with, what no message can be answered without must be up; the rest may be down.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from contracts.health import CRITICAL, SERVICES, allowed_states
from smoke.health import HealthAnswer
from smoke.target import NoAnswerError, Target

HEALTHY, DEGRADED, UNHEALTHY = "200 healthy", "200 degraded", "503 unhealthy"

BETWEEN_LOOKS_S = 0.25


@dataclass(frozen=True)
class Moment:
    """What both said, asked together.

    `live`: None where no live release is known, or it did not answer; then what is `needed` must be up.
    """

    candidate: HealthAnswer
    live: HealthAnswer | None = None
    needed: frozenset[str] = CRITICAL

    def allowed(self, service: str) -> list[str]:
        """The states of *service* that are no reason to refuse the candidate."""
        if self.live is not None:
            return list(dict.fromkeys([*allowed_states(service), self.live.state_of(service)]))
        return [*allowed_states(service), *([] if service in self.needed else ["down"])]

    def allowed_overall(self) -> list[str]:
        """The statuses of the whole that are no reason to refuse it."""
        worst = self.live.verdict if self.live else DEGRADED if self.needed else UNHEALTHY
        order = [HEALTHY, DEGRADED, UNHEALTHY]
        return order[: order.index(worst) + 1] if worst in order else [HEALTHY]

    def allows(self, service: str) -> bool:
        """Whether the candidate's state of *service* is among those."""
        return self.candidate.state_of(service) in self.allowed(service)

    @property
    def is_no_worse(self) -> bool:
        """Whether nothing is a reason to refuse it."""
        return self.candidate.verdict in self.allowed_overall() and all(map(self.allows, SERVICES))


def look(
    candidate: Target,
    live: Target | None,
    timeout_s: float,
    *,
    count: int,
    patience_s: float,
    needed: frozenset[str] = CRITICAL,
) -> list[Moment]:
    """Ask *count* times, each on a connection of its own: of several web processes more than one is asked.

    A dependency may go away between two answers. Where the candidate says worse than *live*, both are asked
    again for up to *patience_s*: what is wrong with a release stays so.

    Raises:
        NoAnswerError: the candidate did not answer.
    """
    started = time.monotonic()
    while True:
        moments = [_ask_both(candidate, live, timeout_s, needed) for _ in range(count)]
        is_over = time.monotonic() - started > patience_s
        if live is None or is_over or all(moment.is_no_worse for moment in moments):
            return moments
        time.sleep(BETWEEN_LOOKS_S)


def _ask_both(candidate: Target, live: Target | None, timeout_s: float, needed: frozenset[str]) -> Moment:
    if live is None:
        return Moment(HealthAnswer.ask(candidate, timeout_s), None, needed)
    with ThreadPoolExecutor(1) as beside:
        answer = beside.submit(_comparable, live, timeout_s)
        return Moment(HealthAnswer.ask(candidate, timeout_s), answer.result(), needed)


def _comparable(live: Target, timeout_s: float) -> HealthAnswer | None:
    """The live release's answer, if it gives one of the right shape."""
    try:
        answer = HealthAnswer.ask(live, timeout_s)
    except NoAnswerError:
        return None
    return None if answer.problems else answer
