"""The queue as people read it: the lanes, and what was given up."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from runbook.console import say, show
from runbook.tables import moment, show_table, span

LANES = ("lane", "depth", "waiting", "in work", "oldest", "dead", "unknown", "unsettled")
CONSUMERS = ("worker", "lane", "pending", "idle")
RECORDS = ("id", "ended (UTC)", "age", "attempts", "request", "chat", "session", "reason")


class Kept(StrEnum):
    """Where messages lie that ended without a reply that is known to be sent."""

    DEAD = "dead"
    UNKNOWN = "unknown"

    def counted(self, count: int) -> str:
        """`1 dead letter`, `2 unknown outcomes`."""
        name = "dead letter" if self is Kept.DEAD else "unknown outcome"
        return f"{count} {name}{'' if count == 1 else 's'}"


def show_lanes(found: dict[str, Any]) -> None:
    """The lanes as a table, above it how full Redis is, under it the workers that hold messages or might."""
    show(f"live release: {found['live_release'] or 'not known'}")
    if "memory" in found:  # a release from before it does not tell
        show(_memory(found["memory"]))
    show_table(LANES, [_lane(lane) for lane in found["lanes"]])
    consumers = [
        (consumer["name"], _name(lane), consumer["pending"], span(consumer["idle_ms"]))
        for lane in found["lanes"]
        for consumer in lane["consumers"]
    ]
    if consumers:
        show("")
        show_table(CONSUMERS, consumers)


def show_records(kept: Kept, found: dict[str, Any]) -> None:
    """Records as a table, and how many there are beyond it."""
    messages = found["messages"]
    if messages:
        show_table(RECORDS, [_record(message) for message in messages])
    say(f"{kept.counted(found['total'])} in all, {len(messages)} shown")


def _name(lane: dict[str, Any]) -> str:
    return f"{lane['lane']} {lane['release']}" if lane["release"] else str(lane["lane"])


def _memory(memory: dict[str, Any]) -> str:
    """How full Redis is and what it sustains, as far as that is known."""
    used, most = memory["used_bytes"] >> 20, memory["max_bytes"]
    parts = [f"{used} MB, no limit" if most is None else f"{used} of {most >> 20} MB"]
    if memory["sustained_per_s"] is not None:
        parts.append(f"sustains {memory['sustained_per_s']} messages/s")
    if memory["bytes_per_message"] is not None:
        parts.append(f"keeps {memory['bytes_per_message']} bytes of each")
    return f"Redis's memory: {', '.join(parts)}"


def _lane(lane: dict[str, Any]) -> tuple[object, ...]:
    return (
        _name(lane),
        lane["depth"],
        lane["waiting"],
        lane["in_work"],
        span(lane["oldest_age_ms"]),
        lane["dead"],
        lane["unknown"],
        lane["unsettled"],
    )


def _record(message: dict[str, Any]) -> tuple[object, ...]:
    return (
        message["id"],
        moment(message["ended"]),
        span(message["age_ms"]),
        message["attempts"],
        message["requestId"],
        message["chat"],
        message["session"],
        message["reason"],
    )
