"""The single checks on generator and answers, each with value, limit and sample size."""

from __future__ import annotations

from contracts.targets import Load
from contracts.verdict import Check, Verdict
from loadtests.arrivals import BAD_SIGNATURES
from loadtests.book import BAD_SIGNATURE_ACCEPTED, NEVER, Book
from loadtests.evidence import Ending, Evidence
from loadtests.generator_use import busiest
from loadtests.percentile import percentile

P95 = 0.95
_REASONS_NAMED = 3


def sent_on_time(evidence: Evidence, load: Load) -> Check:
    """The share that the generator sent when it was due: without it no figure proves anything."""
    book = evidence.book
    share = book.on_time / book.settled if book.settled else 0.0
    enough = share >= load.min_achieved and evidence.ending is not Ending.WORKERS_LOST
    detail = f"latest {book.latest_s * 1000:.0f} ms"
    return Check(
        name="sent on time",
        verdict=Verdict.PASS if enough else Verdict.NO_EVIDENCE,
        value=share,
        limit=load.min_achieved,
        samples=book.settled,
        detail=detail if evidence.ending is Ending.COMPLETE else f"{detail}, {evidence.ended}",
    )


def generator_cpu(evidence: Evidence, load: Load) -> Check:
    """The share of what it may use of its processors that the generator used: a busy one measures itself."""
    share = busiest(evidence.generator)
    cores = sum(process.busy for process in evidence.generator)
    free = share is not None and share <= load.max_generator_cpu
    return Check(
        name="generator CPU",
        verdict=Verdict.PASS if free else Verdict.NO_EVIDENCE,
        value=None if share is None else round(share, 3),
        limit=load.max_generator_cpu,
        samples=len(evidence.generator),
        detail=f"{cores:.2f} cores" + ("" if free else "; use more processes, or a lower rate"),
    )


def error_rate(book: Book, load: Load) -> Check:
    """Errors, unanswered and unsent webhooks, over all."""
    value = book.failed_total / book.settled if book.settled else None
    failed = value is not None and value > 0 and value >= load.error_rate
    return Check(
        name="error rate",
        verdict=believed(failed, book.settled, load),
        value=value,
        limit=load.error_rate,
        samples=book.settled,
        detail=_reasons(book),
    )


def webhook_p95(book: Book, load: Load) -> Check:
    """From the intended time to the right answer."""
    samples = book.answer_times_s()
    return p95("webhook p95", samples, load.webhook_p95_ms, load, never="more than 5 % were not accepted")


def slowest_webhook(book: Book, load: Load) -> Check:
    """The longest that any webhook took to its answer, or until it was given up."""
    samples = len(book.answer_times_s())
    too_slow = slowest_is_too_slow(book, load)
    check = Check(
        name="slowest webhook",
        verdict=believed(too_slow, samples, load),
        value=round(book.slowest_s * 1000, 3),
        limit=load.slowest_ms,
        unit="ms",
        samples=samples,
    )
    # A moment in which the generator itself stood still shows in every answer that came meanwhile.
    if too_slow and (book.slowest_s - book.latest_s) * 1000 <= load.slowest_ms:
        return proves_nothing(check, f"the generator itself was late by {book.latest_s * 1000:.0f} ms")
    return check


def slowest_is_too_slow(book: Book, load: Load) -> bool:
    """Whether one webhook took longer than any may."""
    return book.slowest_s * 1000 > load.slowest_ms


def bad_signatures(book: Book, load: Load) -> Check:
    """Not one webhook may be taken that is not signed with the secret."""
    accepted, sent = book.failures[BAD_SIGNATURE_ACCEPTED], book.plan.count(BAD_SIGNATURES)
    return Check(
        name="bad signatures",
        verdict=believed(accepted > 0, sent, load),
        value=accepted,
        limit=0,
        unit="accepted",
        samples=sent,
    )


def health(probes: Book) -> Check:
    """Every probe must be answered in time: there are too few of them for a share."""
    failed, total = probes.failed_total, probes.plan.total
    known = probes.settled == total
    return Check(
        name="health",
        verdict=Verdict.FAIL if failed else Verdict.PASS if known else Verdict.NO_EVIDENCE,
        value=failed,
        limit=0,
        unit="failed",
        samples=probes.settled,
        detail=_reasons(probes) or f"slowest {probes.slowest_s * 1000:.0f} ms",
    )


def believed(failed: bool, samples: int, load: Load) -> Verdict:
    """Over the limit is a failure however few the samples: only a good result must first be believed."""
    if failed:
        return Verdict.FAIL
    return Verdict.PASS if samples >= load.min_samples else Verdict.NO_EVIDENCE


def proves_nothing(check: Check, why: str) -> Check:
    """The same figure, from which nothing follows."""
    detail = f"{check.detail}; {why}" if check.detail else why
    return check.model_copy(update={"verdict": Verdict.NO_EVIDENCE, "detail": detail})


def p95(name: str, samples: list[float], limit_ms: float, load: Load, *, never: str) -> Check:
    """The p95 of *samples* in seconds; *never*: what it means that it is endless."""
    value_s = percentile(samples, P95)
    endless = value_s == NEVER
    return Check(
        name=name,
        verdict=believed(value_s is not None and value_s * 1000 > limit_ms, len(samples), load),
        value=None if value_s is None or endless else round(value_s * 1000, 3),
        limit=limit_ms,
        unit="ms",
        samples=len(samples),
        detail=never if endless else "",
    )


def _reasons(book: Book) -> str:
    return "; ".join(f"{reason}: {count}" for reason, count in book.failures.most_common(_REASONS_NAMED))
