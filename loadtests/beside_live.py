"""The candidate beside the live release: refused when it is certainly slower by too much, at middle or tail.

A live release that is failing is nothing to compare with, and must be replaceable: the comparison is left out
then, and says so, without stopping the candidate. One that refuses the candidate's signature is not failing.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.targets import Compare, Load
from contracts.verdict import Check, Verdict
from contracts.webhook_secret import BASELINE_NAME
from loadtests.book import UNAUTHORIZED, Book, Timed
from loadtests.checks import proves_nothing
from loadtests.evidence import Evidence, Live
from loadtests.reply_checks import CLOCK_TOLERANCE_S
from loadtests.slowdown import Slowdown, blocks_in, slowdown

QUANTILES = (0.1, 0.5, 0.95)
"""Tail and middle; and the tenth that tells of the release itself where the machine does much else."""
WEBHOOK, REPLY = "webhook against live", "reply against live"
_OTHER_SECRET = f"the live release takes another secret: give it in {BASELINE_NAME}"


def beside_live(evidence: Evidence, live: Live, load: Load, compare: Compare) -> list[Check]:
    """The times to the answers, and to the replies where they were read, each beside the live release's."""
    names = [WEBHOOK, REPLY] if evidence.replies_asked else [WEBHOOK]
    failed, bearable = live.book.failed_total, load.error_rate * live.book.settled
    if not live.is_secret_known and live.book.failures[UNAUTHORIZED] > bearable:
        return [_check(name, Verdict.NO_EVIDENCE, None, compare, 0, _OTHER_SECRET) for name in names]
    if failed > bearable:
        why = f"{failed} of {live.book.settled} webhooks to it failed"
        return [_left_out(name, why, compare) for name in names]
    answers = [_answers(book) for book in (evidence.book, live.book)]
    checks = [_compared(WEBHOOK, answers[0], answers[1], load, compare)]
    return [*checks, _replies(evidence, live, load, compare)] if evidence.replies_asked else checks


def _replies(evidence: Evidence, live: Live, load: Load, compare: Compare) -> Check:
    missing = live.book.unreplied
    if evidence.replies_unknown is None:
        if live.replies_problem is not None:
            return _left_out(REPLY, live.replies_problem, compare)
        if missing > load.error_rate * live.book.accepted_total:
            why = f"{missing} of {live.book.accepted_total} messages to it were not answered"
            return _left_out(REPLY, why, compare)
    times = [_counted(book, book.replies()) for book in (evidence.book, live.book)]
    check = _compared(REPLY, times[0], times[1], load, compare)
    if (unknown := evidence.replies_unknown) is not None:
        return proves_nothing(check, unknown)
    if max(evidence.book.clock_gap_s, live.book.clock_gap_s) > CLOCK_TOLERANCE_S:
        return proves_nothing(check, "the clocks of target and generator differ")
    return check


def _compared(
    name: str, candidate: Sequence[Timed], live: Sequence[Timed], load: Load, compare: Compare
) -> Check:
    """Of all quantiles the one that is most certainly slower."""
    samples = min(len(candidate), len(live))
    blocks = min(blocks_in(times, compare.block_s) for times in (candidate, live))
    if samples < load.min_samples or blocks < compare.min_blocks:
        few = f"{blocks} blocks of {compare.block_s:g} s, at least {compare.min_blocks} are needed"
        return _check(name, Verdict.NO_EVIDENCE, None, compare, samples, few)
    # Each of the quantiles has its part of the doubt, at the one side of its interval that refuses.
    confidence = 1 - 2 * (1 - compare.confidence) / len(QUANTILES)
    found = [
        slowdown(candidate, live, share, block_s=compare.block_s, confidence=confidence)
        for share in QUANTILES
    ]
    worst = max(found, key=lambda slower: slower.low)
    verdict = Verdict.FAIL if worst.low > compare.max_slowdown else Verdict.PASS
    return _check(name, verdict, round(worst.ratio, 3), compare, samples, _details(found))


def _details(found: Sequence[Slowdown]) -> str:
    return "; ".join(map(str, found))


def _left_out(name: str, why: str, compare: Compare) -> Check:
    return _check(name, Verdict.PASS, "live is failing", compare, 0, f"nothing to compare with: {why}")


def _check(
    name: str, verdict: Verdict, value: float | str | None, compare: Compare, samples: int, detail: str
) -> Check:
    return Check(
        name=name, verdict=verdict, value=value, limit=compare.max_slowdown, samples=samples, detail=detail
    )


def _answers(book: Book) -> list[Timed]:
    """Of what was sent, whatever became of it."""
    return _counted(
        book, [Timed(due_s, took_s) for due_s, took_s, _ in book.outcomes() if took_s is not None]
    )


def _counted(book: Book, times: Sequence[Timed]) -> list[Timed]:
    since_s = book.plan.due_s[book.plan.counted_from]
    return [time for time in times if time.due_s >= since_s]
