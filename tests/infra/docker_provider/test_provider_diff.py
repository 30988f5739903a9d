"""Diff: what is a change, what is none, and what replaces."""

from __future__ import annotations

from typing import Any

import pytest
from provider_client import Client, recorded, secret

from infra.docker_provider.wire import UNKNOWN

BASE = {"image": "x", "name": "c", "command": ["run"], "envs": ["A=1", "B=2"]}


@pytest.fixture
def change(client: Client) -> Any:
    """The detailed diff between two sets of a program's Container inputs."""

    def between(old: Any, new: Any) -> dict[str, str]:
        before, after = (client.check("Container", BASE | news) for news in (old, new))
        answer = client.diff("Container", before, after)
        # ADD is the protocol's zero, which its JSON form leaves out.
        details = answer.get("detailedDiff", {})
        return {path: detail.get("kind", "ADD") for path, detail in details.items()}

    return between


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"image": "y"}, {"image": "UPDATE_REPLACE"}),
        ({}, {"user": "1"}, {"user": "ADD_REPLACE"}),
        ({"user": "1"}, {}, {"user": "DELETE_REPLACE"}),
        ({}, {"envs": ["A=1", "B=2", "C=3"]}, {"envs[2]": "ADD_REPLACE"}),
        ({}, {"envs": ["A=1"]}, {"envs[1]": "DELETE_REPLACE"}),
        ({}, {"command": ["run", "it"]}, {"command[1]": "ADD_REPLACE"}),
        ({}, {"destroyGraceSeconds": 5}, {"destroyGraceSeconds": "ADD"}),
        ({"memory": 64, "memorySwap": 64}, {"memory": 128, "memorySwap": 64}, {"memory": "UPDATE"}),
        ({"memory": 64}, {}, {"memory": "DELETE_REPLACE"}),
        ({}, {"restart": "always"}, {"restart": "UPDATE"}),
        ({"sysctls": {"a.b": "1"}}, {"sysctls": {"a.b": "2"}}, {'sysctls["a.b"]': "UPDATE_REPLACE"}),
        (
            {"ports": [{"internal": 80}]},
            {"ports": [{"internal": 80, "external": 8080}]},
            {"ports[0].external": "ADD_REPLACE"},
        ),
        (
            {"healthcheck": {"tests": ["CMD", "a"], "interval": "1s"}},
            {"healthcheck": {"tests": ["CMD", "a"], "interval": "2s"}},
            {"healthcheck.interval": "UPDATE_REPLACE"},
        ),
    ],
)
def test_change_is_told_by_path_and_kind(change: Any, old: Any, new: Any, expected: dict[str, str]) -> None:
    """A change names the innermost property, and says whether it is made in place or by a new container."""
    assert change(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"envs": ["B=2", "A=1"]}),
        ({"labels": [{"label": "a", "value": "1"}]}, {"labels": [{"label": "a", "value": "1"}]}),
        ({}, {"user": "", "memory": 0, "privileged": False, "dns": [], "labels": []}),
        ({"volumes": [{"containerPath": "/a"}]}, {"volumes": [{"containerPath": "/a", "readOnly": False}]}),
        ({"memory": 64}, {"memory": 64}),
    ],
)
def test_same_meaning_is_no_change(change: Any, old: Any, new: Any) -> None:
    """Order where there is none, and a zero value where there was nothing, are no change."""
    assert change(old, new) == {}
    assert change(new, old) == {}


def test_order_of_a_command_is_a_change(change: Any) -> None:
    """Where order means something, it counts."""
    assert change({"command": ["a", "b"]}, {"command": ["b", "a"]})


def test_unknown_value_is_a_change(change: Any) -> None:
    """What only the update will know may differ: the preview shows it."""
    assert change({}, {"envs": ["A=1", UNKNOWN]}) == {"envs[1]": "UPDATE_REPLACE"}


def test_secret_and_bare_value_are_equal(client: Client) -> None:
    """Whether a value is secret is no difference of the resource."""
    old = client.check("Container", BASE | {"envs": [secret("A=1"), "B=2"]})
    new = client.check("Container", BASE)
    assert client.diff("Container", old, new)["changes"] == "DIFF_NONE"


@pytest.mark.parametrize(("given", "expected"), [({"name": "n"}, True), ({}, False)])
def test_network_of_a_made_up_name_is_made_before_the_old_one_goes(
    client: Client, given: dict[str, Any], expected: bool
) -> None:
    """Two networks of one given name cannot be there together; of a made-up name there will be another."""
    old = client.check("Network", given)
    new = client.check("Network", given | {"internal": True}, olds=old)
    answer = client.diff("Network", old, new)
    assert answer["replaces"] == ["internal"]
    assert answer.get("deleteBeforeReplace", False) is expected


def test_moved_stack_shows_no_change(client: Client) -> None:
    """State that the official provider left, its internals included, equals the same program."""
    for call in recorded("Create"):
        inputs, outputs = call["request"]["properties"], call["response"]["properties"]
        request = {
            "id": call["response"]["id"],
            "urn": call["request"]["urn"],
            "olds": outputs | {"__pulumi_raw_state_delta": {"obj": {"ps": {"labels": {"arr": {}}}}}},
            "oldInputs": inputs,
            "news": inputs,
        }
        assert client.call("Diff", request)["changes"] == "DIFF_NONE"
