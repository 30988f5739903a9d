"""`sign`: the headers of a correctly signed webhook, for curl."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from contracts.webhook import signed_headers
from runbook.console import out
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Stack
from runbook.suites import webhook_secret
from runbook.workspace import open_workspace

Algorithm = Annotated[Literal["sha512", "sha256"], typer.Option("--algorithm", help="The HMAC's hash.")]


def sign(stack: Stack = DEFAULT_STACK, algorithm: Algorithm = "sha512") -> None:
    """Read a body from standard input; print the headers that WAHA would send with it, one a line.

    The secret is WAHA_WEBHOOK_SECRET, or the file that WAHA_WEBHOOK_SECRET_FILE names, or the stack's.
    """
    body = sys.stdin.buffer.read()
    for name, value in signed_headers(body, _secret(stack), algorithm).items():
        out.print(f"{name}: {value}", markup=False)


def _secret(stack: str) -> str:
    if given := os.environ.get("WAHA_WEBHOOK_SECRET"):
        return given
    if file := os.environ.get("WAHA_WEBHOOK_SECRET_FILE"):
        try:
            return Path(file).read_text().rstrip("\n")
        except OSError as error:
            raise RunbookError(
                f"WAHA_WEBHOOK_SECRET_FILE: {file}: {error.strerror}", "name a readable file"
            ) from error
    return webhook_secret(open_workspace(stack))
