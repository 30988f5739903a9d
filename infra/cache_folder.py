"""Where things are kept that cost minutes to make and can always be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """This user's cache of the project: `$XDG_CACHE_HOME/runbook`, by default `~/.cache/runbook`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "runbook")
