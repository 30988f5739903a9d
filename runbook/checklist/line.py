"""One line of the checklist: what was looked at, how it is, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import requests
from docker.errors import DockerException

from contracts.targets import TargetsError
from infra.errors import Refused
from runbook.errors import RunbookError


class Result(StrEnum):
    """How a line ended. What was not looked at is neither passed nor failed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Line:
    """One line. `detail` says what was found, or why it failed or was skipped; never a secret."""

    group: str
    name: str
    result: Result
    detail: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.result:8}{self.name}: {self.detail}"


class Failed(Exception):
    """Something is not as it should be; the message says what, and what to do."""


class Skipped(Exception):
    """Something was not looked at; the message says why."""


def probed(group: str, name: str, probe: Callable[[], str]) -> Line:
    """The line that says what *probe* found, or why it raised."""
    try:
        return Line(group, name, Result.PASSED, probe())
    except Skipped as why:
        return Line(group, name, Result.SKIPPED, str(why))
    except (RunbookError, Refused) as error:
        detail = f"{error.message} ({error.hint})" if error.hint else error.message
        return Line(group, name, Result.FAILED, detail)
    except (Failed, TargetsError, DockerException, requests.RequestException, OSError) as error:
        return Line(group, name, Result.FAILED, str(error))
