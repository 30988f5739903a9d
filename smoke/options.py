"""What the suite is told, by command line, environment and targets: checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from contracts.targets import TARGETS_FILE, Targets, TargetsError, read_targets
from contracts.webhook_secret import NAME, SecretError, read_webhook_secret


class OptionsError(Exception):
    """The suite was called wrongly; the message says what to give."""


@dataclass(frozen=True)
class Options:
    """One run's settings.

    `replies_url` lists what was really sent (the sandbox's `/waha/sent`); without it the replies are read
    from the release's gate lane. `secret` signs the webhooks.
    """

    base_url: str
    replies_url: str | None
    report: Path | None
    targets: Targets
    secret: str = field(repr=False)

    @classmethod
    def read(cls, option: Callable[[str], Any], env: Mapping[str, str]) -> Options:
        """The options from pytest's *option* look-up and the environment.

        Raises:
            OptionsError: something is missing, malformed or unreadable.
        """
        replies_url = option("--replies-url")
        return cls(
            base_url=_url("--base-url", option("--base-url")),
            replies_url=_url("--replies-url", replies_url) if replies_url else None,
            report=_report_file(option("--report")),
            targets=_targets(option("--targets")),
            secret=_secret(env),
        )


def _url(name: str, value: str | None) -> str:
    if not value:
        raise OptionsError(
            f"{name} is missing: give the address to check, such as {name} http://127.0.0.1:8081"
        )
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL as error:
        raise OptionsError(f"{name}: {value!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise OptionsError(f"{name}: should start with http:// or https:// and name a host, got {value!r}")
    return value.rstrip("/")


def _report_file(value: str | None) -> Path | None:
    if not value:
        return None
    if not Path(value).resolve().parent.is_dir():
        raise OptionsError(f"--report: the folder of {value!r} does not exist: create it first")
    return Path(value)


def _targets(value: str | None) -> Targets:
    try:
        return read_targets(Path(value) if value else TARGETS_FILE)
    except TargetsError as error:
        raise OptionsError(str(error)) from error


def _secret(env: Mapping[str, str]) -> str:
    try:
        secret = read_webhook_secret(env)
    except SecretError as error:
        raise OptionsError(str(error)) from error
    if secret is None:
        raise OptionsError(f"no secret to sign webhooks with: set {NAME}, or {NAME}_FILE to its file")
    return secret
