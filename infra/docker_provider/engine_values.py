"""Values as Pulumi's schema has them and as the engine's JSON has them, converted in both directions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

MIB = 1024 * 1024
_NANO = 1_000_000_000
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 1_000_000, "s": _NANO, "m": 60 * _NANO, "h": 3600 * _NANO}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")


def labels_to_engine(labels: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """`[{"label": …, "value": …}]` as a map."""
    return {item["label"]: item["value"] for item in labels}


def labels_from_engine(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """A map as `[{"label": …, "value": …}]`, sorted."""
    return [{"label": name, "value": value} for name, value in sorted((labels or {}).items())]


def bytes_of(mebibytes: int) -> int:
    """Mebibytes as bytes; -1 (no limit) stays."""
    return mebibytes * MIB if mebibytes > 0 else mebibytes


def mebibytes_of(count: int | None) -> int:
    """Bytes as whole mebibytes; -1 (no limit) stays."""
    return count // MIB if count and count > 0 else count or 0


def nanoseconds_of(duration: str) -> int:
    """A duration in Go's notation, like `1m30s`, in nanoseconds.

    Raises:
        ValueError: it is not one.
    """
    if duration == "0":
        return 0
    if not _DURATION.fullmatch(duration):
        raise ValueError(duration)
    parts = _DURATION_PART.findall(duration)
    return int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))


def duration_of(nanoseconds: int | None) -> str:
    """Nanoseconds in Go's notation, as its `Duration.String` writes them from a second up; `0s` for none."""
    if not nanoseconds:
        return "0s"
    if nanoseconds < _NANO:
        unit = next(name for name in ("ms", "us", "ns") if nanoseconds % _UNITS[name] == 0)
        return f"{nanoseconds // _UNITS[unit]}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * _NANO)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{Decimal(rest) / _NANO:f}s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def nano_cpus_of(cpus: str) -> int:
    """A number of CPUs like `1.5` in billionths.

    Raises:
        ValueError: it is not a positive number.
    """
    try:
        count = Decimal(cpus)
    except InvalidOperation:
        raise ValueError(cpus) from None
    if not count.is_finite() or count < 0:
        raise ValueError(cpus)
    return int(count * _NANO)


def cpus_of(nano_cpus: int | None) -> str | None:
    """Billionths of a CPU as a plain decimal number; None for no limit."""
    return f"{(Decimal(nano_cpus) / _NANO).normalize():f}" if nano_cpus else None
