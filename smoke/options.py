"""What the suite is told, by command line, environment and targets: checked before anything is sent."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from contracts.targets import TARGETS_FILE, Targets, TargetsError, read_targets
from contracts.webhook_secret import BASELINE_NAME, NAME, SecretError, read_webhook_secret


class OptionsError(Exception):
    """The suite was called wrongly; the message says what to give."""


@dataclass(frozen=True)
class Options:
    """One run's settings.

    `baseline_url` is where the live release has its gate lane, to compare with. `replies_url` lists what was
    really sent (the sandbox's `/waha/sent`); without it the replies are read from the release's gate lane.
    `logs_command` prints the release's recent log lines. `faults_url` is where
    faults are set (the sandbox's `/faults`), for requests from `fault_hosts` only if there are any. `reports`
    are files to write. `secret` signs the webhooks, `baseline_secret` those to the live release.
    """

    base_url: str
    baseline_url: str | None
    replies_url: str | None
    is_short: bool
    logs_command: tuple[str, ...] | None
    faults_url: str | None
    fault_hosts: tuple[str, ...]
    reports: tuple[Path, ...]
    targets: Targets
    secret: str = field(repr=False)
    baseline_secret: str = field(repr=False)

    @classmethod
    def read(cls, option: Callable[[str], Any], env: Mapping[str, str]) -> Options:
        """The options from pytest's *option* look-up and the environment.

        Raises:
            OptionsError: something is missing, malformed or unreadable.
        """
        faults_url = _optional_url("--faults-url", option)
        secret = _secret(env, NAME)
        if secret is None:
            raise OptionsError(f"no secret to sign webhooks with: set {NAME}, or {NAME}_FILE to its file")
        return cls(
            base_url=_url("--base-url", option("--base-url")),
            baseline_url=_optional_url("--baseline", option),
            replies_url=_optional_url("--replies-url", option),
            is_short=bool(option("--short")),
            logs_command=_command("--logs-command", option("--logs-command")),
            faults_url=faults_url,
            fault_hosts=_fault_hosts(option("--fault-hosts"), faults_url),
            reports=tuple(Path(value) for value in option("--report") or ()),
            targets=_targets(option("--targets")),
            secret=secret,
            baseline_secret=_secret(env, BASELINE_NAME) or secret,
        )

    def forget_earlier_reports(self) -> None:
        """Take away what an earlier run wrote, lest it be taken for this one's.

        Raises:
            OptionsError: nothing can be written there.
        """
        for file in self.reports:
            try:
                file.unlink(missing_ok=True)
                file.touch()
                file.unlink()
            except OSError as error:
                raise OptionsError(f"--report: {str(file)!r} cannot be written: {error.strerror}") from error

    @property
    def suite(self) -> str:
        """The suite's name in its report."""
        return "smoke, short" if self.is_short else "smoke"

    @property
    def is_https(self) -> bool:
        """Whether the release is asked through TLS."""
        return httpx.URL(self.base_url).scheme == "https"


def _optional_url(name: str, option: Callable[[str], Any]) -> str | None:
    value = option(name)
    return _url(name, value) if value else None


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


def _command(name: str, value: str | None) -> tuple[str, ...] | None:
    if not value:
        return None
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise OptionsError(f"{name}: {value!r} cannot be split into words: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise OptionsError(
            f"{name}: should begin with a program, got {value!r}: give what prints the logs, "
            f"such as {name} 'docker logs web-1'"
        )
    return tuple(words)


def _fault_hosts(value: str | None, faults_url: str | None) -> tuple[str, ...]:
    if not value:
        return ()
    hosts = tuple(name.strip() for name in value.split(","))
    if not all(hosts):
        raise OptionsError(f"--fault-hosts: should be names with commas between, such as a,b, got {value!r}")
    if faults_url is None:
        raise OptionsError("--fault-hosts is given without --faults-url: say where faults are set")
    return hosts


def _targets(value: str | None) -> Targets:
    try:
        return read_targets(Path(value) if value else TARGETS_FILE)
    except TargetsError as error:
        raise OptionsError(str(error)) from error


def _secret(env: Mapping[str, str], name: str) -> str | None:
    try:
        return read_webhook_secret(env, name)
    except SecretError as error:
        raise OptionsError(str(error)) from error
