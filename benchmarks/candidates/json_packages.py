"""JSON packages, on the body of a webhook: microseconds to read it, and to write it again."""

from __future__ import annotations

import importlib
import json
import timeit
from collections.abc import Callable
from typing import Any

from benchmarks.candidates.row import Candidate
from contracts.webhook import encode, message_event

COLUMNS = ("read (µs)", "write (µs)")
_TIMES = 20_000
_REPEATS = 5
_EVENT = message_event("Where is my parcel? " * 9, chat_id="15551234567@c.us")
_BODY = encode(_EVENT)


def candidates() -> list[Candidate]:
    """All of them."""
    return [
        Candidate("json", (), lambda: _row(json.loads, lambda event: json.dumps(event).encode())),
        Candidate("orjson", ("orjson",), _orjson),
        Candidate("msgspec", ("msgspec",), _msgspec),
        Candidate("msgspec, only the fields that we use", ("msgspec",), _msgspec_typed),
    ]


def _orjson() -> tuple[str, ...]:
    orjson = importlib.import_module("orjson")
    return _row(orjson.loads, orjson.dumps)


def _msgspec() -> tuple[str, ...]:
    msgspec = importlib.import_module("msgspec")
    return _row(msgspec.json.Decoder().decode, msgspec.json.Encoder().encode)


def _msgspec_typed() -> tuple[str, ...]:
    msgspec = importlib.import_module("msgspec")
    fields = [("id", str), ("from", str), ("fromMe", bool), ("body", str), ("timestamp", int)]
    renamed = [(name if name != "from" else "sender", kind) for name, kind in fields]
    payload = msgspec.defstruct("Payload", renamed, rename={"sender": "from"})
    envelope = [("event", str), ("session", str), ("timestamp", int), ("payload", payload)]
    event = msgspec.defstruct("Event", envelope)
    return _row(msgspec.json.Decoder(event).decode, msgspec.json.Encoder().encode)


def _row(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> tuple[str, ...]:
    event = read(_BODY)
    return f"{_us(lambda: read(_BODY)):.2f}", f"{_us(lambda: write(event)):.2f}"


def _us(step: Callable[[], object]) -> float:
    """The least of some repeats: whatever else ran on the machine only adds."""
    return min(timeit.repeat(step, number=_TIMES, repeat=_REPEATS)) / _TIMES * 1e6
