"""The single checks on replies, each with value, limit and sample size."""

from __future__ import annotations

from contracts.targets import Load
from contracts.verdict import Check, Verdict
from loadtests.checks import believed, p95, proves_nothing
from loadtests.evidence import Evidence

CLOCK_TOLERANCE_S = 0.05


def reply_p95(evidence: Evidence, load: Load) -> Check:
    """From a webhook's intended time to its reply."""
    samples = evidence.book.reply_times_s()
    if (unknown := evidence.replies_unknown) is not None:
        # What has no reply yet may have one: a percentile of the rest would be no percentile.
        return _unknown("reply p95", load.reply_p95_ms, "ms", len(samples), unknown)
    check = p95("reply p95", samples, load.reply_p95_ms, load, never="more than 5 % had no reply")
    if (gap_s := evidence.book.clock_gap_s) > CLOCK_TOLERANCE_S:
        gap = f"the clocks of target and generator differ by {gap_s:.3f} s or more"
        return proves_nothing(check, gap)
    return check


def lost(evidence: Evidence, load: Load) -> Check:
    """Messages that were accepted and never answered."""
    book = evidence.book
    if (unknown := evidence.replies_unknown) is not None:
        return _unknown("lost", 0, "messages", book.accepted_total, unknown)
    missing = book.unreplied
    return Check(
        name="lost",
        verdict=believed(missing > 0, book.accepted_total, load),
        value=missing,
        limit=0,
        unit="messages",
        samples=book.accepted_total,
        detail=f"accepted, and no reply within {load.reply_within_s:g} s" if missing else "",
    )


def doubled(evidence: Evidence, load: Load) -> Check:
    """Messages that were answered more than once."""
    book, unknown = evidence.book, evidence.replies_unknown
    check = Check(
        name="doubled",
        verdict=believed(book.doubled > 0, book.accepted_total, load),
        value=book.doubled,
        limit=0,
        unit="messages",
        samples=book.accepted_total,
    )
    # A second reply that was seen stays seen, even where reading could not go on to the end.
    return check if book.doubled or unknown is None else proves_nothing(check, unknown)


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
