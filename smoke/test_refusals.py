"""What must be refused: forged signatures, malformed bodies, bodies without bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from contracts.webhook import encode, signed_headers
from smoke.chat import Conversations
from smoke.evidence import Measured
from smoke.target import AnyAlgorithm, NoAnswerError, Target, Webhook, described

SIGNATURE = "X-Webhook-Hmac"
ALGORITHM = "X-Webhook-Hmac-Algorithm"
OVERSIZED_BYTES = 2 * 1024 * 1024
OVERSIZED_ATTEMPTS = 3

AN_AGE_MS = 3 * 24 * 3600 * 1000
"""Beyond every tolerance that a release may have: messages are remembered for two days."""


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
    "one character short": lambda webhook: _signature(webhook, webhook.headers[SIGNATURE][:-1]),
    "over other bytes": lambda webhook: replace(webhook, body=webhook.body + b" "),
    "not hexadecimal": lambda webhook: _signature(webhook, "z" * 128),
    "not ASCII": lambda webhook: _signature(webhook, b"\xe9" * 128),
    "empty": lambda webhook: _signature(webhook, ""),
}
"""What is done to a webhook that is signed as it should be."""

ALGORITHMS: dict[str, tuple[AnyAlgorithm, AnyAlgorithm]] = {
    "sha256 that says sha512": ("sha256", "sha512"),
    "sha512 that says sha256": ("sha512", "sha256"),
    "md5": ("md5", "md5"),
    "sha1": ("sha1", "sha1"),
}
"""The algorithm that a right digest is made with, and the one that its header names."""

OTHER_TIMES: dict[str, int] = {"days ago": -AN_AGE_MS, "days ahead": AN_AGE_MS}
"""By how much (ms) a signed event's own time is off."""

MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda body: body[: body.index(b'"engine"')],
    "not UTF-8": lambda body: body.replace(b"malformed", b"mal\xff\xfed"),
    "not an object": lambda body: b"[" + body + b"]",
    "too deep": lambda body: body.replace(b'"_data":{}', b'"_data":' + b"[" * 100_000),
}
"""What is done to the body of a message before it is signed."""


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_signature_is_refused(
    measured: Measured, target: Target, conversations: Conversations, forgery: str
) -> None:
    """A webhook whose signature does not prove the secret over its bytes is 401."""
    event = conversations.forbid_answer(conversations.open().message(f"forged: {forgery}"))
    response = target.post(FORGERIES[forgery](target.signed(encode(event))))
    _record(measured, response, 401)


@pytest.mark.parametrize("algorithms", ALGORITHMS)
def test_algorithm_is_refused(
    measured: Measured, target: Target, conversations: Conversations, algorithms: str
) -> None:
    """A digest made with the secret is 401 where its algorithm is not the one it says, or a weak one."""
    made_with, named = ALGORITHMS[algorithms]
    event = conversations.forbid_answer(conversations.open().message(f"signed with {algorithms}"))
    webhook = target.signed(event, made_with)
    response = target.post(replace(webhook, headers={**webhook.headers, ALGORITHM: named}))
    _record(measured, response, 401)


@pytest.mark.parametrize("time", OTHER_TIMES)
def test_event_of_another_time_is_refused(
    measured: Measured, target: Target, conversations: Conversations, time: str
) -> None:
    """A right signature over an event from another time is 401: a recorded webhook cannot be played back."""
    event = conversations.forbid_answer(conversations.open().message(f"sent {time}"))
    response = target.post(target.signed({**event, "timestamp": event["timestamp"] + OTHER_TIMES[time]}))
    _record(measured, response, 401)


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_body_is_refused(
    measured: Measured, target: Target, conversations: Conversations, body: str
) -> None:
    """A correctly signed body that is no event is a 4xx about the body, never a 5xx."""
    event = conversations.forbid_answer(conversations.open().message("malformed"))
    response = target.post(target.signed(MALFORMED[body](encode(event))))
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
    _record(measured, response, 413, samples=attempt)


def _record(measured: Measured, response: httpx.Response, wanted: int, samples: int = 1) -> None:
    status = response.status_code
    measured(status, str(wanted), samples=samples, ok=status == wanted, detail=described(response))
