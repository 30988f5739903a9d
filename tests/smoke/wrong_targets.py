"""Each flaw of the reference target, and exactly the checks that refuse it."""

from __future__ import annotations

from reference_flaws import Flaws
from smoke_limits import NEVER_TOLD, NO_REPLY, SLOW_HEALTH, SLOW_WEBHOOKS, Limits

from contracts.gate_lane import FALLBACK, GATE_REPLY

ANSWERED = "signed message is answered once"
REFUSED = "nothing refused or ignored was answered"
TWICE = "no message has a second reply"
HEALTH = "health is healthy"
TRUTH = "health tells the truth"
MODEL = "the model answers"


def named(name: str, *parameters: str) -> set[str]:
    """The checks of one name with each of *parameters*."""
    return {f"{name} [{parameter}]" for parameter in parameters}


FORGED = "forged signature is refused"
ALGORITHM = "algorithm is refused"
MALFORMED = "malformed body is refused"
DUPLICATE = "duplicate is not answered again"
UNWANTED = "event is accepted and unanswered"
KIND = "message is answered once"
DAYS = named("event of another time is refused", "days ago", "days ahead")
OVERSIZED = named("oversized body is refused", "with its length", "chunked")
SECURITY = {
    f"security headers of {answer}"
    for answer in ("accepted webhook", "webhook in pieces", "refused webhook", "health", "ready", "metrics")
} | {"security headers of unknown path"}
MISMATCHED = ("sha256 that says sha512", "sha512 that says sha256")
BROADCASTS = ("newsletter", "status@broadcast")
UNASKED = (
    *("session.status", "session.status like a message", "own message", "message.ack"),
    *("message.reaction", "message.edited", "message.revoked"),
)

WRONG: dict[str, tuple[Flaws, set[str]]] = {
    "any signature": (
        Flaws(accepts_any_signature=True),
        named(FORGED, "unsigned", "of another secret", "truncated", "one character short")
        | named(FORGED, "over other bytes", "not hexadecimal", "not ASCII", "empty")
        | named(ALGORITHM, *MISMATCHED, "md5", "sha1")
        | {REFUSED},
    ),
    "a signature's beginning": (
        Flaws(accepts_truncated_signatures=True),
        named(FORGED, "truncated", "one character short") | {REFUSED},
    ),
    "any algorithm's name": (
        Flaws(ignores_the_algorithm=True),
        named(ALGORITHM, *MISMATCHED) | {REFUSED},
    ),
    "weak algorithms": (Flaws(accepts_weak_algorithms=True), named(ALGORITHM, "md5", "sha1") | {REFUSED}),
    "500 on an odd signature": (
        Flaws(fails_on_odd_signatures=True),
        named(FORGED, "not hexadecimal", "not ASCII", "one character short"),
    ),
    "sha512 only": (Flaws(takes_only_sha512=True), named(ANSWERED, "sha256")),
    "events of any time": (Flaws(takes_any_time=True), DAYS | {REFUSED}),
    "500 on malformed bodies": (
        Flaws(fails_on_malformed=True),
        named(MALFORMED, "cut off", "not UTF-8", "not an object", "too deep"),
    ),
    "bad UTF-8": (Flaws(replaces_bad_utf8=True), named(MALFORMED, "not UTF-8") | {REFUSED}),
    "a body without bound": (Flaws(takes_any_size=True), OVERSIZED | {REFUSED}),
    "oversized gets a 500": (Flaws(drops_oversized_unanswered=True), OVERSIZED),
    "never answers": (Flaws(never_answers=True), named(ANSWERED, "sha512")),
    "a group twice": (Flaws(answers_groups_twice=True), named(KIND, "group") | {TWICE}),
    "no answer to what is not ASCII": (
        Flaws(drops_non_ascii=True),
        named(KIND, "emoji", "right to left", "combining"),
    ),
    "500 on null media": (Flaws(fails_on_null_media=True), named(KIND, "media that is null")),
    "short bodies only": (
        Flaws(is_limited_to_32_kb=True),
        named(KIND, "60 KB"),
    ),
    "people's chats only": (
        Flaws(needs_a_persons_chat=True),
        named(KIND, "group", "hidden number") | {"duplicate under the hidden chat id is not answered again"},
    ),
    "whole ids": (
        Flaws(knows_messages_by_whole_id=True),
        {"duplicate under the hidden chat id is not answered again", TWICE},
    ),
    "forgets duplicates": (
        Flaws(forgets_duplicates=True),
        {
            "retried webhook is not answered again",
            "duplicate under the hidden chat id is not answered again",
            "duplicates at once are not answered again",
            TWICE,
        }
        | named(DUPLICATE, "another event id", "also as message.any"),
    ),
    "claims late": (Flaws(claims_late=True), {"duplicates at once are not answered again", TWICE}),
    "answers every event": (
        Flaws(answers_every_event=True),
        named(UNWANTED, *UNASKED[1:], *BROADCASTS) | {REFUSED},
    ),
    "answers reactions": (Flaws(answers_reactions=True), named(UNWANTED, "message.reaction") | {REFUSED}),
    "answers broadcasts": (Flaws(answers_broadcasts=True), named(UNWANTED, *BROADCASTS) | {REFUSED}),
    "refuses what it ignores": (
        Flaws(refuses_ignored=True),
        named(UNWANTED, *UNASKED, *BROADCASTS) | {"webhooks are counted"},
    ),
    "late answers": (Flaws(webhook_takes_s=1.0), {"webhook answers in time"}),
    "incomplete health": (Flaws(lacks_a_service=True), {"health has its shape", "health of email"}),
    "another shape of health": (Flaws(has_another_shape=True), {"health has its shape"}),
    "without WAHA": (Flaws(finds_down=("waha",)), {HEALTH, "health of waha"}),
    "a model that fails": (Flaws(models_answer=FALLBACK), {MODEL}),
    "a model never asked": (Flaws(models_answer=GATE_REPLY), {MODEL}),
    "silence for a model's answer": (Flaws(models_answer=""), {MODEL}),
    "a database never asked": (Flaws(only_configures_its_database=True), {"health of database"}),
    "slow health": (Flaws(health_takes_s=0.6), {"health answers in time"}),
    "health that lies": (Flaws(lies_about_the_database=True), {TRUTH}),
    "200 when unhealthy": (Flaws(answers_200_when_unhealthy=True), {TRUTH}),
    "does not recover": (Flaws(stays_unhealthy=True), {TRUTH}),
    "no metrics": (
        Flaws(has_no_metrics=True),
        {"metrics are there", "webhooks are counted"},
    ),
    "a metric less": (Flaws(lacks_a_metric=True), {"metrics are there"}),
    "a counter that stands still": (Flaws(counts_no_webhooks=True), {"webhooks are counted"}),
    "logs without ids": (Flaws(logs_no_request_ids=True), {"logs carry the request id"}),
    "logs without replies": (Flaws(logs_no_replies=True), {"logs carry the request id"}),
    "logs that are no JSON": (Flaws(logs_no_json=True), {"logs carry the request id"}),
    "no nosniff": (Flaws(lacks_nosniff=True), SECURITY),
    "errors that are kept": (
        Flaws(lets_errors_be_kept=True),
        {"security headers of refused webhook", "security headers of unknown path"},
    ),
    "a version told": (Flaws(tells_its_version=True), SECURITY),
}

WAITED_FOR: dict[str, Limits] = {
    **dict.fromkeys(("never answers", "people's chats only", "silence for a model's answer"), NO_REPLY),
    **dict.fromkeys(("logs without ids", "logs without replies", "logs that are no JSON"), NO_REPLY),
    **dict.fromkeys(("health that lies", "200 when unhealthy", "does not recover"), NEVER_TOLD),
    "late answers": SLOW_WEBHOOKS,
    "slow health": SLOW_HEALTH,
}
"""The limits that must be over before a flaw is seen."""
