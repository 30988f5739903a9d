"""What an operator can set for a stack, and the names of what every stack has."""

from __future__ import annotations

import re
from email.utils import getaddresses
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from infra.base_images import Mode

REDIS_PASSWORD = "REDIS_PASSWORD"  # noqa: S105 - the name of a secret
RELEASE_KEY = "RELEASE_KEY"
"""Keys the hashes of secrets in a release's id, so that an id says nothing about a secret's value."""
GENERATED = (REDIS_PASSWORD, RELEASE_KEY)
"""Secrets that only the infrastructure uses; made for a stack when it is made."""

MAX_STACK_NAME = 63 - len("runbook--web-32-r-1234567")
"""Characters: the names of a release's containers are host names, whose parts have 63 at most."""

ALERT_SECRETS = frozenset({"ALERT_CHANNEL_URL", "ALERT_HEARTBEAT_URL", "ALERT_SMTP_PASSWORD"})
"""Secrets of the monitoring: where alerts are posted, what hears that they are sent, the mail key."""

DATA_VOLUMES = ("redis-data", "proxy-routes")
"""Ends of the names of the volumes that only `bin/runbook destroy` removes: the messages, and who is live."""

SEEN_VOLUMES = ("prometheus-data", "alertmanager-data", "log-data")
"""Those with what was seen: they stay, too, and a stack whose monitoring is turned off does without them."""


_ADDRESS = re.compile(r"[^@\s;{}]+@[^@\s;{}]+")  # braces would be Alertmanager's templates
_SERVER = re.compile(r"([\w.-]+|\[[\da-fA-F:]+\]):\d{1,5}", re.ASCII)
_URL = re.compile(r"([!-$&-~]|%[\da-fA-F]{2})+", re.ASCII)


class StackSettings(BaseModel):
    """`pulumi config` keys of the project, with their defaults. Ports are on `bind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Mode = Mode.AUTO
    sandbox: bool = False
    bind: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    candidate_port: int = Field(default=8081, ge=1, le=65535)
    sandbox_port: int = Field(default=8082, ge=1, le=65535)
    baseline_port: int = Field(default=8083, ge=1, le=65535)
    keep_releases: int = Field(default=2, ge=0, le=10)
    monitoring: bool = False
    monitoring_port: int = Field(default=8084, ge=1, le=65535)
    log_port: int = Field(default=24224, ge=1, le=65535)
    log_mb: int = Field(default=1024, ge=64)
    alert_mail_to: str = ""
    alert_mail_from: str = ""
    alert_smtp: str = "smtp.resend.com:587"
    alert_smtp_user: str = "resend"
    alertmanager_url: str = ""
    web_replicas: int = Field(default=2, ge=1, le=32)
    worker_replicas: int = Field(default=1, ge=1, le=32)
    web_memory_mb: int = Field(default=256, ge=64)
    worker_memory_mb: int = Field(default=256, ge=64)

    @property
    def url(self) -> str:
        """Where the public frontend answers, from this machine."""
        return url_at(self.bind, self.port)

    @property
    def monitoring_url(self) -> str:
        """Where the stack's Prometheus and Alertmanager answer, below `/prometheus` and `/alertmanager`."""
        return f"http://127.0.0.1:{self.monitoring_port}"

    @field_validator("bind")
    @classmethod
    def _is_an_address(cls, bind: str) -> str:
        try:
            if "%" not in bind:  # an engine publishes on no address of one interface only
                return str(ip_address(bind))
        except ValueError:
            pass
        raise ValueError("should be an address of this machine, like 127.0.0.1, 0.0.0.0 or ::1")

    @field_validator("alert_mail_to", "alert_mail_from")
    @classmethod
    def _are_mail_addresses(cls, given: str) -> str:
        addresses = [address for _, address in getaddresses([given])]
        if given and not (
            given.isprintable() and "{{" not in given and all(map(_ADDRESS.fullmatch, addresses))
        ):
            raise ValueError("should be a mail address, or several with commas between")
        return given

    @field_validator("alert_smtp")
    @classmethod
    def _is_a_server(cls, server: str) -> str:
        if not (_SERVER.fullmatch(server) and 0 < int(server.rpartition(":")[2]) <= 65535):
            raise ValueError("should be host:port, like smtp.resend.com:587")
        return server

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> StackSettings:
        if self.alert_mail_to and not self.alert_mail_from:
            raise ValueError("alert_mail_from should be an address that the mail server lets send")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> StackSettings:
        ports = [self.port, self.candidate_port, self.baseline_port]
        ports += [self.sandbox_port] if self.sandbox else []
        ports += [self.monitoring_port, self.log_port] if self.monitoring else []
        if len(set(ports)) < len(ports):
            raise ValueError(
                "port, candidate_port, baseline_port, sandbox_port, monitoring_port, log_port should differ, "
                f"got {ports}"
            )
        return self


def url_at(bind: str, port: int | str) -> str:
    """Where what is published on *bind* is reached from this machine."""
    address = ip_address(bind)
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address if address.version == 4 else f'[{address}]'}:{port}"


def alert_secret_problem(name: str, value: str) -> str | None:
    """What is wrong with a secret of the monitoring, without its value; None if nothing is.

    Alertmanager does not start with one that it cannot read, and says it aloud.
    """
    if not name.endswith("_URL"):
        return None if value.isprintable() else f"{name} should have printable characters only"
    try:
        url = urlsplit(value)
        is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    is_url &= _URL.fullmatch(value) is not None
    return None if is_url else f"{name} should be a URL like https://host/path"


def stack_name_problem(stack: str) -> str | None:
    """What is wrong with a stack's name (without organization and project); None if nothing is."""
    if len(stack) <= MAX_STACK_NAME:
        return None
    return f"the stack's name has {len(stack)} characters, {MAX_STACK_NAME} at most can be resolved: {stack}"


def layout_problems(error: ValidationError) -> list[str]:
    """A line for each thing that is wrong with a layout: its key, why, its value."""
    return [
        f"layout{''.join(f'.{part}' for part in found['loc'])}: {found['msg']}, got {found['input']!r}"
        for found in error.errors()
    ]
