"""Where the sources lie, and what is made of them: by itself, for verbs that have to start at once."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / ".build"
