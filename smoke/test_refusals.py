"""What must be refused: forged signatures, malformed bodies, bodies without bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts.webhook import encode, signed_headers
from smoke.chat import Conversations
from smoke.evidence import Measured
from smoke.target import NoAnswerError, Target, Webhook, described

SIGNATURE = "X-Webhook-Hmac"
OVERSIZED_BYTES = 2 * 1024 * 1024
OVERSIZED_ATTEMPTS = 3


def _signature(webhook: Webhook, value: str | bytes) -> Webhook:
    return replace(webhook, headers={**webhook.headers, SIGNATURE: value})


def _unsigned(webhook: Webhook) -> Webhook:
    kept = {name: value for name, value in webhook.headers.items() if not name.startswith(SIGNATURE)}
    return replace(webhook, headers=kept)


def _of_another_secret(webhook: Webhook) -> Webhook:
    return replace(webhook, headers={**signed_headers(webhook.body, "not the secret")})


FORGERIES: dict[str, Callable[[Webhook], Webhook]] = {
    "unsigned": _unsigned,
    "of another secret": _of_another_secret,
    # 64 characters: as long as a whole sha256 signature
    "truncated": lambda webhook: _signature(webhook, webhook.headers[SIGNATURE][:64]),
    "over other bytes": lambda webhook: replace(webhook, body=webhook.body + b" "),
    "not hexadecimal": lambda webhook: _signature(webhook, "z" * 128),
    "not ASCII": lambda webhook: _signature(webhook, b"\xe9" * 128),
    "empty": lambda webhook: _signature(webhook, ""),
}

MALFORMED: dict[str, bytes] = {
    "cut off": b'{"event":"message","session":"default","payload":{',
    "not UTF-8": b'{"event":"message","session":"default\xff\xfe","payload":{}}',
    "not an object": b"[]",
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_signature_is_refused(
    measured: Measured, target: Target, conversations: Conversations, forgery: str
) -> None:
    """A webhook whose signature does not prove the secret over its bytes is 401."""
    event = conversations.forbid_answer(conversations.open().message(f"forged: {forgery}"))
    response = target.post(FORGERIES[forgery](target.signed(encode(event))))
    measured(
        response.status_code, "401", samples=1, ok=response.status_code == 401, detail=described(response)
    )


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_body_is_refused(measured: Measured, target: Target, body: str) -> None:
    """A correctly signed body that is no event is a 4xx about the body, never a 5xx."""
    response = target.post(target.signed(MALFORMED[body]))
    status = response.status_code
    about_the_body = 400 <= status < 500 and status not in (401, 403, 404, 429)
    measured(status, "4xx about the body", samples=1, ok=about_the_body, detail=described(response))


@pytest.mark.parametrize("framing", ["with its length", "chunked"])
def test_oversized_body_is_refused(
    measured: Measured, target: Target, conversations: Conversations, framing: str
) -> None:
    """A correctly signed body of 2 MiB is 413, whether or not its length is announced."""
    event = conversations.forbid_answer(conversations.open().message("x" * OVERSIZED_BYTES))
    webhook = target.signed(event)
    for attempt in range(1, OVERSIZED_ATTEMPTS + 1):
        try:
            response = target.post(webhook, chunked=framing == "chunked")
        except NoAnswerError as error:
            # A server may close as soon as it has refused, and the reset overtake its answer.
            if error.timed_out or attempt == OVERSIZED_ATTEMPTS:
                raise
        else:
            break
    measured(
        response.status_code,
        "413",
        samples=attempt,
        ok=response.status_code == 413,
        detail=described(response),
    )
