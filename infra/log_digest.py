"""What a release's containers complained of: the warnings and errors of their logs, each kind once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

_LOUD = {"warning", "error", "critical"}
_DETAILS = ("service", "operation", "reason", "error")
_MOST = 4


def log_digest(logs: Mapping[str, str]) -> list[str]:
    """The most frequent complaints in *logs* (text by container), with how often and where.

    A line that is no JSON object counts if it is the end of a traceback, or the like: it names an error.
    """
    counted: Counter[str] = Counter()
    where: dict[str, str] = {}
    for name, text in logs.items():
        for complaint in _in(text):
            counted[complaint] += 1
            where.setdefault(complaint, name)
    return [
        f"{where[complaint]} says: {complaint} ({times} times)"
        for complaint, times in counted.most_common(_MOST)
    ]


def _in(text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            if "Error: " in line and not line.startswith(" "):
                yield line.strip()[:200]
            continue
        if isinstance(said, dict) and said.get("level") in _LOUD and not said.get("webhook"):
            details = [f"{name} {said[name]}" for name in _DETAILS if said.get(name)]
            yield f"{said.get('msg')}{': ' if details else ''}{', '.join(details)}"[:200]
