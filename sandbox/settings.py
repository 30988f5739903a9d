"""The sandbox's environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """A variable has an impossible value; the message names it and says what to do."""


@dataclass(frozen=True)
class Settings:
    """Where to listen, and the key that the WAHA stand-in wants (none: every caller is let in).

    `upstash_redis_url`: the Redis behind the Upstash stand-in, which there is only with it.
    `inngest_signing_key`: what the Inngest stand-in signs its calls with; without one it is a dev server.
    `inngest_app_url`: the `/api/inngest` that it calls, where the app itself registers nowhere.
    `smtp_port`, `resend_api_key`: where the Resend stand-in takes mail, and the password that it wants (none:
    any).
    `waha_webhook_url`: where the WAHA stand-in tells of what it sent, signed with `waha_webhook_secret`.
    """

    host: str
    port: int
    waha_api_key: str | None = field(repr=False)
    upstash_redis_url: str | None = field(repr=False)
    inngest_signing_key: str | None = field(repr=False)
    inngest_app_url: str | None
    waha_webhook_url: str | None = None
    waha_webhook_secret: str | None = field(default=None, repr=False)
    smtp_port: int = 2525
    resend_api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Settings from HOST, PORT, SMTP_PORT, and the variables that begin with SANDBOX_.

        Keys, secrets and the URL of a Redis may come as files: NAME_FILE has a path.

        Raises:
            SettingsError: a value is impossible or a named file cannot be read.
        """
        return cls(
            host=env.get("HOST") or "127.0.0.1",
            port=_port("PORT", env.get("PORT") or "9000"),
            waha_api_key=_secret(env, "SANDBOX_WAHA_API_KEY"),
            upstash_redis_url=_redis_url(_secret(env, "SANDBOX_UPSTASH_REDIS_URL")),
            inngest_signing_key=_signing_key(_secret(env, "SANDBOX_INNGEST_SIGNING_KEY")),
            inngest_app_url=_http_url("SANDBOX_INNGEST_APP_URL", env, "/api/inngest"),
            waha_webhook_url=_http_url("SANDBOX_WAHA_WEBHOOK_URL", env, "/api/webhooks/whatsapp"),
            waha_webhook_secret=_secret(env, "SANDBOX_WAHA_WEBHOOK_SECRET"),
            smtp_port=_port("SMTP_PORT", env.get("SMTP_PORT") or "2525"),
            resend_api_key=_secret(env, "SANDBOX_RESEND_API_KEY"),
        )


def _port(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65_536):
        raise SettingsError(f"{name}: should be a whole number from 1 to 65535, got {value!r}")
    return int(value)


def _redis_url(value: str | None) -> str | None:
    if value is not None and not value.startswith(("redis://", "rediss://")):
        raise SettingsError("SANDBOX_UPSTASH_REDIS_URL: should be a URL like redis://host:6379/0")
    return value


def _signing_key(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"(signkey-\w+-)?([0-9a-f]{2})+", value):
        raise SettingsError("SANDBOX_INNGEST_SIGNING_KEY: should be hexadecimal, like signkey-test-00ff")
    return value


def _http_url(name: str, env: Mapping[str, str], path: str) -> str | None:
    value = env.get(name) or None
    if value is not None and not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name}: should be a URL like http://host:8080{path}")
    return value


def _secret(env: Mapping[str, str], name: str) -> str | None:
    if value := env.get(name):
        return value
    file = env.get(f"{name}_FILE")
    if not file:
        return None
    try:
        value = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: {file!r} cannot be read: {error}") from error
    if not value:
        raise SettingsError(f"{name}_FILE: {file!r} is empty: put the key into it or unset the variable")
    return value
