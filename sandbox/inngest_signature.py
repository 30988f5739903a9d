"""Inngest's signing keys: what a call is signed with, and what an app shows to register."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any


def canonical(value: Any) -> bytes:
    """*value* as JSON of the one form that is signed: RFC 8785, for what has no fractions."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signature(body: bytes, signing_key: str) -> str:
    """The header X-Inngest-Signature for *body*, which is canonical."""
    now_s = int(time.time())
    mac = hmac.new(_bare(signing_key).encode(), body + str(now_s).encode(), hashlib.sha256)
    return f"t={now_s}&s={mac.hexdigest()}"


def registration_token(signing_key: str) -> str:
    """The bearer token of an app that has *signing_key*: the digest of the key's bytes."""
    return hashlib.sha256(bytes.fromhex(_bare(signing_key))).hexdigest()


def _bare(signing_key: str) -> str:
    return re.sub(r"^signkey-\w+-", "", signing_key)
