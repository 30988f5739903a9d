"""A client of the provider as the engine is one: property maps in, property maps out, over real gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, status_pb2
from pulumi.runtime.proto.provider_pb2_grpc import (
    ResourceProviderStub,
    add_ResourceProviderServicer_to_server,
)

from infra.docker_provider.server import Provider, servicer

RECORDINGS = Path(__file__).with_name("recordings")

TOKENS = {
    "Container": "docker:index/container:Container",
    "Network": "docker:index/network:Network",
    "RemoteImage": "docker:index/remoteImage:RemoteImage",
    "Volume": "docker:index/volume:Volume",
}

_REQUESTS = {
    "CheckConfig": "CheckRequest",
    "DiffConfig": "DiffRequest",
    "Handshake": "ProviderHandshakeRequest",
}
"""The message of those methods that have none of their own name."""

Map = dict[str, Any]


def urn(kind: str, name: str = "it") -> str:
    """The URN of a resource of the type whose short name is *kind*; others are taken as they are."""
    return f"urn:pulumi:dev::test::{TOKENS.get(kind, kind)}::{name}"


def secret(value: Any) -> Map:
    """*value* marked secret, as the engine marks it."""
    return {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "value": value,
    }


def recorded(*methods: str) -> list[Map]:
    """The recorded calls of *methods* that the official provider answered without an error."""
    calls = map(json.loads, (RECORDINGS / "calls.jsonl").read_text().splitlines())
    return [call for call in calls if call["method"].rpartition("/")[2] in methods and "response" in call]


def recorded_id(call: Map) -> str:
    """A name for a test of the recorded *call*."""
    about = call["request"].get("urn", "").rpartition("::")[2] or call["request"].get("tok", "")
    return f"{call['step']}-{call['method'].rpartition('/')[2]}-{about}"


def without_internals(value: Any) -> Any:
    """*value* without the Terraform bridge's own notes, which this provider does not write."""
    if isinstance(value, dict):
        return {k: without_internals(v) for k, v in value.items() if k != "__pulumi_raw_state_delta"}
    return [without_internals(item) for item in value] if isinstance(value, list) else value


class Client:
    """Requests as dictionaries, in the JSON form of the protocol; answers alike, defaults left out."""

    def __init__(self, stub: ResourceProviderStub) -> None:
        self._stub = stub

    def call(self, method: str, request: Map | None = None) -> Map:
        """Send *request*; the answer as a dictionary."""
        kind = getattr(provider_pb2, _REQUESTS.get(method, f"{method}Request"), Empty)
        answer = getattr(self._stub, method)(json_format.ParseDict(request or {}, kind()))
        return dict(json_format.MessageToDict(answer))

    def check(self, kind: str, news: Map, **more: Any) -> Map:
        """The checked inputs.

        Raises:
            AssertionError: there were failures.
        """
        answer = self.call("Check", {"urn": urn(kind), "news": news, **more})
        assert "failures" not in answer, answer
        return dict(answer["inputs"])

    def failures(self, kind: str, news: Map) -> Map:
        """The reasons by property."""
        answer = self.call("Check", {"urn": urn(kind), "news": news})
        return {failure.get("property", ""): failure["reason"] for failure in answer.get("failures", ())}

    def diff(self, kind: str, old: Map, new: Map) -> Map:
        """The answer to a diff of checked inputs."""
        request = {"id": "x", "urn": urn(kind), "olds": {}, "oldInputs": old, "news": new}
        return self.call("Diff", request)

    def create(self, kind: str, news: Map, **more: Any) -> Map:
        """Check and create; id and properties."""
        inputs = self.check(kind, news)
        return self.call("Create", {"urn": urn(kind), "properties": inputs, **more})

    def read(self, kind: str, resource_id: str, inputs: Map | None = None, state: Map | None = None) -> Map:
        """The answer to a read."""
        request = {"id": resource_id, "urn": urn(kind), "inputs": inputs or {}, "properties": state or {}}
        return self.call("Read", request)

    def delete(self, kind: str, made: Map) -> None:
        """Delete what `create` answered."""
        self.call("Delete", {"id": made["id"], "urn": urn(kind), "properties": made["properties"]})


@contextmanager
def serving(provider: Provider) -> Iterator[Client]:
    """A client of *provider*, served in this process."""
    server = grpc.server(ThreadPoolExecutor(8))
    add_ResourceProviderServicer_to_server(servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(ResourceProviderStub(channel))
    server.stop(None).wait()


def init_failure(error: grpc.RpcError) -> Map:
    """The details of an error that keep a resource in the state.

    Raises:
        AssertionError: the error has none.
    """
    trailers = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in trailers, error
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    return dict(json_format.MessageToDict(detail))
