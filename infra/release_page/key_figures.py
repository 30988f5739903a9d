"""The few figures by which people know a release, from the load suite's checks."""

from __future__ import annotations

from contracts.verdict import Report
from infra.release_page.check_rows import Row, row

_NAMES = ("error rate", "webhook p95", "slowest webhook", "reply p95", "lost", "doubled")


def key_figures(report: Report | None) -> list[Row]:
    """The checks with these names, in this order; those that were not made are left out."""
    checks = {check.name: check for check in report.checks} if report else {}
    return [row(checks[name]) for name in _NAMES if name in checks]
