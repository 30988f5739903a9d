"""`python -m infra.docker_provider`: a Pulumi plugin that prints its port and serves until told to stop."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

_REQUESTS_AT_ONCE = 64
"""Above what the engine runs in parallel, so that a cancel is heard while all others wait."""
_LARGEST_MESSAGE = 400 * 1024 * 1024
_FINISH_WITHIN_S = 600.0
_LOOK_S = 1.0


def main() -> None:
    """Serve on a free port of the loopback interface.

    Ends on SIGINT, SIGTERM, a cancel, or when the process that started it is gone; requests that run then are
    finished.
    """
    parent = os.getppid()
    _leave_out_the_sdk()
    from infra.docker_provider.server import Provider

    provider = Provider()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: provider.cancel())
    server = _serve(provider)
    while not provider.cancelled.wait(_LOOK_S) and os.getppid() == parent:
        pass
    provider.cancel()
    server.stop(_FINISH_WITHIN_S).wait()


def _leave_out_the_sdk() -> None:
    """Make `pulumi.runtime.proto` importable without running the packages above it.

    Only the protocol's stubs are needed here; importing the SDK for them takes a third of the start-up time.
    """
    for name in ("pulumi", "pulumi.runtime"):
        if spec := importlib.util.find_spec(name):
            sys.modules[name] = importlib.util.module_from_spec(spec)


def _serve(provider: Any) -> grpc.Server:
    from pulumi.runtime.proto.provider_pb2_grpc import add_ResourceProviderServicer_to_server

    from infra.docker_provider.server import servicer

    server = grpc.server(
        ThreadPoolExecutor(_REQUESTS_AT_ONCE),
        options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE), ("grpc.max_send_message_length", -1)],
    )
    add_ResourceProviderServicer_to_server(servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    return server


if __name__ == "__main__":
    main()
