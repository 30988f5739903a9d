"""The end of a log as lines that can be shown anywhere."""

from __future__ import annotations

import re
from pathlib import Path

SHOWN_LINES = 200
SHOWN_COLUMNS = 500
_READ_BYTES = SHOWN_LINES * 2_000

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC and the like, with their text: titles, links
    r"|\x1b[ -/]*[0-~]?"  # the short ones
)


def log_tail(file: Path) -> list[str]:
    """The last `SHOWN_LINES` lines of *file*, without a terminal's escape codes, each cut to `SHOWN_COLUMNS`.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _READ_BYTES))
        cut = log.tell() > 0
        text = log.read(_READ_BYTES).decode("utf-8", "replace")
    lines = text.split("\n")
    if cut and len(lines) > 1:
        del lines[0]  # begins in the middle
    if not lines[-1]:
        del lines[-1]
    return [_shown(line) for line in lines[-SHOWN_LINES:]]


def _shown(line: str) -> str:
    """What a terminal shows in the end: a progress line is written over itself."""
    text = _ESCAPE.sub("", line).rstrip("\r").rpartition("\r")[2]
    return text if len(text) <= SHOWN_COLUMNS else text[:SHOWN_COLUMNS] + " …"
