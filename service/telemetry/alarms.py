"""What a person should hear of at once, each with the runbook's level. Where it goes is in `sentry.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Level(StrEnum):
    """How bad it is."""

    CRITICAL = "critical"
    ERROR = "error"
    """Something that nobody foresaw."""
    WARNING = "warning"


class Alarm(StrEnum):
    """The things to be told of."""

    DATABASE_DOWN = "database_down"
    WAHA_UNREACHABLE = "waha_unreachable"
    SIGNATURE_FAILURES = "signature_failures"
    """Raised for each failed signature; told of only above a rate."""
    CREDIT_FAILURE = "credit_failure"
    """A credit could not be reserved, charged or released."""
    MEMORY_FULL = "memory_full"
    """Redis has no memory for more messages, and nothing that is answered gives it back soon."""
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
    """Tells of alarms, soon: nothing here blocks or raises, and the log has it all besides."""

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        """Tell of *alarm*; only fields that are known to be harmless go out."""
        ...

    def report_error(self, what: str, error: BaseException) -> None:
        """Tell of an exception that nobody foresaw, by type and place. *what*: the log line's message."""
        ...


class NoAlarms:
    """Stands where nobody is to be told."""

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        """See `Alarms.raise_alarm`."""

    def report_error(self, what: str, error: BaseException) -> None:
        """See `Alarms.report_error`."""
