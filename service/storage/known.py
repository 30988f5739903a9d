"""What is known of messages that were taken, and for how long: see `lua/known.lua`."""

from __future__ import annotations

import binascii
import hashlib

from service.lanes import DAY_S

REMEMBERED_S = 3 * DAY_S
"""Above the two days for which WAHA may tell of a message again."""

PERIODS = 6
"""A message is remembered for so many periods at least, and for one more at most."""


def known_period_s(life_s: int) -> int:
    """How long a period is where all keys live *life_s*; 0: for ever."""
    return max(1, life_s // (PERIODS + 1)) if life_s else REMEMBERED_S // PERIODS


PARTS = 3072
"""Hashes of a period: 20,000 messages bear their cost, a million and a half fit."""

ID_BYTES = 12
"""So much of a message's digest tells it from all others."""


def known_name(identity: str) -> str:
    """The name of the message of this identity: its part, and 96 bits of its digest in sixteen characters."""
    try:
        digest = bytes.fromhex(identity)
    except ValueError:
        digest = b""
    if len(digest) < ID_BYTES + 2:  # it is no digest itself
        digest = hashlib.blake2b(identity.encode(), digest_size=ID_BYTES + 2).digest()
    part = int.from_bytes(digest[ID_BYTES : ID_BYTES + 2]) % PARTS
    return f"{part:03x}{binascii.b2a_base64(digest[:ID_BYTES], newline=False).decode()}"
