"""From the account of a run to checks: pass, fail or no evidence, each with value, limit and sample size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contracts.targets import Load
from contracts.verdict import Check, Verdict
from loadtests.book import NEVER, Book
from loadtests.percentile import percentile, rank

P95 = 0.95
CLOCK_TOLERANCE_S = 0.05
_REASONS_NAMED = 3


class Ending(StrEnum):
    """How a run came to its end."""

    COMPLETE = "complete"
    HOPELESS = "stopped early: it could not pass any more"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Evidence:
    """What a run has to show.

    Attributes:
        replies_asked: whether replies were read at all.
        replies_problem: why the replies are not known to the end; None when they are.
        cpu_share: the generator's own processor time over the time of sending, in cores.
    """

    book: Book
    ending: Ending
    replies_asked: bool
    replies_problem: str | None
    cpu_share: float


def cannot_pass(book: Book, load: Load) -> bool:
    """Whether the run is already certain not to pass, whatever the webhooks still to come bring."""
    total, counted = book.plan.total, book.plan.counted
    too_many_errors = book.failed_total > 0 and book.failed_total >= load.error_rate * total
    too_many_slow = book.slow > counted - rank(counted, P95)
    too_many_late = book.late > (1 - load.min_achieved) * total
    return too_many_errors or too_many_slow or too_many_late


def judge(evidence: Evidence, load: Load) -> list[Check]:
    """Every check of the run, in the order of the path: sending, answers, replies."""
    on_time = _sent_on_time(evidence, load)
    measured = [_error_rate(evidence.book, load), _webhook_p95(evidence.book, load)]
    absolute: list[Check] = []
    if evidence.replies_asked:
        measured.append(_reply_p95(evidence, load))
        absolute += [_lost(evidence, load), _doubled(evidence, load)]
    if on_time.verdict is not Verdict.PASS:
        # A generator that lags adds its own delay to every answer: no figure proves anything.
        measured = [_proves_nothing(check, "the generator did not keep up") for check in measured]
    checks = [on_time, *measured, *absolute]
    if evidence.ending is Ending.INTERRUPTED:
        checks = [
            check if check.verdict is Verdict.FAIL else _interrupted(check, evidence) for check in checks
        ]
    return checks


def _sent_on_time(evidence: Evidence, load: Load) -> Check:
    book = evidence.book
    share = book.on_time / book.settled if book.settled else 0.0
    return Check(
        name="sent on time",
        verdict=Verdict.PASS if share >= load.min_achieved else Verdict.NO_EVIDENCE,
        value=share,
        limit=load.min_achieved,
        samples=book.settled,
        detail=f"latest {book.latest_s * 1000:.0f} ms, generator used {evidence.cpu_share:.2f} cores"
        + (f", {_ending(evidence)}" if evidence.ending is not Ending.COMPLETE else ""),
    )


def _error_rate(book: Book, load: Load) -> Check:
    value = book.failed_total / book.settled if book.settled else None
    failed = value is not None and value > 0 and value >= load.error_rate
    reasons = [f"{reason}: {count}" for reason, count in book.failures.most_common(_REASONS_NAMED)]
    return Check(
        name="error rate",
        verdict=_verdict(failed, book.settled, load),
        value=value,
        limit=load.error_rate,
        samples=book.settled,
        detail="; ".join(reasons),
    )


def _webhook_p95(book: Book, load: Load) -> Check:
    samples = book.answer_times_s()
    return _p95("webhook p95", samples, load.webhook_p95_ms, load, never="more than 5 % were not accepted")


def _reply_p95(evidence: Evidence, load: Load) -> Check:
    samples = evidence.book.reply_times_s()
    if (unknown := _replies_unknown(evidence)) is not None:
        # What has no reply yet may have one: a percentile of the rest would be no percentile.
        return _unknown("reply p95", load.reply_p95_ms, "ms", len(samples), unknown)
    check = _p95("reply p95", samples, load.reply_p95_ms, load, never="more than 5 % had no reply")
    if evidence.book.clock_gap_s > CLOCK_TOLERANCE_S:
        gap = f"the clocks of target and generator differ by {evidence.book.clock_gap_s:.3f} s or more"
        return _proves_nothing(check, gap)
    return check


def _p95(name: str, samples: list[float], limit_ms: float, load: Load, *, never: str) -> Check:
    value_s = percentile(samples, P95)
    endless = value_s == NEVER
    return Check(
        name=name,
        verdict=_verdict(value_s is not None and value_s * 1000 > limit_ms, len(samples), load),
        value=None if value_s is None or endless else round(value_s * 1000, 3),
        limit=limit_ms,
        unit="ms",
        samples=len(samples),
        detail=never if endless else "",
    )


def _lost(evidence: Evidence, load: Load) -> Check:
    book = evidence.book
    if (unknown := _replies_unknown(evidence)) is not None:
        return _unknown("lost", 0, "messages", book.accepted_total, unknown)
    lost = book.unreplied
    return Check(
        name="lost",
        verdict=_verdict(lost > 0, book.accepted_total, load),
        value=lost,
        limit=0,
        unit="messages",
        samples=book.accepted_total,
        detail=f"accepted, and no reply within {load.reply_within_s:g} s" if lost else "",
    )


def _doubled(evidence: Evidence, load: Load) -> Check:
    book, unknown = evidence.book, _replies_unknown(evidence)
    check = Check(
        name="doubled",
        verdict=_verdict(book.doubled > 0, book.accepted_total, load),
        value=book.doubled,
        limit=0,
        unit="messages",
        samples=book.accepted_total,
    )
    # A second reply that was seen stays seen, even where reading could not go on to the end.
    return check if book.doubled or unknown is None else _proves_nothing(check, unknown)


def _verdict(failed: bool, samples: int, load: Load) -> Verdict:
    """Over the limit is a failure however few the samples: only a good result must first be believed."""
    if failed:
        return Verdict.FAIL
    return Verdict.PASS if samples >= load.min_samples else Verdict.NO_EVIDENCE


def _unknown(name: str, limit: float, unit: str, samples: int, why: str) -> Check:
    return Check(
        name=name,
        verdict=Verdict.NO_EVIDENCE,
        value=None,
        limit=limit,
        unit=unit,
        samples=samples,
        detail=why,
    )


def _replies_unknown(evidence: Evidence) -> str | None:
    if evidence.ending is not Ending.COMPLETE:
        return "replies were not waited for"
    return evidence.replies_problem


def _proves_nothing(check: Check, why: str) -> Check:
    detail = f"{check.detail}; {why}" if check.detail else why
    return check.model_copy(update={"verdict": Verdict.NO_EVIDENCE, "detail": detail})


def _interrupted(check: Check, evidence: Evidence) -> Check:
    return check.model_copy(
        update={"verdict": Verdict.NO_EVIDENCE, "detail": check.detail or _ending(evidence)}
    )


def _ending(evidence: Evidence) -> str:
    book = evidence.book
    return f"{evidence.ending} (after {book.settled} of {book.plan.total} webhooks)"
