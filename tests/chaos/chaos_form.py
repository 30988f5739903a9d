"""How long the chaos tests run: a short form for each commit, the full one by `RUNBOOK_CHAOS_ROUNDS=20`."""

from __future__ import annotations

import os
import secrets

FULL_ROUNDS = 20

ROUNDS = int(os.environ.get("RUNBOOK_CHAOS_ROUNDS", "2"))
"""How often each process is killed."""

FULL = ROUNDS >= FULL_ROUNDS

SEED = int(os.environ.get("RUNBOOK_CHAOS_SEED") or secrets.randbelow(10**6))
"""Of all random moments and choices; printed by a test that fails, and may be given back."""

REPORT = os.environ.get("RUNBOOK_CHAOS_REPORT")
"""A file to which each run's reckoning is appended, one JSON object a line."""


def sized(short: int, full: int) -> int:
    """*full* in the full form, *short* in the short one."""
    return full if FULL else short
