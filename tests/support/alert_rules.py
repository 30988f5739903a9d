"""The alerts of a rule file, by its text."""

from __future__ import annotations

import re


def alerts_in(rules: str) -> dict[str, str]:
    """The names of the alerts with their severities."""
    return dict(re.findall(r"alert: (\w+)\n(?:.*\n)*?    labels: \{severity: (\w+)", rules))
