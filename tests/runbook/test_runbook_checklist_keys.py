from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from checklist_kit import LONG, publishable
from hypothesis import given
from hypothesis import strategies as st

from runbook.checklist import keys
from runbook.checklist.line import Failed


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (f"sk_live_{LONG}", "sk_live_…(40 characters)"),
        (f"sk_test_{LONG}", "sk_test_…(40 characters)"),
        (f"signkey-prod-{LONG}", "signkey-prod-…(45 characters)"),
        (f"re_{LONG}", "re_…(35 characters)"),
        (LONG, "…(32 characters)"),
        ("hunter2", "…(7 characters)"),
        (f"sk_{LONG}_live_", "…(41 characters)"),
        ("", "…(0 characters)"),
    ],
)
def test_a_secret_is_shown_by_its_kind_and_length(secret: str, shown: str) -> None:
    """What its service gives to all of that kind, and no sign of its own."""
    assert keys.mask(secret) == shown


@pytest.mark.parametrize(
    "value",
    [
        "changeme",
        "CHANGE_ME",
        "change-me-please",
        "your-api-key",
        "sk_test_your_key_here",
        "https://your-app.convex.cloud",
        "xxx",
        "re_xxxxxxxx",
        "sk_live_XXXX",
        "signkey-prod-xxxxxx",
        "<your key>",
        "sk_live_...",
        "sk_live_…",
        "${WAHA_API_KEY}",
        "placeholder",
        "TODO",
        "secret",
        "password",
    ],
)
def test_placeholders_are_known(value: str) -> None:
    """As examples and templates have them."""
    assert keys.is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        f"sk_live_{LONG}",
        f"xxX_{LONG}",
        f"{LONG}-xxx",
        "https://yourself.org",
        "prod:happy-animal-123",
        "my-secret-key",
        "60000",
    ],
)
def test_values_are_no_placeholders(value: str) -> None:
    """Words that only look alike do not stop a deployment."""
    assert not keys.is_placeholder(value)


def test_generated_values_are_no_placeholders() -> None:
    """What the runbook makes itself passes, however often it is made."""
    assert not [value for _ in range(5000) if keys.is_placeholder(value := secrets.token_urlsafe(32))]


@pytest.mark.parametrize(
    ("shape", "value", "kind"),
    [
        (keys.clerk_secret, f"sk_live_{LONG}", "live"),
        (keys.clerk_secret, f"sk_test_{LONG}", "test"),
        (keys.clerk_publishable, publishable("clerk.acme.io"), "live"),
        (keys.clerk_publishable, publishable("happy-ant-1.clerk.accounts.dev", "test"), "test"),
        (keys.clerk_publishable, publishable("clerk.acme.io") + "=", "live"),
        (keys.inngest_signing, "signkey-prod-" + "0123456789abcdef" * 4, "live"),
        (keys.inngest_signing, "signkey-test-" + "0123456789abcdef" * 2, "test"),
        (keys.inngest_signing, "signkey-branch-" + "0123456789abcdef" * 2, "test"),
    ],
)
def test_a_key_says_whether_it_is_live(
    shape: Callable[[str], tuple[str, str]], value: str, kind: str
) -> None:
    """And is not shown whole."""
    shown, found = shape(value)
    assert found == kind
    assert value not in shown


@pytest.mark.parametrize(
    ("shape", "value", "why"),
    [
        (keys.clerk_secret, publishable("clerk.acme.io"), "should begin with sk_live_ or sk_test_"),
        (keys.clerk_secret, f"sk_prod_{LONG}", "should begin with"),
        (keys.clerk_secret, "sk_live_short", "should begin with"),
        (keys.clerk_secret, f"sk_live_{LONG}\n", "should begin with"),
        (keys.clerk_publishable, f"sk_live_{LONG}", "should begin with pk_live_ or pk_test_"),
        (keys.clerk_publishable, publishable("clerk.acme.io", end=""), "no host of an instance"),
        (keys.clerk_publishable, publishable("clerk acme"), "no host of an instance"),
        (keys.clerk_publishable, publishable("localhost"), "no host of an instance"),
        (keys.clerk_publishable, publishable("clerk.acme.io")[:-2], "no host of an instance"),
        (keys.clerk_publishable, "pk_live_AAAAA", "no host of an instance"),
        (keys.inngest_signing, LONG, "should look like signkey-prod-"),
        (keys.inngest_signing, "signkey-prod-zzz", "should look like signkey-prod-"),
        (keys.inngest_event, "signkey-prod-" + "0" * 64, "is a signing key"),
        (keys.inngest_event, "tiny", "too short"),
        (keys.resend, LONG, "should look like re_"),
        (keys.resend, "re_12", "should look like re_"),
        (keys.token, "with a blank in it", "blanks or signs"),
        (keys.token, "schlüsselschlüssel", "blanks or signs"),
        (keys.token, "hunter2", "too short"),
        (keys.webhook_secret, LONG[:31], "should have 32 characters"),
        (keys.webhook_secret, "abab" * 10, "over and over"),
        (keys.sentry_dsn, "https://sentry.io/1", "is no DSN"),
        (keys.sentry_dsn, "hunter2", "is no DSN"),
        (keys.sentry_dsn, "https://key@host:port/1", "is no DSN"),
    ],
)
def test_what_is_no_such_key_is_said(shape: Callable[[str], object], value: str, why: str) -> None:
    """With what it should be, and without the value."""
    with pytest.raises(Failed, match=why) as refusal:
        shape(value)
    assert value.strip() not in str(refusal.value)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (keys.inngest_event, LONG),
        (keys.resend, f"re_{LONG}"),
        (keys.token, secrets.token_urlsafe(32)),
        (keys.webhook_secret, secrets.token_urlsafe(32)),
    ],
    ids=["inngest event", "resend", "token", "webhook secret"],
)
def test_a_plausible_key_passes(shape: Callable[[str], str], value: str) -> None:
    """Shown by its mask."""
    assert shape(value) == keys.mask(value)


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True), min_size=1, max_size=4))
def test_the_host_comes_back(labels: list[str]) -> None:
    """Whatever instance a publishable key is for, with or without base64's padding."""
    host = ".".join([*labels, "dev"])
    assert keys.frontend_api(publishable(host)) == host


@given(st.text(max_size=60))
def test_anything_is_a_key_or_refused(text: str) -> None:
    """No other error comes of any value, and no value is shown."""
    shapes: list[Callable[[str], object]] = [
        *(keys.clerk_secret, keys.clerk_publishable, keys.inngest_signing, keys.inngest_event),
        *(keys.resend, keys.token, keys.webhook_secret, keys.sentry_dsn),
    ]
    for shape in shapes:
        try:
            shape(text)
        except Failed as refusal:
            assert len(text) < 12 or text not in str(refusal)
