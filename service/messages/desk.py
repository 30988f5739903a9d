"""What the messages of one lane are answered with."""

from __future__ import annotations

from dataclasses import dataclass

from service.messages.billing import Billing
from service.messages.messenger import Messenger
from service.messages.receipts import Receipts
from service.messages.writer import Writer


@dataclass(frozen=True)
class Desk:
    """A lane's own writer, messenger, accounts and proofs: a gate's messages go to nobody and cost nobody."""

    writer: Writer
    messenger: Messenger
    billing: Billing
    receipts: Receipts
