from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checklist_kit import LONG, publishable
from fake_workspace import FakeWorkspace
from hypothesis import given as anything
from hypothesis import settings as effort
from hypothesis import strategies as st

from infra.components.sandbox_app import ENVIRONMENT
from infra.stack_settings import GENERATED
from runbook.checklist import variables
from runbook.checklist.given import Given, of_file, of_new_stack, of_stack
from runbook.checklist.line import Line, Result
from runbook.checklist.variables import VARIABLES, variable_lines
from runbook.errors import RunbookError
from service.settings import ENVIRONMENT_NAMES, SECRET_NAMES

LIVE = {
    "WAHA_API_URL": "https://waha.acme.io",
    "WAHA_API_KEY": LONG,
    "WAHA_WEBHOOK_SECRET": LONG,
    "NEXT_PUBLIC_CONVEX_URL": "https://happy-ant-1.convex.cloud",
    "CONVEX_DEPLOYMENT": "prod:happy-ant-1",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": publishable("clerk.acme.io"),
    "CLERK_SECRET_KEY": f"sk_live_{LONG}",
    "NEXT_PUBLIC_APP_URL": "https://app.acme.io",
    "UPSTASH_REDIS_REST_URL": "https://happy.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": LONG,
    "INNGEST_EVENT_KEY": LONG,
    "INNGEST_SIGNING_KEY": "signkey-prod-" + "0123456789abcdef" * 4,
    "SENTRY_DSN": f"https://{LONG}@o1.ingest.sentry.io/42",
    "RESEND_API_KEY": f"re_{LONG}",
    "RATE_LIMIT_PER_MINUTE": "30000",
}
"""A production environment with nothing wrong."""

TEST = {
    "CONVEX_DEPLOYMENT": "dev:happy-ant-1",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": publishable("happy-ant-1.clerk.accounts.dev", "test"),
    "CLERK_SECRET_KEY": f"sk_test_{LONG}",
    "INNGEST_SIGNING_KEY": "signkey-test-" + "0123456789abcdef" * 4,
}
"""What says of itself that it is for tests."""


def given(*, is_live: bool = True, **changes: str | None) -> Given:
    """The production environment, or a dev stack's without a sandbox, with changes; None unsets."""
    values = {**LIVE, **({} if is_live else TEST), **changes}
    return Given({name: value for name, value in values.items() if value is not None}, "a test", is_live)


def lines(found: Given) -> dict[str, Line]:
    """The lines by name, without running the service's settings."""
    return {line.name: line for line in variable_lines(found)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The process that reads the settings takes a second: only where a test is about it."""
    if "real_settings" not in request.fixturenames:
        monkeypatch.setattr(variables, "_settings", lambda _given: "not looked at")


@pytest.fixture
def real_settings() -> None:
    """Asked for by tests in which the service's own settings are read."""


def test_the_runbooks_variables_are_all_there() -> None:
    """Each is a line, in the runbook's order, and a setting of the service."""
    names = [variable.name for variable in VARIABLES]
    assert names == [*list(LIVE)[:-1], "REDIS_URL", "RATE_LIMIT_PER_MINUTE", "INNGEST_DEV"]
    assert set(names) <= ENVIRONMENT_NAMES


@pytest.mark.parametrize("is_live", [True, False])
def test_an_environment_in_order_passes(is_live: bool) -> None:
    """Nothing fails; what may be left out is skipped with what is not there then; no secret is shown."""
    found = lines(given(is_live=is_live))
    assert {line.result for name, line in found.items() if name in LIVE} == {Result.PASSED}
    assert found["REDIS_URL"].result is Result.SKIPPED
    assert found["REDIS_URL"].detail == "not set; without it: Upstash's REST API is used"
    text = "\n".join(map(str, found.values()))
    assert not [name for name in SECRET_NAMES & LIVE.keys() if given(is_live=is_live).values[name] in text]


@pytest.mark.parametrize("name", TEST)
def test_live_and_test_keys_are_not_mixed_up(name: str) -> None:
    """A test key on a live stack fails, and so does a live key on a dev stack."""
    other = {"CLERK_SECRET_KEY": "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"}.get(name, name)
    for_tests = lines(given(**{name: TEST[name], other: TEST[other]}))[name]
    assert (for_tests.result, for_tests.detail.partition(":")[0]) == (
        Result.FAILED,
        "is for tests, and the stack is a live one",
    )
    for_live = lines(given(is_live=False, **{name: LIVE[name], other: LIVE[other]}))[name]
    assert (for_live.result, for_live.detail.partition(":")[0]) == (
        Result.FAILED,
        "is for production, and the stack is a dev stack",
    )


def test_clerks_keys_are_of_one_kind() -> None:
    """Whatever the stack is."""
    line = lines(given(CLERK_SECRET_KEY=TEST["CLERK_SECRET_KEY"]))["CLERK_SECRET_KEY"]
    assert "is a test key, and the publishable one is a live key" in line.detail


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("WAHA_API_URL", "http://localhost:3000", "this machine's own"),
        ("WAHA_WEBHOOK_SECRET", "my-secret-key", "should have 32 characters"),
        ("WAHA_API_KEY", "your-waha-key", "is a placeholder"),
        ("CONVEX_DEPLOYMENT", "prod:another-one", "two deployments"),
        ("NEXT_PUBLIC_APP_URL", "https://app.example.com", "an example's"),
        ("UPSTASH_REDIS_REST_URL", None, "is not set, but UPSTASH_REDIS_REST_TOKEN is"),
        ("UPSTASH_REDIS_REST_TOKEN", None, "is not set, but UPSTASH_REDIS_REST_URL is"),
        ("SENTRY_DSN", f"http://{LONG}@o1.ingest.sentry.io/42", "should be https"),
        ("RATE_LIMIT_PER_MINUTE", "0", "should be a whole number from 1 to 6000000: '0'"),
        ("RATE_LIMIT_PER_MINUTE", "fast", "should be a whole number"),
        ("INNGEST_DEV", "1", "anybody's calls are taken for Inngest's"),
        ("INNGEST_DEV", "http://127.0.0.1:8288", "anybody's calls are taken for Inngest's"),
        ("WAHA_WEBHOOK_SECRET", None, "is not set, and the service does not start without it"),
        ("WAHA_WEBHOOK_SECRET", "", "is not set, and the service does not start without it"),
    ],
)
def test_what_is_wrong_in_production_is_said(name: str, value: str | None, why: str) -> None:
    """By name, with why; a secret's value is not among it."""
    line = lines(given(**{name: value}))[name]
    assert line.result is Result.FAILED
    assert why in line.detail
    assert name not in SECRET_NAMES or not value or value not in line.detail


def test_a_redis_is_needed() -> None:
    """One of the two ways."""
    found = lines(given(UPSTASH_REDIS_REST_URL=None, UPSTASH_REDIS_REST_TOKEN=None))
    assert found["REDIS_URL"].result is Result.FAILED
    assert "nor is UPSTASH_REDIS_REST_URL" in found["REDIS_URL"].detail
    both = lines(given(REDIS_URL=f"rediss://:{LONG}@redis.acme.io"))
    assert both["REDIS_URL"].detail == "rediss://redis.acme.io:6379"
    assert "not used, since there is a REDIS_URL" in both["UPSTASH_REDIS_REST_URL"].detail


def test_inngest_dev_is_for_development() -> None:
    """There it may be on; off it may be anywhere."""
    assert lines(given(is_live=False, INNGEST_DEV="1"))["INNGEST_DEV"].result is Result.PASSED
    assert lines(given(INNGEST_DEV="0"))["INNGEST_DEV"].result is Result.PASSED


def test_the_sandbox_takes_any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dev stack's keys are made up: their form is not judged, only where they are for the sandbox."""
    sandboxed = {"WAHA_API_URL": "http://sandbox:9000/waha", "RESEND_API_URL": "http://sandbox:9000/resend"}
    keys = {"WAHA_API_KEY": "any", "RESEND_API_KEY": "any", "SENTRY_DSN": "http://a@sandbox:9000/sentry/1"}
    found = lines(given(is_live=False, **sandboxed, **keys))
    assert {found[name].detail for name in keys} == {"for the sandbox, which takes any"}
    real = lines(given(is_live=False, **keys))
    assert real["WAHA_API_KEY"].result is Result.FAILED
    assert real["RESEND_API_KEY"].result is Result.FAILED


@anything(
    name=st.sampled_from(sorted(SECRET_NAMES & {variable.name for variable in VARIABLES})),
    prefix=st.sampled_from(
        ["", "sk_live_", "signkey-prod-", "re_", "redis://", "redis://:", "https://", "a@"]
    ),
    value=st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=12, max_size=50),
    is_live=st.booleans(),
)
@effort(max_examples=300)
def test_no_secret_is_ever_shown(name: str, prefix: str, value: str, is_live: bool) -> None:
    """Whatever it is, and whatever is wrong with it."""
    if name in ("SENTRY_DSN", "REDIS_URL") and ("@" in value or prefix.endswith(("//", "@"))):
        return  # what stands after these is a host, and no secret
    variable = next(variable for variable in VARIABLES if variable.name == name)
    line = variables.probed(
        "", name, lambda: variables._look(variable, given(is_live=is_live, **{name: prefix + value}))
    )
    assert value not in line.detail


@pytest.mark.usefixtures("real_settings")
@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({}, "web and worker start with them (a test)"),
        ({"EMAIL_FROM": "nobody"}, "EMAIL_FROM: should be an address"),
        ({"WAHA_RETRIES_DELAY_S": "never"}, "WAHA_RETRIES_DELAY_S: should be a number of seconds"),
        ({"WAHA_API_KEY": "hunter2 hunter2"}, "WAHA_API_KEY: should be printable ASCII"),
    ],
)
def test_the_service_itself_reads_them(changes: dict[str, str], detail: str) -> None:
    """What no line is about is judged too, in the service's words, which show no secret."""
    line = lines(given(**changes))["settings"]
    assert detail in line.detail
    assert (line.result is Result.FAILED) is bool(changes)
    assert "hunter2" not in line.detail


@pytest.mark.usefixtures("real_settings")
def test_nothing_of_this_process_is_mixed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator's own shell has is no release's."""
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", "fast")
    assert lines(given(RATE_LIMIT_PER_MINUTE=None))["settings"].result is Result.PASSED


def stack(name: str = "dev", **config: Any) -> FakeWorkspace:
    """A stack with this configuration."""
    workspace = FakeWorkspace(name, config={key: json.dumps(value) for key, value in config.items()})
    workspace.found_outputs = {"url": "http://127.0.0.1:8080", "sandbox_url": "http://127.0.0.1:8082"}
    return workspace


def test_a_stacks_environment() -> None:
    """The sandbox's, then what its configuration says, then its secrets; Redis is the update's."""
    workspace = stack(
        layout={"sandbox": True, "port": 80}, env={"AI_MODEL": "m", "TRUST_PROXY": True, "PORT": 1}
    )
    secrets = {"WAHA_WEBHOOK_SECRET": LONG, **dict.fromkeys(GENERATED, "x")}
    workspace.keep_secrets({"current": secrets, "retired": {"a": "b"}})
    found = of_stack(workspace)
    assert found.values == {**ENVIRONMENT, "AI_MODEL": "m", "TRUST_PROXY": "true", "PORT": "1", **secrets}
    assert (found.is_live, found.sandbox_url) == (False, "http://127.0.0.1:8082")
    assert lines(found)["REDIS_URL"].detail == "`up` makes it"
    bare = of_stack(stack("production", env={"AI_MODEL": "m"}))
    assert (bare.values, bare.is_live) == ({"AI_MODEL": "m"}, True)


@pytest.mark.parametrize("text", ["[1]", '"x"', "{", "7"])
def test_a_damaged_configuration_is_an_error(text: str) -> None:
    """With the key that is wrong."""
    workspace = stack()
    workspace.config["env"] = text
    with pytest.raises(RunbookError, match="configuration `env` of stack 'dev'"):
        of_stack(workspace)


def test_before_the_first_update() -> None:
    """A dev stack will have the sandbox's; any other has what this process's environment says."""
    assert not [line for line in lines(of_new_stack("dev", {})).values() if line.result is Result.FAILED]
    found = of_new_stack("production", {"WAHA_API_KEY": LONG, "HOME": "/root"})
    assert (found.values, found.is_live, found.made) == ({"WAHA_API_KEY": LONG}, True, frozenset())


def test_a_file_gives_the_environment(tmp_path: Path) -> None:
    """As `NAME=value` lines, quoted or not, with comments; a secret may stand in a file of its own."""
    (tmp_path / "key").write_text(f"{LONG}\n")
    file = tmp_path / ".env"
    file.write_text(
        "# production\n"
        "export WAHA_API_URL='https://waha.acme.io'\n"
        f"WAHA_API_KEY_FILE={tmp_path}/key\n"
        "CONVEX_DEPLOYMENT=prod:happy-ant-1 # team: acme\n"
        'AI_MODEL="$HOME"\n'
        "UNKNOWN=1\n"
        "EMPTY\n"
    )
    found = of_file(file, "production")
    assert found.values == {
        "WAHA_API_URL": "https://waha.acme.io",
        "WAHA_API_KEY": LONG,
        "CONVEX_DEPLOYMENT": "prod:happy-ant-1",
        "AI_MODEL": "$HOME",
    }
    assert (found.is_live, found.source) == (True, str(file))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """By its name, whichever it is."""
    with pytest.raises(RunbookError, match=r"--env-file .*nowhere: No such file"):
        of_file(tmp_path / "nowhere", "dev")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(RunbookError, match="is not UTF-8 text"):
        of_file(tmp_path / "binary", "dev")
    (tmp_path / ".env").write_text("WAHA_API_KEY_FILE=/nowhere\n")
    with pytest.raises(RunbookError, match="WAHA_API_KEY_FILE: /nowhere: No such file"):
        of_file(tmp_path / ".env", "dev")
