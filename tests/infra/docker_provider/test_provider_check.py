"""Check refuses what the engine could not do, naming the property and the value."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from provider_client import Client, secret, urn

from infra.docker_provider.wire import UNKNOWN

IMAGE = {"image": "x"}


@pytest.mark.parametrize(
    ("kind", "news", "path", "reason"),
    [
        ("Container", {}, "image", "is required and missing"),
        ("Container", {"image": 5}, "image", "should be a string, got 5"),
        ("Container", IMAGE | {"memory": "128"}, "memory", "should be a whole number, got '128'"),
        ("Container", IMAGE | {"memory": 1.5}, "memory", "should be a whole number, got 1.5"),
        ("Container", IMAGE | {"memory": True}, "memory", "should be a whole number, got True"),
        ("Container", IMAGE | {"enves": ["A=1"]}, "enves", "is not a property here; is envs meant?"),
        ("Container", IMAGE | {"ports": [{"ip": "::"}]}, "ports[0].internal", "is required and missing"),
        (
            "Container",
            IMAGE | {"ports": [{"internal": 0}]},
            "ports[0].internal",
            "between 1 and 65535, got 0",
        ),
        ("Container", IMAGE | {"sysctls": {"a.b": 1}}, 'sysctls["a.b"]', "should be a string, got 1"),
        ("Container", IMAGE | {"restart": "never"}, "restart", "unless-stopped, got 'never'"),
        ("Container", IMAGE | {"command": ["a", ""]}, "command[1]", "should not be empty"),
        ("Container", IMAGE | {"cpus": "many"}, "cpus", "a number of CPUs like 1.5, got 'many'"),
        (
            "Container",
            IMAGE | {"healthcheck": {"interval": "5"}},
            "healthcheck.interval",
            "like 30s or 1m30s",
        ),
        ("Container", IMAGE | {"uploads": [{"file": "/a"}]}, "uploads[0]", "got none"),
        (
            "Container",
            IMAGE | {"uploads": [{"file": "/a", "content": "x", "source": "/b"}]},
            "uploads[0]",
            "got content and source",
        ),
        (
            "Container",
            IMAGE | {"uploads": [{"file": "/a", "content": "x", "permissions": "rw"}]},
            "uploads[0].permissions",
            "octal digits like 0444, got 'rw'",
        ),
        ("Container", IMAGE | {"volumes": [{"volumeName": "v"}]}, "volumes[0]", "containerPath"),
        (
            "Container",
            IMAGE | {"maxRetryCount": 3},
            "maxRetryCount",
            "needs restart on-failure, got restart 'no'",
        ),
        (
            "Container",
            IMAGE | {"networksAdvanced": [{"name": "n", "gwPriority": 1}]},
            "networksAdvanced[0].gwPriority",
            "is not supported for Container",
        ),
        ("Volume", {"cluster": {"group": "g"}}, "cluster", "is not supported for Volume"),
        ("RemoteImage", {"name": "x", "build": {}}, "build.context", "is required and missing"),
        (
            "RemoteImage",
            {"name": "x", "build": {"context": ".", "builder": "b"}},
            "build.builder",
            "is not supported for RemoteImage",
        ),
    ],
)
def test_wrong_input_is_refused(client: Client, kind: str, news: Any, path: str, reason: str) -> None:
    """The failure names the property by its path and says what it should be."""
    assert reason in client.failures(kind, news)[path]


def test_all_problems_are_told_at_once(client: Client) -> None:
    """One run shows everything that is wrong."""
    failures = client.failures("Container", {"memory": "a", "restart": "b", "nope": 1})
    assert set(failures) == {"image", "memory", "restart", "nope"}


def test_secret_value_is_not_in_a_failure(client: Client) -> None:
    """A refused value that is secret is told without itself."""
    failures = client.failures("Container", IMAGE | {"restart": secret("hunter2")})
    assert "hunter2" not in str(failures)
    assert "[secret]" in failures["restart"]


def test_unknown_values_pass(client: Client) -> None:
    """What only the update will know cannot be wrong yet, at any depth."""
    news = {
        "image": UNKNOWN,
        "memory": UNKNOWN,
        "restart": UNKNOWN,
        "maxRetryCount": 2,
        "envs": UNKNOWN,
        "healthcheck": UNKNOWN,
        "ports": [{"internal": UNKNOWN}],
        "uploads": [UNKNOWN],
    }
    assert client.failures("Container", news) == {}


def test_documented_defaults_are_filled_in(client: Client) -> None:
    """Defaults that no recording shows, but the official documentation states."""
    news = IMAGE | {"ports": [{"internal": 80}], "devices": [{"hostPath": "/dev/null"}]}
    inputs = client.check("Container", news)
    expected = {"__defaults": ["ip", "protocol"], "internal": 80, "ip": "0.0.0.0", "protocol": "tcp"}
    assert inputs["ports"] == [expected]
    assert inputs["devices"][0]["permissions"] == "rwm"


def test_name_that_the_stack_proposes_is_taken(client: Client) -> None:
    """A stack's own rule of naming goes before the provider's."""
    autonaming = {"proposedName": "mine", "mode": "ENFORCE"}
    assert client.check("Volume", {}, autonaming=autonaming)["name"] == "mine"
    assert "name" not in client.check("Volume", {}, autonaming={"mode": "DISABLE"})


def test_given_name_is_not_kept_from_before(client: Client) -> None:
    """A name that was given once and is not any more is made up anew, from the seed."""
    olds = {"name": "given", "__defaults": []}
    assert client.check("Volume", {}, olds=olds, randomSeed="AAAA")["name"].startswith("it-")


@pytest.mark.parametrize("setting", ["context", "registryAuth", "certPath"])
def test_setting_that_would_be_ignored_is_refused(client: Client, setting: str) -> None:
    """Settings of the official provider that this one does not follow are refused by name."""
    request = {
        "urn": urn("pulumi:providers:docker"),
        "news": {setting: "x", "host": "unix:///run/docker.sock"},
    }
    answer = client.call("CheckConfig", request)
    assert [failure["property"] for failure in answer["failures"]] == [setting]


def test_unsupported_type_is_named(client: Client) -> None:
    """A type that this provider lacks fails with its name and a way out."""
    with pytest.raises(grpc.RpcError) as error:
        client.call("Check", {"urn": urn("docker:index/plugin:Plugin"), "news": {}})
    text = str(error.value.details())  # type: ignore[attr-defined]
    assert "docker:index/plugin:Plugin is not supported" in text
    assert "Container, Network, RemoteImage, Volume" in text


def test_type_of_a_child_is_found(client: Client) -> None:
    """A resource inside a component has its parents' types before its own in its URN."""
    child = urn("my:app:Release$docker:index/volume:Volume")
    assert "inputs" in client.call("Check", {"urn": child, "news": {"name": "v"}})
