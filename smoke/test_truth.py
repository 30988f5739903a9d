"""Does health tell the truth? The database is taken from the release for a moment, and given back."""

from __future__ import annotations

from contracts.targets import Targets
from smoke.dependencies import look
from smoke.evidence import Measured
from smoke.faults import Faults
from smoke.health import HealthAnswer, Wait, wait_for
from smoke.options import Options
from smoke.target import Target

DOWN = ("503 unhealthy", "down")


def test_health_tells_the_truth(
    measured: Measured,
    target: Target,
    baseline: Target | None,
    targets: Targets,
    options: Options,
    faults: Faults | None,
) -> None:
    """With the database down `/api/health` is 503, unhealthy and says so; as before when it is back.

    Where it is down already, for the live release too, that it is said is all that can be seen.
    """
    assert faults is not None  # else this is left out
    limit_s, timeout_s = targets.health.tells_within_s, targets.health.answer_s + 1

    def ask() -> HealthAnswer:
        return HealthAnswer.ask(target, timeout_s)

    def record(wait: Wait, situation: str) -> None:
        detail = f"{situation}, and at last {wait.last}"
        measured(wait.took_s, limit_s, unit="s", samples=wait.asked, ok=wait.took_s <= limit_s, detail=detail)

    (moment,) = look(target, baseline, timeout_s, count=1, patience_s=limit_s)
    before, live = moment.candidate, moment.live
    if live is not None and _said(before) == _said(live) == DOWN:
        note = "the database is down for the live release too: it was not taken away"
        measured(before.verdict, DOWN[0], samples=1, ok=True, note=note)
        return
    measured(before.verdict, "not yet down", samples=1, ok=_said(before) != DOWN, detail=before.line)
    with faults.database_down():
        down = wait_for(ask, lambda answer: _said(answer) == DOWN, limit_s)
        record(down, f"the database was down{_for_whom(options)}")
    back = wait_for(ask, lambda answer: _said(answer) == _said(before), limit_s)
    record(back, "the database was back")


def _said(answer: HealthAnswer) -> tuple[str, str]:
    """Of the whole, and of the database."""
    return answer.verdict, answer.state_of("database")


def _for_whom(options: Options) -> str:
    return f" for {', '.join(options.fault_hosts)}" if options.fault_hosts else ""
