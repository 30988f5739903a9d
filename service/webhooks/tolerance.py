"""How far the time of a signed event may be from ours, derived from how long its sender goes on retrying.

WAHA repeats an event, its time and its signature unchanged, until it is answered 2xx. A tolerance that is
shorter than its retries would refuse messages for good; one longer than messages are remembered would let a
recorded webhook be played back. Policies as in WAHA's `config.webhooks[].retries`.
"""

from __future__ import annotations

from service.lanes import DAY_S

ANSWER_TIMEOUT_S = 8
"""WAHA waits this long for each answer."""

CLOCK_SKEW_S = 300
"""How far two clocks may be apart beside that."""

LONGEST_S = 2 * DAY_S
"""Less than messages are remembered (`service/storage/known.py`)."""


def retries_span_s(policy: str, delay_s: float, attempts: int) -> float:
    """From the first attempt until WAHA gives up, in seconds."""
    if policy == "constant":
        pauses = delay_s * attempts
    elif policy == "linear":
        pauses = delay_s * attempts * (attempts + 1) / 2
    else:
        pauses = delay_s * (2.0 ** min(attempts + 1, 64) - 2)
    return pauses + ANSWER_TIMEOUT_S * attempts
