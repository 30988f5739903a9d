"""Signatures: one right form, and 401 for every other."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from service_kit import RETIRED, SECRET, Fixture, RawHeaders, event, post, raw, signed

from contracts.webhook import signed_headers
from service.webhooks.rejected import InvalidSignature, Unauthorized
from service.webhooks.signature import Secrets

WAHA_BODY = b'{"event":"message","session":"default","engine":"WEBJS"}'
BODY = event()
GOOD = signed_headers(BODY, SECRET)["X-Webhook-Hmac"]
GOOD_256 = signed_headers(BODY, SECRET, "sha256")["X-Webhook-Hmac"]
SIGNATURE, ALGORITHM = b"x-webhook-hmac", b"x-webhook-hmac-algorithm"


def test_waha_vector() -> None:
    """The example of WAHA's documentation verifies."""
    signature = hmac.new(b"my-secret-key", WAHA_BODY, hashlib.sha512).hexdigest()
    assert (signature[:8], signature[-5:]) == ("208f8a55", "3fa89")
    assert Secrets([b"my-secret-key"]).verify(WAHA_BODY, {SIGNATURE: signature.encode()}) == 0


@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
@pytest.mark.parametrize("named", [True, False])
async def test_both_algorithms_are_taken(web: Fixture, algorithm: str, named: bool) -> None:
    """sha512 and sha256 verify, by the algorithm header or by the signature's length."""
    headers = signed_headers(BODY, SECRET, algorithm)  # type: ignore[arg-type]
    if not named:
        del headers["X-Webhook-Hmac-Algorithm"]
    assert (await post(web.app, BODY, raw(headers))).status == 202


@pytest.mark.parametrize(("secret", "name"), [(SECRET, "current"), (RETIRED, "previous")])
async def test_secret_being_retired_is_taken_too(web: Fixture, secret: str, name: str) -> None:
    """While a secret is rotated both are valid, and the metric tells which the sender still uses."""
    assert (await post(web.app, BODY, raw(signed_headers(BODY, secret)))).status == 202
    (family,) = web.web.metrics.signatures.collect()
    counted = {sample.labels["secret"]: sample.value for sample in family.samples if sample.value == 1}
    assert counted == {name: 1.0}


INVALID: dict[str, RawHeaders] = {
    "wrong": [(SIGNATURE, b"0" * 128)],
    "wrong, sha256": [(SIGNATURE, b"0" * 64)],
    "empty": [(SIGNATURE, b"")],
    "blank": [(SIGNATURE, b" ")],
    "too short": [(SIGNATURE, GOOD[:-1].encode())],
    "too long": [(SIGNATURE, GOOD.encode() + b"0")],
    "cut to the other length": [(SIGNATURE, GOOD[:64].encode())],
    "uppercase": [(SIGNATURE, GOOD.upper().encode())],
    "not hex": [(SIGNATURE, b"g" * 128)],
    "not ASCII": [(SIGNATURE, b"\xff" * 128)],
    "other digits": [(SIGNATURE, "٣".encode() * 64)],
    "prefixed": [(SIGNATURE, b"sha512=" + GOOD.encode())],
    "newline": [(SIGNATURE, GOOD.encode() + b"\n")],
    "NUL": [(SIGNATURE, GOOD[:-1].encode() + b"\0")],
    "two in one": [(SIGNATURE, f"{GOOD}, {GOOD}".encode())],
    "repeated": [(SIGNATURE, GOOD.encode()), (SIGNATURE, GOOD.encode())],
    "repeated, one wrong": [(SIGNATURE, GOOD.encode()), (SIGNATURE, b"0" * 128)],
    "unknown algorithm": [(SIGNATURE, GOOD.encode()), (ALGORITHM, b"md5")],
    "empty algorithm": [(SIGNATURE, GOOD.encode()), (ALGORITHM, b"")],
    "uppercase algorithm": [(SIGNATURE, GOOD.encode()), (ALGORITHM, b"SHA512")],
    "algorithm not ASCII": [(SIGNATURE, GOOD.encode()), (ALGORITHM, b"\xe9")],
    "algorithm of the other length": [(SIGNATURE, GOOD_256.encode()), (ALGORITHM, b"sha512")],
    "repeated algorithm": [(SIGNATURE, GOOD.encode()), (ALGORITHM, b"sha512"), (ALGORITHM, b"sha512")],
}


@pytest.mark.parametrize("headers", INVALID.values(), ids=INVALID)
async def test_malformed_or_wrong_signature_is_401(web: Fixture, headers: RawHeaders) -> None:
    """Every malformed, repeated or wrong signature is 401, told in the runbook's words; nothing is taken."""
    answer = await post(web.app, BODY, headers)
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_signature")
    (line,) = web.lines("Invalid webhook signature")
    assert (line["security"], line["action"], line["webhook"]) == (True, "invalid_signature", True)
    assert web.admission.taken == []


async def test_missing_signature_is_unauthorized(web: Fixture) -> None:
    """Without any signature it is 401 too, logged as unauthorized."""
    answer = await post(web.app, BODY, [])
    assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
    (line,) = web.lines("Invalid webhook signature")
    assert (line["security"], line["action"]) == (True, "unauthorized")


async def test_signature_is_over_the_raw_bytes(web: Fixture) -> None:
    """The same JSON in other bytes does not verify."""
    assert (await post(web.app, BODY + b" ", signed(BODY))).status == 401


async def test_signature_itself_is_not_logged(web: Fixture) -> None:
    """Neither the signature that came nor the one expected stands in a log line."""
    await post(web.app, BODY, [(SIGNATURE, b"ab" * 64)])
    assert "ab" * 8 not in str(web.logs.entries)
    assert GOOD not in str(web.logs.entries)


def test_errors_say_missing_or_invalid() -> None:
    """The two refusals can be told apart."""
    with pytest.raises(Unauthorized) as missing:
        Secrets([b"secret"]).verify(BODY, {})
    with pytest.raises(InvalidSignature):
        Secrets([b"another secret"]).verify(BODY, {SIGNATURE: GOOD.encode()})
    assert not isinstance(missing.value, InvalidSignature)
