"""The secret that a sender signs webhooks with, as the environment gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NAME = "WAHA_WEBHOOK_SECRET"


class SecretError(Exception):
    """The secret cannot be read; the message says from where and why."""


def read_webhook_secret(env: Mapping[str, str]) -> str | None:
    """The value of WAHA_WEBHOOK_SECRET, or what the file named by WAHA_WEBHOOK_SECRET_FILE holds.

    None where neither is set. A line end at the end of the file does not belong to the secret.

    Raises:
        SecretError: the file cannot be read or is empty.
    """
    if secret := env.get(NAME):
        return secret
    file = env.get(f"{NAME}_FILE")
    if not file:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"  # none of its bytes
        raise SecretError(f"{NAME}_FILE: {file!r} cannot be read: {why}") from error
    if not secret:
        raise SecretError(f"{NAME}_FILE: {file!r} is empty: put the webhook secret into it")
    return secret
