"""The provider gives the recorded answers of the official one, wherever no engine is asked."""

from __future__ import annotations

import json
from typing import Any

import grpc
import make_facts
import pytest
from provider_client import Client, recorded, recorded_id, without_internals

from infra.docker_provider import facts
from infra.docker_provider.server import Provider

_DECIDED_WITHOUT_ENGINE = recorded("Check", "Diff", "CheckConfig", "GetPluginInfo", "Cancel")


@pytest.mark.parametrize("call", _DECIDED_WITHOUT_ENGINE, ids=recorded_id)
def test_answer_is_the_recorded_one(client: Client, call: dict[str, Any]) -> None:
    """Checked inputs, made-up names, defaults, differences, stables and replacements are as officially."""
    method = call["method"].rpartition("/")[2]
    assert client.call(method, call["request"]) == without_internals(call["response"])


def test_recordings_cover_what_is_replayed() -> None:
    """There is a recorded check and a recorded diff of every type, and a diff that replaces."""
    for method in ("Check", "Diff"):
        seen = {call["request"]["urn"].split("::")[2] for call in recorded(method)}
        assert len(seen) == 4, method
    assert [call for call in recorded("Diff") if call["response"].get("replaces")]


def test_configuration_differs_only_in_accepting_secrets(client: Client) -> None:
    """This provider takes marked secrets from the engine; the official one gets them bare."""
    for call in recorded("Configure"):
        assert client.call("Configure", call["request"]) == {**call["response"], "acceptSecrets": True}


def test_unchanged_configuration_has_no_diff(client: Client) -> None:
    """A stack whose settings are the same shows no change of its provider."""
    for call in recorded("DiffConfig"):
        assert client.call("DiffConfig", call["request"]) == call["response"]


def test_handshake_is_unimplemented(client: Client) -> None:
    """The engine falls back to `Configure` alone, as with the official provider."""
    with pytest.raises(grpc.RpcError) as error:
        client.call("Handshake", {"engineAddress": "127.0.0.1:1"})
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


def test_nothing_here_asks_the_engine(client: Client, provider: Provider) -> None:
    """A run that changes nothing needs no engine: not one of the replayed answers connects to it."""
    for call in _DECIDED_WITHOUT_ENGINE:
        client.call(call["method"].rpartition("/")[2], call["request"])
    assert provider._engine._client is None


def test_facts_are_made_from_the_schema() -> None:
    """The file that the provider reads is what the generator makes."""
    assert json.loads(facts._FILE.read_text()) == make_facts.make()
