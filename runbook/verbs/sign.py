"""`sign`: the headers of a correctly signed webhook, for curl."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from contracts.webhook import signed_headers
from runbook.console import show
from runbook.options import DEFAULT_STACK, Stack
from runbook.suites import given_secret, webhook_secret
from runbook.workspace import open_workspace

Algorithm = Annotated[Literal["sha512", "sha256"], typer.Option("--algorithm", help="The HMAC's hash.")]


def sign(stack: Stack = DEFAULT_STACK, algorithm: Algorithm = "sha512") -> None:
    """Print the headers of a signed webhook.

    Reads its body from standard input; prints what WAHA would send with it, one header a line.

    The secret is WAHA_WEBHOOK_SECRET, or the file that WAHA_WEBHOOK_SECRET_FILE names, or the stack's.
    """
    body = sys.stdin.buffer.read()
    secret = given_secret(os.environ) or webhook_secret(open_workspace(stack))
    for name, value in signed_headers(body, secret, algorithm).items():
        show(f"{name}: {value}")
