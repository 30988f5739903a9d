"""The environment: complete, typed, refused as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.webhook import encode, message_event
from service.settings import (
    ENVIRONMENT_NAMES,
    MODELS,
    SECRET_NAMES,
    SettingsError,
    WebSettings,
    WorkerSettings,
    read_settings,
    wrong_values,
)
from smoke.samples import LONG_CHARACTERS
from smoke.test_refusals import OVERSIZED_BYTES

RUNBOOK_NAMES = {
    "WAHA_API_URL",
    "WAHA_API_KEY",
    "WAHA_WEBHOOK_SECRET",
    "NEXT_PUBLIC_CONVEX_URL",
    "CONVEX_DEPLOYMENT",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
    "CLERK_SECRET_KEY",
    "NEXT_PUBLIC_APP_URL",
    "UPSTASH_REDIS_REST_URL",
    "UPSTASH_REDIS_REST_TOKEN",
    "INNGEST_EVENT_KEY",
    "INNGEST_SIGNING_KEY",
    "SENTRY_DSN",
    "RESEND_API_KEY",
    "REDIS_URL",
    "RATE_LIMIT_PER_MINUTE",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with nothing but what web cannot do without."""
    for name in ENVIRONMENT_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://:pass@localhost:6379/0")
    monkeypatch.setenv("WAHA_WEBHOOK_SECRET", "secret")
    return monkeypatch


def problems(model: type[WebSettings] | type[WorkerSettings] = WebSettings) -> list[str]:
    """The lines that reading *model* is refused with."""
    with pytest.raises(SettingsError) as refused:
        read_settings(model)
    return str(refused.value).splitlines()


def test_runbook_names_are_read() -> None:
    """Every name that the runbook gives its environment is one that the service reads."""
    assert RUNBOOK_NAMES <= ENVIRONMENT_NAMES


def test_secret_names_are_the_secrets() -> None:
    """Whatever could let somebody in is a secret, and what a browser may see is none."""
    assert {
        "REDIS_URL",
        "WAHA_WEBHOOK_SECRET",
        "WAHA_WEBHOOK_SECRET_PREVIOUS",
        "PSEUDONYM_KEY",
        "WAHA_API_KEY",
        "CLERK_SECRET_KEY",
        "CONVEX_DEPLOY_KEY",
        "UPSTASH_REDIS_REST_TOKEN",
        "INNGEST_EVENT_KEY",
        "INNGEST_SIGNING_KEY",
        "INNGEST_SIGNING_KEY_FALLBACK",
        "SENTRY_DSN",
        "RESEND_API_KEY",
        "AI_API_KEY",
    } == SECRET_NAMES


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_says_what_it_should_be(model: type[WebSettings]) -> None:
    """Each field has a description, which is what an error tells the operator."""
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_two_names_are_enough_for_web() -> None:
    """Redis and the webhook secret suffice; all else has a default or is not configured."""
    settings = read_settings(WebSettings)
    assert (settings.release, settings.waha_api_url, settings.trust_proxy) == ("", None, False)


def test_worker_needs_no_webhook_secret(environment: pytest.MonkeyPatch) -> None:
    """A worker verifies nothing, so it starts without the secret."""
    environment.delenv("WAHA_WEBHOOK_SECRET")
    assert read_settings(WorkerSettings).concurrency > 0


def test_all_problems_are_reported_at_once(environment: pytest.MonkeyPatch) -> None:
    """One line a problem, with its name, its value and what is expected."""
    environment.delenv("WAHA_WEBHOOK_SECRET")
    environment.setenv("PORT", "99999")
    environment.setenv("RATE_LIMIT_PER_MINUTE", "fast")
    environment.setenv("WAHA_API_URL", "waha:3000")
    assert problems() == [
        "PORT: should be a port, 1 to 65535, got '99999'",
        "RATE_LIMIT_PER_MINUTE: should be a whole number from 1 to 6000000, got 'fast'",
        "WAHA_API_URL: should be an http(s) URL without user or query, got 'waha:3000'",
        "WAHA_WEBHOOK_SECRET: is missing, should be a text that is not empty "
        "(or WAHA_WEBHOOK_SECRET_FILE, a file holding it)",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://:hunter2@host"),
        ("REDIS_URL", "redis://:hunter2@host:99999"),
        ("REDIS_URL", "redis://:hunter2@host/name"),
        ("REDIS_URL", "rediss://:hunter2@host/0?ssl_ca_certs=/ca.pem&max_connections=5"),
        ("WAHA_API_KEY", "hunter2\nX-Evil: 1"),
        ("WAHA_API_URL", "http://user:hunter2@host"),
    ],
)
def test_secret_values_are_never_shown(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A refused secret is named and not quoted, not even a password in a URL that should have none."""
    environment.setenv(name, value)
    (line,) = problems()
    assert line.startswith(f"{name}: should be ")
    assert "hunter2" not in line


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "info"])
def test_log_level_that_hides_a_message_s_way_is_refused(environment: pytest.MonkeyPatch, level: str) -> None:
    """The gate looks for the lines of level INFO, and so does whoever looks for a message."""
    environment.setenv("LOG_LEVEL", level)
    assert problems() == [f"LOG_LEVEL: should be DEBUG or INFO, got {level!r}"]


def test_bounds_of_a_body_are_the_gates(environment: pytest.MonkeyPatch) -> None:
    """Whatever limit is taken, smoke's longest message is within it, and what must be 413 is beyond it."""
    long = len(encode(message_event("x" * LONG_CHARACTERS, chat_id="15551234567@c.us")))
    least, most = 64 * 1024, OVERSIZED_BYTES
    assert long <= least
    for size in (least, most):
        environment.setenv("MAX_BODY_BYTES", str(size))
        assert read_settings(WebSettings).max_body_bytes == size
    for size in (least - 1, most + 1):
        environment.setenv("MAX_BODY_BYTES", str(size))
        assert problems() == [f"MAX_BODY_BYTES: should be a number of bytes, 65536 to 2097152, got '{size}'"]


def test_values_are_judged_each_by_itself(environment: pytest.MonkeyPatch) -> None:
    """What else there is, or is not, does not matter, nor does this process's own environment."""
    environment.setenv("LOG_LEVEL", "nonsense")
    given = {
        "REDIS_URL": "redis://r",
        "PORT": "x",
        "WAHA_API_KEY": "hunter2 3",
        "NONE": "x",
        "AI_API_URL": "",
    }
    assert wrong_values(given) == [
        "PORT: should be a port, 1 to 65535, got 'x'",
        "WAHA_API_KEY: should be printable ASCII without blanks",
    ]


@pytest.mark.parametrize("model", MODELS)
def test_no_default_is_a_wrong_value(model: type[WebSettings]) -> None:
    """Each may be given as it is."""
    fields = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    assert wrong_values({name.upper(): str(field.default or "") for name, field in fields.items()}) == []


@pytest.mark.parametrize(
    "value", ["ftp://host", "http://", "http://host:0", "http://ho st", "http://h/?q=1", "http://[::1"]
)
def test_urls_are_validated(environment: pytest.MonkeyPatch, value: str) -> None:
    """Something that is no URL to call is refused at the start, not at the first message."""
    environment.setenv("NEXT_PUBLIC_CONVEX_URL", value)
    assert problems() == [
        f"NEXT_PUBLIC_CONVEX_URL: should be an http(s) URL without user or query, got {value!r}"
    ]


UPSTASH = {"UPSTASH_REDIS_REST_URL": "https://x.upstash.io", "UPSTASH_REDIS_REST_TOKEN": "token"}


def test_upstash_stands_in_for_a_redis_url(environment: pytest.MonkeyPatch) -> None:
    """With Upstash's URL and token no REDIS_URL is needed."""
    environment.delenv("REDIS_URL")
    for name, value in UPSTASH.items():
        environment.setenv(name, value)
    settings = read_settings(WebSettings)
    assert (settings.redis_url, settings.upstash_redis_rest_url) == (None, "https://x.upstash.io")


def test_some_redis_is_needed(environment: pytest.MonkeyPatch) -> None:
    """Without either the problem names both ways."""
    environment.delenv("REDIS_URL")
    (line,) = problems()
    assert line.startswith("REDIS_URL: is missing, should be a URL like redis://")
    assert line.endswith("or UPSTASH_REDIS_REST_URL and _TOKEN instead")


@pytest.mark.parametrize(("name", "state"), list(zip(UPSTASH, ("missing", "set"), strict=True)))
def test_half_of_upstash_is_refused(environment: pytest.MonkeyPatch, name: str, state: str) -> None:
    """The URL without the token or the token without the URL is a mistake, whatever else there is."""
    environment.setenv(name, UPSTASH[name])
    (line,) = problems()
    assert line.startswith(f"UPSTASH_REDIS_REST_TOKEN: is {state}")
    assert line.endswith("give both")


def test_secret_comes_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """NAME_FILE names a file with the secret; the newline at its end is not part of it."""
    environment.delenv("WAHA_WEBHOOK_SECRET")
    (tmp_path / "secret").write_text(" from a file \n")
    environment.setenv("WAHA_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    assert read_settings(WebSettings).waha_webhook_secret.get_secret_value() == " from a file "


def test_missing_secret_file_is_a_problem_like_others(environment: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is reported in the same list, once, with its path."""
    environment.delenv("WAHA_WEBHOOK_SECRET")
    environment.setenv("WAHA_WEBHOOK_SECRET_FILE", "/nowhere")
    environment.setenv("PORT", "x")
    assert problems() == [
        "PORT: should be a port, 1 to 65535, got 'x'",
        "WAHA_WEBHOOK_SECRET_FILE: should be a readable file, got '/nowhere': No such file or directory",
    ]


def test_secret_given_twice_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two sources for one secret are a mistake that nobody should have to guess about."""
    environment.setenv("REDIS_URL_FILE", str(tmp_path / "any"))
    assert problems() == ["REDIS_URL: is set, and REDIS_URL_FILE too: give one of them"]


def test_empty_is_unset(environment: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing counts as not set."""
    environment.setenv("WAHA_API_URL", "")
    environment.setenv("WAHA_WEBHOOK_SECRET", "")
    assert problems()[0].startswith("WAHA_WEBHOOK_SECRET: is missing")


def test_settings_are_frozen_and_masked() -> None:
    """Nobody changes a setting after the start, and printing them all shows no secret."""
    settings = read_settings(WebSettings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
    assert "pass" not in repr(settings)
    assert "secret'" not in repr(settings)


@pytest.mark.parametrize("role", ["web", "worker"])
def test_wrong_settings_exit_2_without_traceback(role: str) -> None:
    """The process prints its problems and ends with 2."""
    done = subprocess.run(
        [sys.executable, "-m", "service", role],
        env={"PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "REDIS_URL: is missing" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_unknown_command_is_usage() -> None:
    """Anything but the known commands prints the usage and exits 2."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.startswith("usage: ")) == (2, True)


@pytest.mark.parametrize(
    ("given", "tolerance_s"),
    [
        ({}, 2 * 15 + 8 * 15 + 300),
        ({"WAHA_RETRIES_POLICY": "linear"}, 2 * 120 + 8 * 15 + 300),
        ({"WAHA_RETRIES_POLICY": "exponential"}, 2 * (2**16 - 2) + 8 * 15 + 300),
        ({"WEBHOOK_TOLERANCE_S": "3600"}, 3600),
    ],
)
def test_tolerance_outlasts_the_senders_retries(
    environment: pytest.MonkeyPatch, given: dict[str, str], tolerance_s: float
) -> None:
    """Without a tolerance given, it follows from how long WAHA was configured to go on."""
    for name, value in given.items():
        environment.setenv(name, value)
    assert read_settings(WebSettings).webhook_tolerance_s == tolerance_s


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"WEBHOOK_TOLERANCE_S": "60"}, "got 60: WAHA's retries (constant, 15 times, 2 s) go on for 150 s"),
        ({"WEBHOOK_TOLERANCE_S": "999999"}, "should be 150 to 172800 s, got 999999"),
        ({"WAHA_RETRIES_POLICY": "exponential", "WAHA_RETRIES_ATTEMPTS": "17"}, "go on for 524420 s"),
    ],
)
def test_tolerance_that_loses_messages_is_refused(
    environment: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    """A tolerance shorter than the retries, or longer than messages are remembered, does not start."""
    for name, value in given.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError, match=r"^WEBHOOK_TOLERANCE_S: should be ") as refused:
        read_settings(WebSettings)
    assert named in str(refused.value)
