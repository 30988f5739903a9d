"""A past for a Prometheus: series that a formula gives, written as its storage before it starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from debian_programs import need

EVERY_S = 15

Formula = Callable[[float], float]
"""The value of a series so many seconds after the past begins."""


def write_past(folder: Path, start_s: int, length_s: int, gauges: Mapping[str, Formula]) -> None:
    """Write *gauges* (by `name{labels}`) from *start_s* (Unix time) into *folder*/data."""
    need("prometheus")
    names: dict[str, list[str]] = {}
    for series in gauges:
        names.setdefault(series.partition("{")[0], []).append(series)
    lines = []
    for name, members in names.items():
        lines.append(f"# TYPE {name} unknown")
        lines += [
            f"{series} {gauges[series](at_s)!r} {start_s + at_s}"
            for series in members
            for at_s in range(0, length_s + 1, EVERY_S)
        ]
    text = folder / "past.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(folder / "data")]
    subprocess.run(command, check=True)
