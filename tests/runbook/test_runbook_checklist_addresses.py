from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.checklist import addresses
from runbook.checklist.line import Failed


@pytest.mark.parametrize(
    "url", ["https://waha.acme.io", "https://waha.acme.io:3000/base", "https://10.0.0.7"]
)
def test_an_address_for_production(url: str) -> None:
    """https, and not this machine's."""
    assert addresses.http_url(url, is_live=True) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://waha.acme.io", "should be https"),
        ("https://localhost:3000", "this machine's own"),
        ("https://127.0.0.1", "this machine's own"),
        ("https://127.8.8.8", "this machine's own"),
        ("https://[::1]:3000", "this machine's own"),
        ("https://0.0.0.0", "this machine's own"),
        ("https://app.localhost", "this machine's own"),
        ("https://waha.example.com", "an example's"),
        ("https://example.org", "an example's"),
        ("http://sandbox:9000/waha", "should be https"),
    ],
)
def test_what_is_not_for_production(url: str, why: str) -> None:
    """A dev stack may have it."""
    with pytest.raises(Failed, match=why):
        addresses.http_url(url, is_live=True)
    assert addresses.http_url(url, is_live=False) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "waha.acme.io", "ftp://acme.io", "https://", "https://acme io", "https://acme.io:port"),
        *(
            "https://acme.io:99999",
            "https://[::1",
            "https://acme.io?key=1",
            "https://acme.io#x",
            "acme.io:3000",
        ),
        *("https://user:hunter2@acme.io", "https://hunter2@acme.io"),
    ],
)
@pytest.mark.parametrize("is_live", [True, False])
def test_what_is_no_address(url: str, is_live: bool) -> None:
    """Anywhere; a password in it is not shown."""
    with pytest.raises(Failed) as refusal:
        addresses.http_url(url, is_live=is_live)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@redis.acme.io:6380/0", "redis://redis.acme.io:6380"),
        ("rediss://user:hunter2@redis.acme.io", "rediss://redis.acme.io:6379"),
    ],
)
def test_redis_is_shown_without_its_password(url: str, shown: str) -> None:
    """Whatever else stands in its URL."""
    assert addresses.redis_url(url) == shown


@pytest.mark.parametrize(
    "url", ["hunter2hunter2", "https://:hunter2@acme.io", "redis://", "redis://:hunter2", "redis://h:hunter2"]
)
def test_what_is_no_redis(url: str) -> None:
    """Nothing of it is shown: it may be all password."""
    with pytest.raises(Failed) as refusal:
        addresses.redis_url(url)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("url", ["redis://x.upstash.io:6379", "rediss://:hunter2@x.upstash.io:6379"])
def test_upstash_has_two_addresses(url: str) -> None:
    """That of the Redis protocol is the wrong one here."""
    with pytest.raises(Failed, match="the REST one begins with https://") as refusal:
        addresses.upstash_url(url, is_live=True)
    assert "hunter2" not in str(refusal.value)
    assert addresses.upstash_url("https://x.upstash.io", is_live=True) == "https://x.upstash.io"


def test_convex_has_two_addresses() -> None:
    """That of the HTTP actions is the wrong one here."""
    with pytest.raises(Failed, match=r"the API's ends in \.convex\.cloud"):
        addresses.convex_url("https://happy-ant-1.convex.site", is_live=True)
    assert addresses.convex_url("https://happy-ant-1.convex.cloud", is_live=True)


@pytest.mark.parametrize(
    ("value", "url", "found"),
    [
        ("prod:happy-ant-1", "https://happy-ant-1.convex.cloud", ("prod:happy-ant-1", "live")),
        ("prod:happy-ant-1", "https://happy-ant-1.eu-west-1.convex.cloud", ("prod:happy-ant-1", "live")),
        ("dev:happy-ant-1", "https://happy-ant-1.convex.cloud", ("dev:happy-ant-1", "test")),
        ("prod:happy-ant-1", "https://convex.acme.io", ("prod:happy-ant-1", "live")),
        ("prod:happy-ant-1", None, ("prod:happy-ant-1", "live")),
        ("prod:happy-ant-1|a-deploy-key", None, ("prod:happy-ant-1", "live")),
    ],
)
def test_a_deployment_is_that_of_its_url(value: str, url: str | None, found: tuple[str, str]) -> None:
    """Where the URL tells; of a deploy key only the name is shown."""
    assert addresses.convex_deployment(value, url) == found


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("prod:happy-bee-2", "is prod:happy-bee-2, but NEXT_PUBLIC_CONVEX_URL is https://happy-ant-1"),
        ("happy-ant-1", "should look like prod:"),
        ("production:happy-ant-1", "should look like prod:"),
        ("https://happy-ant-1.convex.cloud", "should look like prod:"),
        ("happy|hunter2", "should look like prod:"),
    ],
)
def test_another_deployment_is_said(value: str, why: str) -> None:
    """With both."""
    with pytest.raises(Failed, match=why) as refusal:
        addresses.convex_deployment(value, "https://happy-ant-1.convex.cloud")
    assert "hunter2" not in str(refusal.value)


@given(st.text(max_size=40), st.booleans())
def test_anything_is_an_address_or_refused(text: str, is_live: bool) -> None:
    """No other error comes of any value."""
    shapes: list[Callable[[str], object]] = [
        lambda value: addresses.http_url(value, is_live=is_live),
        lambda value: addresses.upstash_url(value, is_live=is_live),
        lambda value: addresses.convex_url(value, is_live=is_live),
        lambda value: addresses.convex_deployment(value, value),
        addresses.redis_url,
        addresses.is_sandbox,
        addresses.is_loopback,
    ]
    for prefix in ("", "https://", "redis://", "prod:"):
        for shape in shapes:
            try:
                shape(prefix + text)
            except Failed:
                continue
