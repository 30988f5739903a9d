"""From the account of a run to checks: pass, fail or no evidence."""

from __future__ import annotations

from contracts.targets import Compare, Load
from contracts.verdict import Check, Verdict
from loadtests import checks, reply_checks
from loadtests.arrivals import BAD_SIGNATURES
from loadtests.beside_live import beside_live
from loadtests.book import BAD_SIGNATURE_ACCEPTED, Book
from loadtests.evidence import Evidence
from loadtests.percentile import rank


def cannot_pass(book: Book, load: Load) -> bool:
    """Whether the run is already certain not to pass, whatever the webhooks still to come bring."""
    total, counted = book.plan.total, book.plan.counted
    too_many_errors = book.failed_total > 0 and book.failed_total >= load.error_rate * total
    too_many_slow = book.slow > counted - rank(counted, checks.P95)
    too_many_late = book.late > (1 - load.min_achieved) * total
    too_slow = checks.slowest_is_too_slow(book, load)
    return (
        too_many_errors
        or too_many_slow
        or too_many_late
        or too_slow
        or book.failures[BAD_SIGNATURE_ACCEPTED] > 0
    )


def judge(evidence: Evidence, load: Load, compare: Compare) -> list[Check]:
    """Every check of the run, in the order of the path: sending, answers, replies."""
    generator = [checks.sent_on_time(evidence, load), checks.generator_cpu(evidence, load)]
    measured, absolute = _measured(evidence, load, compare), _absolute(evidence, load)
    if any(check.verdict is not Verdict.PASS for check in generator):
        # A generator that lags adds its own delay to every answer: no figure proves anything.
        measured = [checks.proves_nothing(check, "the generator did not keep up") for check in measured]
    found = [*generator, *measured, *absolute]
    if evidence.ending.proves_nothing:
        found = [check if check.verdict is Verdict.FAIL else _cut_short(check, evidence) for check in found]
    return found


def _measured(evidence: Evidence, load: Load, compare: Compare) -> list[Check]:
    """What a generator that lags could have spoiled."""
    book = evidence.book
    found = [
        checks.error_rate(book, load),
        checks.webhook_p95(book, load),
        checks.slowest_webhook(book, load),
    ]
    if evidence.probes is not None:
        found.append(checks.health(evidence.probes))
    if evidence.replies_asked:
        found.append(reply_checks.reply_p95(evidence, load))
    if evidence.live is not None:
        found += beside_live(evidence, evidence.live, load, compare)
    return found


def _absolute(evidence: Evidence, load: Load) -> list[Check]:
    """What is wrong however late it was sent."""
    found = (
        [reply_checks.lost(evidence, load), reply_checks.doubled(evidence, load)]
        if evidence.replies_asked
        else []
    )
    if evidence.book.plan.count(BAD_SIGNATURES):
        found.append(checks.bad_signatures(evidence.book, load))
    return found


def _cut_short(check: Check, evidence: Evidence) -> Check:
    return check.model_copy(update={"verdict": Verdict.NO_EVIDENCE, "detail": check.detail or evidence.ended})
