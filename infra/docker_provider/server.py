"""The provider's requests: each is decoded, handed to the resource's type, and answered.

Secrets are accepted from the engine, so it is known exactly which values are secret: they are marked again in
every answer and blotted out of every error.
"""

from __future__ import annotations

import threading
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from infra.docker_provider import catalogue, wire
from infra.docker_provider.answers import answered, redacted
from infra.docker_provider.check import Failure
from infra.docker_provider.diff import Change
from infra.docker_provider.engine import Engine
from infra.docker_provider.naming import unique_name
from infra.docker_provider.resource import Properties

VERSION = "5.2.0"
"""The version of the official provider that this one stands in for."""

_CONFIG = frozenset({"host", "version", "pluginDownloadURL", "disableDockerDaemonCheck"})
_NAMING_OFF = provider_pb2.CheckRequest.AutonamingOptions.DISABLE
_Diff = provider_pb2.DiffResponse
_Kind = provider_pb2.PropertyDiff.Kind


class Provider:
    """Serves `docker:*` resources."""

    def __init__(self) -> None:
        self._engine = Engine()
        self.cancelled = threading.Event()

    def plugin_info(self, _request: Any) -> Any:
        """The version that the engine shows."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def check_config(self, request: Any) -> Any:
        """Refuse settings that this provider would not follow."""
        refused = [
            Failure(name, f"is not supported by this provider, which has {', '.join(sorted(_CONFIG))}")
            for name in request.news.fields
            if name not in _CONFIG
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(refused, request))

    def diff_config(self, request: Any) -> Any:
        """A change of settings never replaces resources: a new host is taken to be the same engine."""
        old, new = wire.decode(request.old_inputs), wire.decode(request.news)
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return _Diff(diffs=changed, changes=_Diff.DIFF_SOME) if changed else _Diff()

    def configure(self, request: Any) -> Any:
        """Take the settings. No engine is asked yet: a run that changes nothing needs none."""
        self._engine = Engine(wire.reveal(wire.decode(request.args)).get("host"))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def check(self, request: Any) -> Any:
        """Validate a program's inputs and fill in their defaults."""
        resource = catalogue.resource(request.urn)
        news, olds = wire.decode(request.news), wire.decode(request.olds)
        inputs, failures = resource.check(wire.reveal(news), wire.reveal(olds), _made_up_name(request))
        return provider_pb2.CheckResponse(
            inputs=wire.encode(wire.conceal(inputs, news)), failures=_failures(failures, request)
        )

    def diff(self, request: Any) -> Any:
        """What changed from the old inputs to the new ones; never asks the engine."""
        resource = catalogue.resource(request.urn)
        old, new = _plain(request.old_inputs), _plain(request.news)
        changes = resource.diff(old, new)
        replaced = {change.property for change in changes if change.replaces}
        return _Diff(
            changes=_Diff.DIFF_SOME if changes else _Diff.DIFF_NONE,
            diffs=sorted({change.property for change in changes}),
            replaces=sorted(replaced),
            stables=resource.stable(replaced),
            deleteBeforeReplace=bool(replaced) and resource.must_delete_first(old, new),
            detailedDiff={change.path: provider_pb2.PropertyDiff(kind=_kind(change)) for change in changes},
            hasDetailedDiff=True,
        )

    def create(self, request: Any) -> Any:
        """Make a resource, or foresee its outputs in a preview."""
        resource = catalogue.resource(request.urn)
        given = wire.decode(request.properties)
        inputs = wire.reveal(given)
        if request.preview:
            foreseen = wire.conceal(resource.foresee(inputs), given)
            return provider_pb2.CreateResponse(properties=wire.encode(foreseen))
        made = resource.create(self._engine, inputs)
        return provider_pb2.CreateResponse(
            id=made.id, properties=wire.encode(wire.conceal(made.outputs, given))
        )

    def read(self, request: Any) -> Any:
        """A resource as it is now, for a refresh or (without inputs) an import. Gone is an empty answer."""
        resource = catalogue.resource(request.urn)
        given, state = wire.decode(request.inputs), wire.decode(request.properties)
        found = resource.read(self._engine, request.id, wire.reveal(given) if given else None)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.id,
            properties=wire.encode(wire.conceal(found.outputs, given, state)),
            inputs=wire.encode(wire.conceal(found.inputs, given)),
        )

    def update(self, request: Any) -> Any:
        """Change a resource in place, or foresee its outputs in a preview."""
        resource = catalogue.resource(request.urn)
        given = wire.decode(request.news)
        new = wire.reveal(given)
        if request.preview:
            outputs = resource.foresee_update(_plain(request.olds), new)
        else:
            outputs = resource.update(self._engine, request.id, _plain(request.old_inputs), new)
        return provider_pb2.UpdateResponse(properties=wire.encode(wire.conceal(outputs, given)))

    def delete(self, request: Any) -> Any:
        """Remove a resource; one that is gone already is fine."""
        catalogue.resource(request.urn).delete(self._engine, request.id, _plain(request.properties))
        return Empty()

    def invoke(self, request: Any) -> Any:
        """Run a function such as `getNetwork`."""
        result = catalogue.invoke(self._engine, request.tok, _plain(request.args))
        return provider_pb2.InvokeResponse(**{"return": wire.encode(result)})

    def end(self, _request: Any) -> Any:
        """End all waits; what is being done at the engine is finished."""
        self.cancel()
        return Empty()

    def cancel(self) -> None:
        """End all waits, and let the process end."""
        self._engine.cancelled.set()
        self.cancelled.set()


def servicer(provider: Provider) -> ResourceProviderServicer:
    """The gRPC service of *provider*.

    `Handshake`, and what else it lacks, is answered Unimplemented, as the official provider does.
    """
    service = ResourceProviderServicer()
    for name, handler in {
        "GetPluginInfo": provider.plugin_info,
        "CheckConfig": provider.check_config,
        "DiffConfig": provider.diff_config,
        "Configure": provider.configure,
        "Check": provider.check,
        "Diff": provider.diff,
        "Create": provider.create,
        "Read": provider.read,
        "Update": provider.update,
        "Delete": provider.delete,
        "Invoke": provider.invoke,
        "Cancel": provider.end,
    }.items():
        setattr(service, name, answered(handler))
    return service


def _plain(properties: Struct) -> Properties:
    return dict(wire.reveal(wire.decode(properties)))


def _made_up_name(request: Any) -> str | None:
    """The name for a resource that was given none; None where the stack's settings forbid making names up."""
    if request.HasField("autonaming"):
        return None if request.autonaming.mode == _NAMING_OFF else request.autonaming.proposed_name
    logical_name = request.name or request.urn.split("::")[-1]
    return unique_name(logical_name, request.randomSeed)


def _failures(failures: list[Failure], request: Any) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=failure.path, reason=redacted(failure.reason, request))
        for failure in failures
    ]


def _kind(change: Change) -> Any:
    return _Kind.Value(change.kind.upper() + ("_REPLACE" if change.replaces else ""))
