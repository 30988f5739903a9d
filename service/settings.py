"""What the service is told by its environment: typed, frozen, read once, and refused as a whole when wrong.

Any secret `NAME` may come as `NAME_FILE`, the path of a file holding it (a trailing newline is dropped).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.webhooks.tolerance import CLOCK_SKEW_S, LONGEST_S, retries_span_s

INCOMPLETE = "incomplete"
"""A problem with what is there and what is not: its message says all."""

OUT_OF_BOUNDS = "out_of_bounds"
"""A problem whose bounds depend on other settings: its message says all."""


class SettingsError(Exception):
    """The environment is not usable; one line a problem: name, value (if no secret), expected."""


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    valid_port = parts.port is None or parts.port > 0  # `port` raises ValueError itself above 65535
    if parts.scheme not in ("http", "https") or not parts.hostname or not valid_port:
        raise ValueError("not an http(s) URL")
    if re.search(r"[\s\x00-\x1f]", value) or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("has blanks, a query, a fragment or a user name")
    return value.rstrip("/")


_REDIS_OPTION = r"ssl_(ca_certs|ca_path|certfile|keyfile|cert_reqs|check_hostname|ciphers)=[^=]*"


def _redis_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    valid_port = parts.port is None or parts.port > 0
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not valid_port:
        raise ValueError("not a Redis URL")
    if parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError("the database is not a number")
    if any(not re.fullmatch(_REDIS_OPTION, option) for option in parts.query.split("&") if option):
        raise ValueError("an option that is not TLS's")
    return value


def _header_safe(value: SecretStr) -> SecretStr:
    """Keys travel in HTTP headers: anything else would only fail when the first message is answered."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("not printable ASCII")
    return value


_URL = "an http(s) URL without user or query"
_KEY = "printable ASCII without blanks"

HttpUrl = Annotated[str, AfterValidator(_http_url)]
HeaderSafe = Annotated[SecretStr, AfterValidator(_header_safe)]

# The description is what a wrong value "should be"; on the whole type, so that the model's fields carry it.
OptionalUrl = Annotated[HttpUrl | None, Field(description=_URL)]
BaseUrl = Annotated[HttpUrl, Field(description=_URL)]
OptionalKey = Annotated[HeaderSafe | None, Field(description=_KEY)]
OptionalSecret = Annotated[SecretStr | None, Field(description="a text")]
OptionalText = Annotated[str | None, Field(description="a text")]
RedisUrl = Annotated[
    Annotated[SecretStr, AfterValidator(_redis_url)] | None,
    Field(description="a URL like redis://[:password@]host[:port][/database]", validate_default=True),
]
Secret = Annotated[SecretStr, Field(min_length=1, description="a text that is not empty")]
Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="up to 64 letters, digits, dots, dashes, underscores",
    ),
]
Text = Annotated[str, Field(description="a text")]
Port = Annotated[int, Field(ge=1, le=65535, description="a port, 1 to 65535")]
Count = Annotated[int, Field(ge=1, description="a whole number above 0")]
Seconds = Annotated[float, Field(gt=0, le=3600, description="a number of seconds, above 0 and up to 3600")]
Switch = Annotated[bool, Field(description="true or false")]
Sender = Annotated[
    str | None,
    Field(
        pattern=r"^(?:[^<>@\r\n]{1,64}<)?[^<>@\s]{1,64}@[^<>@\s]{1,190}>?$",
        description="an address like Assistant <notices@example.org>",
    ),
]
LogLevel = Annotated[Literal["DEBUG", "INFO"], Field(description="DEBUG or INFO")]
BodyBytes = Annotated[
    int, Field(ge=64 * 1024, le=2 * 1024 * 1024, description="a number of bytes, 65536 to 2097152")
]
OptionalCredits = Annotated[int | None, Field(ge=0, description="a whole number, 0 or more")]


class Settings(BaseSettings):
    """What web and worker share. The runbook's names are optional unless the service cannot work without."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    upstash_redis_rest_url: OptionalUrl = None
    upstash_redis_rest_token: Annotated[OptionalKey, Field(validate_default=True)] = None
    redis_url: RedisUrl = None
    """Where it is given, Upstash's REST API is not used."""
    redis_timeout_s: Seconds = 2
    """For each round trip."""
    release: Name = ""
    """The release this process belongs to; empty for a bare run, whose worker is always live."""
    live_release_url: OptionalUrl = None
    """Where the proxy says which release has the traffic; without it a worker is always live."""
    host: Text = "127.0.0.1"
    stop_grace_s: Seconds = 20
    """From SIGTERM until the process has ended, whatever is still in hand."""
    max_stream_length: Count = 100_000
    """Messages waiting or in work; above it webhooks get 503 until the workers catch up."""
    blocklist_refresh_s: Seconds = 2
    """How often a web process reads the blocklist, and so how long a change takes at most."""
    log_level: LogLevel = "INFO"
    """Not above INFO: such lines tell the way of a message, and the gate refuses a release without them."""

    waha_api_url: OptionalUrl = None
    waha_api_key: OptionalKey = None
    pseudonym_key: OptionalSecret = None
    """Keys the stand-ins for people in logs and in Redis; without it another secret does."""
    next_public_convex_url: OptionalUrl = None
    convex_deployment: OptionalText = None
    convex_deploy_key: OptionalKey = None
    """Lets us call the internal functions of the Convex module: nobody who only knows the URL can."""
    database_timeout_s: Seconds = 5
    """For one call of the database, what is tried again included."""
    database_slow_ms: Count = 500
    """A call that takes longer is counted and warned of."""
    billing_credits: OptionalCredits = None
    """What a tenant that is seen first may use; without it unlimited: use is counted, nothing refused."""
    next_public_clerk_publishable_key: OptionalText = None
    clerk_secret_key: OptionalKey = None
    next_public_app_url: OptionalUrl = None
    inngest_event_key: OptionalKey = None
    inngest_signing_key: OptionalKey = None
    inngest_signing_key_fallback: OptionalKey = None
    """Valid as well, while the signing key is rotated."""
    inngest_event_api_base_url: OptionalUrl = None
    inngest_api_base_url: OptionalUrl = None
    """Where an app registers itself; without the two, Inngest's own."""
    inngest_dev: OptionalText = None
    """As in Inngest's package: unless it is 0 or false, signatures are not checked. Not for production."""
    sentry_dsn: OptionalSecret = None
    """Not validated here: a wrong DSN must not stop a message. The health report says that it is wrong."""
    sentry_environment: Name = "production"
    signature_alarm_per_minute: Count = 20
    """Wrong signatures up to this many are nobody's alarm."""
    resend_api_key: OptionalKey = None
    resend_api_url: BaseUrl = "https://api.resend.com"
    email_from: Sender = None
    """Its domain must be verified at Resend; without it no mail is sent."""

    @field_validator("upstash_redis_rest_token")
    @classmethod
    def _has_its_url(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "upstash_redis_rest_url" not in info.data:
            return token  # the URL is wrong itself
        url = info.data["upstash_redis_rest_url"]
        if bool(url) != bool(token):
            lacks = "is missing, but UPSTASH_REDIS_REST_URL is set"
            spare = "is set, but UPSTASH_REDIS_REST_URL is missing"
            raise PydanticCustomError(INCOMPLETE, "{it}: give both", {"it": lacks if url else spare})
        return token

    @field_validator("redis_url")
    @classmethod
    def _is_some_redis(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        told = ("upstash_redis_rest_url", "upstash_redis_rest_token")
        if url is None and all(info.data.get(name, "wrong itself") is None for name in told):
            raise PydanticCustomError(
                INCOMPLETE,
                "is missing, should be a URL like redis://[:password@]host[:port][/database] "
                "(or REDIS_URL_FILE, a file holding it), or UPSTASH_REDIS_REST_URL and _TOKEN instead",
            )
        return url


class AnsweringSettings(Settings):
    """What answering needs: the worker, and the web where Inngest calls it."""

    ai_api_url: OptionalUrl = None
    ai_api_key: OptionalKey = None
    ai_model: Text = "gpt-4o-mini"
    ai_timeout_s: Seconds = 20
    gate_reply_delay_ms: Annotated[
        int, Field(ge=0, le=60_000, description="a number of milliseconds, 0 to 60000")
    ] = 200
    """How long a gate's message takes to be written: the customers' model is not asked."""
    waha_timeout_s: Seconds = 15
    """Above the 5 s after which WAHA itself answers 422 for a session that is not working."""
    lease_s: Seconds = 30
    """A message in hand is renewed well within this; one that is not belongs to a dead worker."""
    max_attempts: Count = 30
    """With the pauses below: a WAHA that is away for 20 minutes makes no dead letter."""
    retry_base_s: Seconds = 1
    retry_cap_s: Seconds = 60
    """How late a chat may be answered after WAHA came back."""
    answer_max_age_s: Annotated[float, Field(gt=0, description="a number of seconds above 0")] = 3600
    """A message that is older when its turn comes is stored, not answered."""
    waha_typing: Switch = True
    """Show what was seen and that a reply is being written."""


RetriesPolicy = Annotated[
    Literal["constant", "linear", "exponential"], Field(description="constant, linear or exponential")
]


class WebSettings(AnsweringSettings):
    """What `python -m service web` needs."""

    waha_webhook_secret: Secret
    waha_webhook_secret_previous: OptionalSecret = None
    """Secrets that are being retired, one a line: valid as well until the sender signs with the new one."""
    waha_retries_policy: RetriesPolicy = "constant"
    """How WAHA retries: `policy`, `delaySeconds` and `attempts` of its `config.webhooks[].retries`."""
    waha_retries_delay_s: Seconds = 2
    waha_retries_attempts: Count = 15
    webhook_tolerance_s: Annotated[
        float | None, Field(gt=0, description="a number of seconds above 0", validate_default=True)
    ] = None
    """How far the time of a signed event may be from ours; derived where it is not given (tolerance.py)."""
    port: Port = 8080
    trust_proxy: Switch = False
    """Take the client's address from X-Forwarded-For. Only where a proxy of ours sets it."""
    rate_limit_per_minute: Annotated[
        int, Field(ge=1, le=6_000_000, description="a whole number from 1 to 6000000")
    ] = 30_000
    """Per address. High by default: one WAHA server sends every chat's webhooks from a single address."""
    max_body_bytes: BodyBytes = 1024 * 1024
    """The gate sends a message of 60 KB, which must be taken, and one of 2 MiB, which must be refused."""
    body_timeout_s: Seconds = 8
    """WAHA itself gives up after about 8 s."""
    drain_delay_s: Annotated[float, Field(ge=0, le=60, description="a number of seconds, 0 to 60")] = 1
    """From not ready until the port closes: time for the proxy's checks to notice."""

    @field_validator("webhook_tolerance_s")
    @classmethod
    def _outlasts_the_retries(cls, given: float | None, info: ValidationInfo) -> float | None:
        """The tolerance, between WAHA's retries and the time for which messages are remembered."""
        names = ("waha_retries_policy", "waha_retries_delay_s", "waha_retries_attempts")
        if not info.data.keys() >= set(names):
            return given  # one of them is wrong itself
        policy, delay_s, attempts = (info.data[name] for name in names)
        span_s = retries_span_s(policy, delay_s, attempts)
        tolerance_s = span_s + CLOCK_SKEW_S if given is None else given
        if span_s <= tolerance_s <= LONGEST_S:
            return tolerance_s
        raise PydanticCustomError(
            OUT_OF_BOUNDS,
            "should be {least} to {most} s, got {value}: WAHA's retries ({retries}) go on for {least} s",
            {
                "least": f"{span_s:.0f}",
                "most": LONGEST_S,
                "value": f"{tolerance_s:.0f}",
                "retries": f"{policy}, {attempts} times, {delay_s:g} s",
            },
        )


class WorkerSettings(AnsweringSettings):
    """What `python -m service worker` needs."""

    metrics_port: Annotated[int, Field(ge=0, le=65535, description="a port, or 0 for any free one")] = 9100
    heartbeat_file: Annotated[Path, Field(description="a path")] = Path("/tmp/service-worker.heartbeat")  # noqa: S108
    concurrency: Count = 64
    """Chats worked on at once."""
    silent_after_s: Annotated[
        float, Field(ge=0, le=7 * 24 * 3600, description="a number of seconds, 0 to a week")
    ] = 4 * 3600
    """A session without an event of any kind for so long is told of; 0: none is."""


S = TypeVar("S", bound=Settings)

MODELS: tuple[type[Settings], ...] = (WebSettings, WorkerSettings)


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in {
        inner for arg in get_args(field.annotation) for inner in (arg, *get_args(arg))
    }


_FIELDS: dict[str, FieldInfo] = {
    name.upper(): field for model in MODELS for name, field in model.model_fields.items()
}

ENVIRONMENT_NAMES: frozenset[str] = frozenset(_FIELDS)
"""Every environment variable that web or worker reads (each secret also as NAME_FILE)."""

SECRET_NAMES: frozenset[str] = frozenset(name for name, field in _FIELDS.items() if _is_secret(field))
"""Those of them that must never be seen: give them as NAME_FILE."""


def read_settings(model: type[S]) -> S:
    """Read *model* from the process's environment.

    Raises:
        SettingsError: with every problem, one a line.
    """
    from_files, problems = _read_secret_files(
        name for name in model.model_fields if name.upper() in SECRET_NAMES
    )
    try:
        settings = model(**from_files)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            name = str(problem["loc"][0]).upper()
            if problem["type"] in (INCOMPLETE, OUT_OF_BOUNDS):
                problems.setdefault(name, f"{name}: {problem['msg']}")
            problems.setdefault(name, _describe(name, problem["type"], problem["input"]))
    if problems:
        raise SettingsError("\n".join(problems[name] for name in sorted(problems)))
    return settings


def wrong_values(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with each value by itself, one line each; names that the service has not are passed by.

    For whoever deploys the service: it reads nothing of this process's own environment.
    """
    given = {name: value for name, value in environment.items() if value and name in _FIELDS}
    fields: dict[str, Any] = {name: (_FIELDS[name].annotation, _FIELDS[name]) for name in given}
    try:
        create_model("Values", **fields)(**given)
    except ValidationError as error:
        problems = {str(problem["loc"][0]): problem for problem in error.errors(include_url=False)}
        return [_describe(name, each["type"], each["input"]) for name, each in sorted(problems.items())]
    return []


def _read_secret_files(names: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The secrets given as files, and what is wrong with them, both by name."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field_name in names:
        name = field_name.upper()
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        if os.environ.get(name):
            problems[name] = f"{name}: is set, and {name}_FILE too: give one of them"
            continue
        try:
            values[field_name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            problems[name] = f"{name}_FILE: should be a readable file, got {path!r}: {reason}"
    return values, problems


def _describe(name: str, kind: str, value: object) -> str:
    expected = _FIELDS[name].description
    if kind == "missing":
        also = f" (or {name}_FILE, a file holding it)" if name in SECRET_NAMES else ""
        return f"{name}: is missing, should be {expected}{also}"
    # A URL may carry a password although it should not.
    hidden = name in SECRET_NAMES or "@" in str(value)
    return f"{name}: should be {expected}" + ("" if hidden else f", got {value!r}")
