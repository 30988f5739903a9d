"""All that can be wrong with the reference target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Flaws:
    """What is wrong with a target; nothing by default."""

    # signatures
    takes_only: str = ""
    """Another secret than the suite's."""
    accepts_any_signature: bool = False
    accepts_truncated_signatures: bool = False
    ignores_the_algorithm: bool = False
    accepts_weak_algorithms: bool = False
    fails_on_odd_signatures: bool = False
    takes_only_sha512: bool = False
    takes_any_time: bool = False
    # replies
    answers_twice: bool = False
    answers_groups_twice: bool = False
    answers_again_late: bool = False
    never_answers: bool = False
    drops_non_ascii: bool = False
    fails_on_null_media: bool = False
    is_limited_to_32_kb: bool = False
    needs_a_persons_chat: bool = False
    forgets_duplicates: bool = False
    knows_messages_by_whole_id: bool = False
    claims_late: bool = False
    answers_every_event: bool = False
    answers_reactions: bool = False
    answers_broadcasts: bool = False
    refuses_ignored: bool = False
    models_answer: str = "Good morning!"
    # requests
    hangs_on_webhooks: bool = False
    webhook_takes_s: float = 0.0
    fails_on_malformed: bool = False
    replaces_bad_utf8: bool = False
    takes_any_size: bool = False
    drops_oversized_unanswered: bool = False
    has_no_gate_lane: bool = False
    # health
    never_ready: bool = False
    ready_after_probes: int = 0
    lacks_a_service: bool = False
    has_another_shape: bool = False
    finds_down: tuple[str, ...] = ()
    finds_down_at_first: tuple[str, ...] = ()
    only_configures_its_database: bool = False
    health_takes_s: float = 0.0
    lies_about_the_database: bool = False
    answers_200_when_unhealthy: bool = False
    stays_unhealthy: bool = False
    # what it tells
    has_no_metrics: bool = False
    lacks_a_metric: bool = False
    counts_no_webhooks: bool = False
    logs_no_request_ids: bool = False
    logs_no_replies: bool = False
    logs_no_json: bool = False
    lacks_nosniff: bool = False
    lets_errors_be_kept: bool = False
    tells_its_version: bool = False
    lacks_hsts: bool = False
