"""Measures mail, as every other call of an outside service."""

from __future__ import annotations

import time

from service.messages.outbound import CallOutcome, Operation, OutboundMetrics, Peer
from service.telemetry.mail import Mail, Mailer


class MeasuredMailer:
    """See `Mailer`: *mailer*, measured, its waiting and repeating included."""

    def __init__(self, mailer: Mailer, metrics: OutboundMetrics) -> None:
        self._mailer = mailer
        self._metrics = metrics

    async def send(self, mail: Mail) -> bool:
        """See `Mailer.send`."""
        started = time.perf_counter()
        is_taken = await self._mailer.send(mail)
        outcome = CallOutcome.OK if is_taken else CallOutcome.REFUSED
        self._metrics.observe(Peer.RESEND, Operation.SEND_MAIL, outcome, time.perf_counter() - started)
        return is_taken
