"""What is sent for each arrival of a stream, and which answer to it is right."""

from __future__ import annotations

from collections.abc import Callable

from contracts.webhook import WEBHOOK_PATH, encode, signed_headers
from loadtests.arrivals import BAD_SIGNATURES, DUPLICATES, Kind, Plan
from loadtests.book import BAD_SIGNATURE_ACCEPTED
from loadtests.messages import Messages
from loadtests.order import Order, Stream
from loadtests.webhooks import Wire, WrongAnswerError

HEALTH_PATH = "/api/health"

Send = Callable[[int, float], None]
"""Sends the arrival of this index, whose answer must come within so many seconds; raises a `WebhookError`."""


class WebhookSender:
    """Sends the webhooks of a plan, good and bad."""

    def __init__(self, wire: Wire, secret: str, plan: Plan, messages: Messages) -> None:
        self._wire, self._secret = wire, secret
        self._plan, self._messages = plan, messages

    def __call__(self, index: int, within_s: float) -> None:
        """Send webhook *index*: 2xx is right, and 401 for a bad signature.

        Raises:
            WebhookError: there was no right answer.
        """
        kind = Kind(self._plan.kinds[index])
        body = self._body(index, kind)
        status = self._wire.post(WEBHOOK_PATH, body, self._headers(body, kind), within_s=within_s)
        accepted = 200 <= status < 300
        if kind in BAD_SIGNATURES:
            if accepted:
                raise WrongAnswerError(BAD_SIGNATURE_ACCEPTED)
            if status != 401:
                raise WrongAnswerError(f"status {status} to a bad signature")
        elif not accepted:
            raise WrongAnswerError(f"status {status}{' to a duplicate' if kind in DUPLICATES else ''}")

    def _body(self, index: int, kind: Kind) -> bytes:
        message = self._plan.originals[index]
        # What happened once happened when the message came first, whenever it is told.
        return encode(self._messages.event(message, self._plan.due_s[message], kind))

    def _headers(self, body: bytes, kind: Kind) -> dict[str, str]:
        headers = signed_headers(body, f"not {self._secret}" if kind == Kind.FOREIGN else self._secret)
        if kind == Kind.UNSIGNED:
            del headers["X-Webhook-Hmac"]
        return headers


class HealthSender:
    """Asks for the health report."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __call__(self, _index: int, within_s: float) -> None:
        """Ask once: 200 is right.

        Raises:
            WebhookError: there was no right answer.
        """
        if (status := self._wire.get(HEALTH_PATH, within_s=within_s)) != 200:
            raise WrongAnswerError(f"status {status}")


def senders_of(order: Order, secret: str, baseline_secret: str | None) -> dict[Stream, Send]:
    """A sender for each stream of *order*, each with connections of its own.

    *baseline_secret* signs what goes to the live release; None: the candidate's *secret* does.
    """
    secrets = {Stream.CANDIDATE: secret, Stream.BASELINE: baseline_secret or secret}
    messages, senders = order.messages(), dict[Stream, Send]()
    for stream, plan in order.plans().items():
        address = order.baseline if stream is Stream.BASELINE and order.baseline else order.host
        wire = Wire(address, at_once=plan.total, timeout_s=order.answer_timeout_s(stream))
        senders[stream] = (
            HealthSender(wire)
            if stream is Stream.HEALTH
            else WebhookSender(wire, secrets[stream], plan, messages[stream])
        )
    return senders
