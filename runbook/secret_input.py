"""A secret's new value: typed unseen, piped in or made here. Never on a command line."""

from __future__ import annotations

import secrets
import sys
from typing import BinaryIO

import typer

from infra.errors import encodable
from infra.stack_settings import ALERT_SECRETS, RELEASE_KEY, alert_secret_problem
from runbook.errors import RunbookError
from service.settings import SECRET_NAMES

SETTABLE = SECRET_NAMES - {"REDIS_URL", "PSEUDONYM_KEY"} | ALERT_SECRETS
"""The service's secrets, except those that the infrastructure makes, and those of the monitoring."""

_MADE_HERE = ("WAHA_WEBHOOK_SECRET", "WAHA_API_KEY", RELEASE_KEY)
"""Those whose value is ours to choose; any other is given out by the service that it belongs to."""

_BYTES = 32


def asked_for(name: str) -> str:
    """The value that the operator gives for the secret *name*.

    Raises:
        RunbookError: it is not one line of UTF-8 text; without the value.
    """
    try:
        is_typed = sys.stdin.isatty()
        given = typer.prompt(name, hide_input=True, err=True) if is_typed else read_value(sys.stdin.buffer)
    except UnicodeDecodeError:
        raise _not_text(name) from None
    return checked(name, given)


def generated(name: str) -> str:
    """A fresh value for the secret *name*.

    Raises:
        RunbookError: a value of our own would not be known where it is used.
    """
    if name not in _MADE_HERE:
        raise RunbookError(
            f"a generated {name} would be known to nobody else: its service gives it out",
            "give it on standard input",
        )
    return secrets.token_urlsafe(_BYTES)


def read_value(stdin: BinaryIO) -> str:
    """What was piped in, without the line's end. Of bytes: read as text, Python lets what is no UTF-8 pass.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    return stdin.read().decode().removesuffix("\n").removesuffix("\r")


def checked(name: str, value: str) -> str:
    """The *value*, if it is one that a file of one line can hold.

    Raises:
        RunbookError: it is not; without the value.
    """
    if not value or any(sign in value for sign in "\0\r\n"):
        raise RunbookError(f"the value given for {name} is empty or has several lines", "give one line")
    if encodable(value) != value:
        raise _not_text(name)
    if name in ALERT_SECRETS and (problem := alert_secret_problem(name, value)):
        raise RunbookError(problem, "give it whole, as it was given out")
    return value


def _not_text(name: str) -> RunbookError:
    return RunbookError(f"the value given for {name} is not UTF-8 text", "give one line of text")
