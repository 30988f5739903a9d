from collections.abc import Mapping
from typing import cast

import pytest

from contracts.webhook import signed_headers
from loadtests.arrivals import BAD_SIGNATURES, DUPLICATES, Kind, Plan
from loadtests.book import BAD_SIGNATURE_ACCEPTED
from loadtests.messages import Messages, new_run
from loadtests.scenarios import Phase
from loadtests.senders import HealthSender, WebhookSender
from loadtests.webhooks import Wire, WrongAnswerError

SECRET = "secret"
SIGNATURE = "X-Webhook-Hmac"
PLAN = Plan.of([Phase(at_once=100)], 0, duplicates=0.4, bad_signatures=0.4)
GOOD = [kind for kind in Kind if kind not in BAD_SIGNATURES]


class FakeWire:
    """Answers each request with *status*, and remembers the last."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.body, self.headers = b"", dict[str, str]()

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, within_s: float) -> int:
        """The status."""
        self.body, self.headers = body, dict(headers)
        return self._status

    def get(self, path: str, *, within_s: float) -> int:
        """The status."""
        return self._status


def sent(kind: Kind, status: int) -> FakeWire:
    """What is on the wire after the first webhook of this kind, which was answered with *status*."""
    wire = FakeWire(status)
    WebhookSender(cast(Wire, wire), SECRET, PLAN, Messages(new_run()))(PLAN.kinds.index(kind), 1)
    return wire


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("status", [200, 202])
def test_messages_and_duplicates_are_signed_and_must_be_taken(kind: Kind, status: int) -> None:
    """Each carries the signature of its own bytes, and any 2xx is right."""
    wire = sent(kind, status)
    assert wire.headers[SIGNATURE] == signed_headers(wire.body, SECRET)[SIGNATURE]


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("status", [302, 401, 429, 503])
def test_any_other_answer_to_them_is_wrong(kind: Kind, status: int) -> None:
    """The reason says which, and that it was a duplicate where it was."""
    with pytest.raises(WrongAnswerError) as wrong:
        sent(kind, status)
    assert str(wrong.value) == f"status {status}" + (" to a duplicate" if kind in DUPLICATES else "")


def test_forgeries_are_not_signed_with_the_secret() -> None:
    """One is well-formed and by another secret, the other has no signature; 401 is right for both."""
    foreign, unsigned = sent(Kind.FOREIGN, 401), sent(Kind.UNSIGNED, 401)
    right = signed_headers(foreign.body, SECRET)[SIGNATURE]
    assert foreign.headers[SIGNATURE] != right
    assert len(foreign.headers[SIGNATURE]) == len(right)
    assert SIGNATURE not in unsigned.headers


@pytest.mark.parametrize("kind", BAD_SIGNATURES)
@pytest.mark.parametrize(
    ("status", "reason"),
    [(202, BAD_SIGNATURE_ACCEPTED), (200, BAD_SIGNATURE_ACCEPTED), (500, "status 500 to a bad signature")],
)
def test_forgeries_must_get_401(kind: Kind, status: int, reason: str) -> None:
    """Any other answer is wrong, and one that takes it is a breach."""
    with pytest.raises(WrongAnswerError, match=reason):
        sent(kind, status)


def test_health_must_be_200() -> None:
    """Any other status is wrong, the 503 of an unhealthy service as well."""
    HealthSender(cast(Wire, FakeWire(200)))(0, 1)
    with pytest.raises(WrongAnswerError, match="status 503"):
        HealthSender(cast(Wire, FakeWire(503)))(0, 1)
