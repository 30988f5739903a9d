"""The environment's variables: there, plausible, live where they should be, and fitting each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from infra.manifest import REPOSITORY
from runbook.checklist import addresses, keys
from runbook.checklist.given import Given
from runbook.checklist.line import Failed, Line, Skipped, probed
from service.settings import MODELS, SECRET_NAMES

GROUP = "variables"
_MOST_PER_MINUTE = 6_000_000
_REQUIRED = {
    name.upper() for model in MODELS for name, field in model.model_fields.items() if field.is_required()
}
_KEY_OF = {"WAHA_API_KEY": "WAHA_API_URL", "RESEND_API_KEY": "RESEND_API_URL", "SENTRY_DSN": "SENTRY_DSN"}
"""By key, the address that says whether it is for the sandbox, which takes any."""

_SETTINGS_TIMEOUT_S = 60
_READ_SETTINGS = (
    "import sys\n"
    "from service.settings import MODELS, SettingsError, read_settings\n"
    "try:\n"
    "    for model in MODELS: read_settings(model)\n"
    "except SettingsError as error:\n"
    "    sys.exit(str(error))\n"
)


@dataclass(frozen=True)
class Variable:
    """A variable: what is not there `without` it, and what a value of it is shown as, or `Failed`."""

    name: str
    without: str
    look: Callable[[str, Given], str]


def _address(
    shape: Callable[..., str] = addresses.http_url,
) -> Callable[[str, Given], str]:
    return lambda value, given: shape(value, is_live=given.is_live)


def _plain(shape: Callable[[str], str]) -> Callable[[str, Given], str]:
    return lambda value, _given: shape(value)


def _kind(shape: Callable[[str], tuple[str, str]]) -> Callable[[str, Given], str]:
    """A key that is live or for tests, as the stack is."""
    return lambda value, given: _fitting(*shape(value), given=given)


def _fitting(shown: str, kind: str, given: Given) -> str:
    if given.is_live and kind != "live":
        raise Failed(f"is for tests, and the stack is a live one: {shown}")
    if kind == "live" and not given.is_live:
        raise Failed(f"is for production, and the stack is a dev stack: {shown}")
    return shown


def _clerk_secret(value: str, given: Given) -> str:
    shown, kind = keys.clerk_secret(value)
    publishable = given.get("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY") or ""
    other = publishable[3:7]
    if publishable.startswith("pk_") and other in ("live", "test") and other != kind:
        raise Failed(f"is a {kind} key, and the publishable one is a {other} key: {shown}")
    return _fitting(shown, kind, given)


def _convex_deployment(value: str, given: Given) -> str:
    shown, kind = addresses.convex_deployment(value, given.get("NEXT_PUBLIC_CONVEX_URL"))
    return _fitting(shown, kind, given)


def _upstash(shape: Callable[[str, Given], str]) -> Callable[[str, Given], str]:
    def look(value: str, given: Given) -> str:
        is_used = not ("REDIS_URL" in given.made or given.get("REDIS_URL"))
        return shape(value, given) + ("" if is_used else "; not used, since there is a REDIS_URL")

    return look


def _sentry(value: str, given: Given) -> str:
    dsn = keys.sentry_dsn(value)
    if given.is_live:
        addresses.http_url(f"{dsn.scheme}://{dsn.netloc}", is_live=True)
    return f"project {dsn.project_id} at {dsn.host}"


def _rate(value: str) -> str:
    if not value.isdecimal() or not 1 <= int(value) <= _MOST_PER_MINUTE:
        raise Failed(f"should be a whole number from 1 to {_MOST_PER_MINUTE}: {value[:40]!r}")
    return f"{value} for each address"


def _inngest_dev(value: str, given: Given) -> str:
    if value.lower() in ("0", "false"):
        return "off: Inngest's signatures are checked"
    if given.is_live:
        raise Failed(f"is {value[:40]!r}: anybody's calls are taken for Inngest's; unset it in production")
    return "on: Inngest's signatures are not checked"


VARIABLES = (
    Variable("WAHA_API_URL", "no reply is sent", _address()),
    Variable("WAHA_API_KEY", "WAHA must ask for none", _plain(keys.token)),
    Variable("WAHA_WEBHOOK_SECRET", "the service does not start", _plain(keys.webhook_secret)),
    Variable("NEXT_PUBLIC_CONVEX_URL", "accounts are kept in Redis", _address(addresses.convex_url)),
    Variable("CONVEX_DEPLOYMENT", "only its URL names the deployment", _convex_deployment),
    Variable(
        "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
        "sign-in to the app cannot be looked at",
        _kind(keys.clerk_publishable),
    ),
    Variable("CLERK_SECRET_KEY", "sign-in to the app cannot be looked at", _clerk_secret),
    Variable("NEXT_PUBLIC_APP_URL", "Inngest calls back where it was called from", _address()),
    Variable("UPSTASH_REDIS_REST_URL", "REDIS_URL is needed", _upstash(_address(addresses.upstash_url))),
    Variable("UPSTASH_REDIS_REST_TOKEN", "REDIS_URL is needed", _upstash(_plain(keys.token))),
    Variable("INNGEST_EVENT_KEY", "workers answer by themselves", _plain(keys.inngest_event)),
    Variable("INNGEST_SIGNING_KEY", "Inngest is not used", _kind(keys.inngest_signing)),
    Variable("SENTRY_DSN", "errors are in the logs only", _sentry),
    Variable("RESEND_API_KEY", "no mail is sent", _plain(keys.resend)),
    Variable("REDIS_URL", "Upstash's REST API is used", _plain(addresses.redis_url)),
    Variable("RATE_LIMIT_PER_MINUTE", "30000 for each address", _plain(_rate)),
    Variable("INNGEST_DEV", "Inngest's signatures are checked", _inngest_dev),
)


def variable_lines(given: Given) -> list[Line]:
    """A line for each variable, and one on whether the service takes them all."""
    lines = [probed(GROUP, variable.name, partial(_look, variable, given)) for variable in VARIABLES]
    return [*lines, probed(GROUP, "settings", partial(_settings, given))]


def _look(variable: Variable, given: Given) -> str:
    value = given.get(variable.name)
    if value is None:
        return _without(variable, given)
    if keys.is_placeholder(value):
        raise Failed("is a placeholder from an example: put the value there")
    address = given.get(_KEY_OF.get(variable.name, "")) or ""
    if not given.is_live and addresses.is_sandbox(address):
        return "for the sandbox, which takes any"
    return variable.look(value, given)


def _without(variable: Variable, given: Given) -> str:
    """What to say of a variable that is not set."""
    name = variable.name
    if name in given.made:
        return "`up` makes it"
    if name in _REQUIRED:
        raise Failed(f"is not set, and {variable.without} without it{_how(name)}")
    upstash = ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN")
    if name in upstash and (other := next(iter({*upstash} - {name}))) and given.get(other):
        raise Failed(f"is not set, but {other} is: give both{_how(name)}")
    if name == "REDIS_URL" and not given.get(upstash[0]):
        raise Failed("is not set, nor is UPSTASH_REDIS_REST_URL: the service needs a Redis")
    raise Skipped(f"not set; without it: {variable.without}")


def _how(name: str) -> str:
    return f" (`bin/runbook secrets set {name}`)" if name in SECRET_NAMES else ""


def _settings(given: Given) -> str:
    """Let the service itself read them, in a process that has nothing else in its environment."""
    made = {name: "redis://redis:6379/0" if name == "REDIS_URL" else "x" for name in given.made}
    done = subprocess.run(
        [sys.executable, "-c", _READ_SETTINGS],
        cwd=REPOSITORY,
        env={**made, **given.values},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SETTINGS_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise Failed("the service refuses them: " + "; ".join(done.stderr.strip().splitlines()))
    return f"web and worker start with them ({given.source})"
