"""What a person should hear of at once, each with the runbook's level. Where it goes is in `sentry.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Level(StrEnum):
    """How bad it is."""

    CRITICAL = "critical"
    WARNING = "warning"


class Alarm(StrEnum):
    """The things to be told of."""

    DATABASE_DOWN = "database_down"
    WAHA_UNREACHABLE = "waha_unreachable"
    SIGNATURE_FAILURES = "signature_failures"
    """Raised for each failed signature; told of only above a rate."""
    CREDIT_FAILURE = "credit_failure"
    """A credit could not be reserved, charged or released."""
    RATE_LIMITED = "rate_limited"
    SLOW_REQUEST = "slow_request"
    """Above 3 s."""
    INVALID_PAYLOAD = "invalid_payload"

    @property
    def level(self) -> Level:
        """The runbook's level."""
        return Level.WARNING if self in _WARNINGS else Level.CRITICAL


_WARNINGS = frozenset({Alarm.RATE_LIMITED, Alarm.SLOW_REQUEST, Alarm.INVALID_PAYLOAD})


class Alarms(Protocol):
    """Tells of alarms."""

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        """Tell of *alarm*, soon. Never blocks, never raises; only fields that are known harmless go out."""
        ...


class NoAlarms:
    """Stands where nobody is to be told: the log has it all."""

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        """See `Alarms.raise_alarm`."""
