"""The files that a run writes: absent until it has its verdict, and never half written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from loadtests.options import UsageError


def prepare(option: str, path: Path) -> None:
    """Take away an earlier run's file, lest it be taken for this one's, and see that one can be written.

    Raises:
        UsageError: nothing can be written there; *option* is what named it.
    """
    part = _part(path)
    with _refusing(option, path):
        path.unlink(missing_ok=True)
        part.touch()
        part.unlink()


def write(option: str, path: Path, result: BaseModel) -> None:
    """Write *result* as JSON, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    part = _part(path)
    with _refusing(option, path):
        part.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(path)


@contextmanager
def _refusing(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{option}: {path}: cannot be written: {error.strerror}") from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
