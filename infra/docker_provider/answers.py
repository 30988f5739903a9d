"""From a handler to a gRPC method: its failures become one clear error, without secrets or a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, status_pb2

from infra.docker_provider import wire
from infra.docker_provider.failures import InitFailed, ProviderError
from infra.docker_provider.resource import Properties

Handler = Callable[[Any], Any]


def answered(handler: Handler) -> Callable[[Any, grpc.ServicerContext], Any]:
    """The gRPC method that *handler* makes."""

    def method(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(request)
        except InitFailed as failure:
            text = redacted(str(failure), request)
            context.set_trailing_metadata((_details(failure, text, request),))
        except ProviderError as failure:
            text = redacted(str(failure), request)
        except Exception as failure:  # the last line: an operator must not read a traceback
            what = f"{type(failure).__name__}: {failure}"
            text = redacted(f"the docker provider failed in {handler.__name__}: {what}", request)
        return context.abort(grpc.StatusCode.UNKNOWN, text)

    return method


def _details(failure: InitFailed, text: str, request: Any) -> tuple[str, bytes]:
    """What makes the engine keep the resource in the state, with what went wrong."""
    outputs = wire.encode(wire.conceal(failure.outputs, *_property_maps(request)))
    failed = provider_pb2.ErrorResourceInitFailed(id=failure.resource_id, properties=outputs, reasons=[text])
    detail = Packed()
    detail.Pack(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text, details=[detail])
    return "grpc-status-details-bin", status.SerializeToString()


def redacted(text: str, request: Any) -> str:
    """*text* without what is marked secret in the request."""
    secrets = (secret for properties in _property_maps(request) for secret in wire.secret_texts(properties))
    return wire.without_secrets(text, secrets)


def _property_maps(request: Any) -> Iterator[Properties]:
    """Every property map of the request, decoded."""
    for descriptor, value in request.ListFields():
        if descriptor.message_type and descriptor.message_type.full_name == Struct.DESCRIPTOR.full_name:
            yield wire.decode(value)
