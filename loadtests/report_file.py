"""The report's file: absent until a run has its verdict, and never half written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.verdict import Report
from loadtests.options import UsageError


def prepare(path: Path) -> None:
    """Take away an earlier run's report, lest it be taken for this one's, and see that one can be written.

    Raises:
        UsageError: nothing can be written there.
    """
    part = _part(path)
    with _refusing(path):
        path.unlink(missing_ok=True)
        part.touch()
        part.unlink()


def write(path: Path, report: Report) -> None:
    """Write *report*, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    part = _part(path)
    with _refusing(path):
        part.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(path)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"--report: {path}: cannot be written: {error.strerror}") from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
