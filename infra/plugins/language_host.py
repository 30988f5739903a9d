"""Pulumi's language host for Python: the SDK's own `LanguageServer` with the project's program in it.

Unlike the official host, it does not put the program's folder on `sys.path` (the project is installed), and
runs preview and update in one process, so that modules are imported once.
"""

from __future__ import annotations

import os
import platform
import runpy
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent import futures
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from infra.errors import Refused


def run_program(path: Path) -> None:
    """Run the program at *path*, a file or a folder with a `__main__.py`.

    Raises:
        pulumi.RunError: what the user is to read: a refusal's message, or the program's part of a traceback.
    """
    script = path / "__main__.py" if path.is_dir() else path
    if not script.is_file():
        raise pulumi.RunError(f"there is no program at {script}")
    try:
        runpy.run_path(str(script), run_name="__main__")
    except pulumi.RunError:
        raise
    except Refused as refusal:
        raise pulumi.RunError(str(refusal)) from None
    except SystemExit as end:
        raise pulumi.RunError(f"the program ended itself: sys.exit({end.code!r})") from None
    except Exception as error:
        raise pulumi.RunError(f"the program failed:\n{_own_traceback(error, script)}") from None


def _own_traceback(error: Exception, script: Path) -> str:
    """The traceback from *script* on; a syntax error in it has no frames of its own."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != str(script):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


class LanguageHost(LanguageServer):
    """Answers the engine for one project."""

    def __init__(self, engine: str) -> None:
        """*engine*: its address, where the program's log goes; without it the log would be text on stderr."""
        super().__init__(program=lambda: None)
        self._engine = engine
        self._one_at_a_time = threading.Lock()

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """We need nothing of the engine's."""
        return language_pb2.LanguageHandshakeResponse()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run the program. A failure is logged when this returns: the engine is not to say it again."""
        with self._one_at_a_time:
            os.chdir(request.pwd)
            program = Path(request.info.program_directory, request.info.entry_point)
            self.program = lambda: run_program(program)
            request.args[:] = [self._engine]  # where the Automation API's own engine says it
            response = super().Run(request, context)  # type: ignore[no-untyped-call]
        if response.error:
            response.bail = True
            response.error = ""
        return response

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The version of the SDK that this host is made of."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def InstallDependencies(self, _request: Any, _context: Any) -> Iterator[Any]:  # noqa: N802
        """Nothing to install: the launcher of the project did."""
        yield language_pb2.InstallDependenciesResponse(stdout=b"bin/runbook keeps .venv up to date\n")

    def RuntimeOptionsPrompts(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """No options to ask for."""
        return language_pb2.RuntimeOptionsResponse()

    def GetProgramDependencies(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Pulumi's own packages among those installed (`pulumi about` lists them)."""
        found = ((str(each.metadata["Name"]), each.version) for each in metadata.distributions())
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version in sorted(set(found))
                if name.startswith("pulumi")
            ]
        )

    def About(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The Python that runs the program."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The engine ends us when it has put things in order."""
        return empty_pb2.Empty()


def main() -> None:
    """Serve until the engine ends us; the port is the first line on stdout."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=_GRPC_CHANNEL_OPTIONS)
    host = LanguageHost(engine=sys.argv[-1])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
