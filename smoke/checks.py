"""Every check of the suite, by its test's name: what a whole run must have, whatever pytest found to run.

Pytest can be made to leave tests out by options, variables, files and plugins. What is missing then is known
from here: it is no evidence.
"""

from __future__ import annotations


def _each(test: str, *parameters: str) -> list[str]:
    return [f"{test}[{parameter}]" for parameter in parameters]


CHECKS: dict[str, list[str]] = {
    "test_tls": ["test_certificate_is_trusted", "test_old_tls_is_refused", "test_hsts_is_sent"],
    "test_ready": ["test_ready", "test_webhook_answers_in_time"],
    "test_health": [
        *("test_health_is_healthy", "test_health_has_its_shape"),
        *_each("test_health_of", "database", "redis", "inngest", "sentry", "email", "waha"),
        *("test_health_answers_in_time", "test_live_answers"),
    ],
    "test_metrics": ["test_metrics_are_there", "test_webhooks_are_counted"],
    "test_headers": _each(
        "test_security_headers_of",
        *("accepted webhook", "webhook in pieces", "refused webhook"),
        *("health", "ready", "metrics", "unknown path"),
    ),
    "test_refusals": [
        *_each(
            "test_forged_signature_is_refused",
            *("unsigned", "of another secret", "truncated", "one character short"),
            *("over other bytes", "not hexadecimal", "not ASCII", "empty"),
        ),
        *_each(
            "test_algorithm_is_refused",
            *("sha256 that says sha512", "sha512 that says sha256", "md5", "sha1"),
        ),
        *_each("test_event_of_another_time_is_refused", "days ago", "days ahead"),
        *_each("test_malformed_body_is_refused", "cut off", "not UTF-8", "not an object", "too deep"),
        *_each("test_oversized_body_is_refused", "with its length", "chunked"),
    ],
    "test_replies": [
        *_each("test_signed_message_is_answered_once", "sha512", "sha256"),
        "test_retried_webhook_is_not_answered_again",
        *_each("test_duplicate_is_not_answered_again", "another event id", "also as message.any"),
        "test_duplicate_under_the_hidden_chat_id_is_not_answered_again",
        "test_duplicates_at_once_are_not_answered_again",
    ],
    "test_kinds": _each(
        "test_message_is_answered_once",
        *("text", "media", "media that is null", "group", "quoting a message", "hidden number"),
        *("emoji", "right to left", "combining", "60 KB"),
    ),
    "test_model": ["test_the_model_answers"],
    "test_unanswered": _each(
        "test_event_is_accepted_and_unanswered",
        *("session.status", "session.status like a message", "own message", "message.ack"),
        *("message.reaction", "message.edited", "message.revoked", "newsletter", "status@broadcast"),
    ),
    "test_logs": ["test_logs_carry_the_request_id"],
    "test_settled": ["test_no_message_has_a_second_reply", "test_nothing_refused_or_ignored_was_answered"],
    "test_truth": ["test_health_tells_the_truth"],
}
"""By file, in the order in which they run.

First whether there is anything to check, then what takes a moment, and at last what disturbs the release.
"""

SHORT = frozenset(
    {
        *("test_ready", "test_live_answers", "test_forged_signature_is_refused[of another secret]"),
        "test_retried_webhook_is_not_answered_again",
    }
)
"""Those of the short form: is it up, is a message that comes twice answered once, is a forged one refused?"""

SHORT_BESIDE_LIVE = SHORT | {
    test for test in CHECKS["test_health"] if test.startswith(("test_health_of[", "test_health_is_healthy"))
}
"""With a live release to compare with: is what it depends on no worse for it?"""


def check_name(test_name: str) -> str:
    """A test's name as words, with its parameter in brackets: `test_live_answers` is `live answers`.

    After "of" the parameter is a word of its own: `test_health_of[redis]` is `health of redis`.
    """
    name, _, parameter = test_name.removeprefix("test_").removesuffix("]").partition("[")
    words = name.replace("_", " ")
    if not parameter:
        return words
    return f"{words} {parameter}" if words.endswith(" of") else f"{words} [{parameter}]"
