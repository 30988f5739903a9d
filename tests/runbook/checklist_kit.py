"""Keys as services give them out, for the tests of the checklist."""

from __future__ import annotations

import base64

LONG = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"
"""Long and varied enough for any key."""


def publishable(host: str, kind: str = "live", end: str = "$") -> str:
    """A publishable key as Clerk makes it: the host in base64, without padding."""
    return f"pk_{kind}_{base64.b64encode(f'{host}{end}'.encode()).decode().rstrip('=')}"
