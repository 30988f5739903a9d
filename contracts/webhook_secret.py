"""The secret that a sender signs webhooks with, as the environment gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NAME = "WAHA_WEBHOOK_SECRET"

BASELINE_NAME = f"{NAME}_BASELINE"
"""What the live release, which is compared with, takes: after a rotation it does not know the candidate's."""


class SecretError(Exception):
    """The secret cannot be read; the message says from where and why."""


def read_webhook_secret(env: Mapping[str, str], name: str = NAME) -> str | None:
    """The value of the variable *name*, or what the file holds that is named by the one with `_FILE`.

    None where neither is set. A line end at the end of the file does not belong to the secret.

    Raises:
        SecretError: the file cannot be read or is empty.
    """
    if secret := env.get(name):
        return secret
    file = env.get(f"{name}_FILE")
    if not file:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"  # none of its bytes
        raise SecretError(f"{name}_FILE: {file!r} cannot be read: {why}") from error
    if not secret:
        raise SecretError(f"{name}_FILE: {file!r} is empty: put the webhook secret into it")
    return secret
