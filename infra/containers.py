"""Commands and files in a stack's containers, through the Docker engine: none publishes a control port."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterable, Iterator

import docker
import requests
from docker.errors import APIError, NotFound, create_api_error_from_http_exception
from docker.models.containers import Container

from infra.errors import Refused

SECRETS_FOLDER = "/run/secrets"
"""Where a release's containers have their secrets, each in a file of its name."""

_SILENT_S = 120
"""No command of ours is silent for so long: then the engine, or the way to it, is gone."""


class ContainerGone(Refused):
    """The container does not exist (any more)."""


class ContainerExec:
    """One container by its name; commands run as *user* (uid), or as the container's own user."""

    def __init__(self, name: str, user: str = "", engine: docker.DockerClient | None = None) -> None:
        self.name = name
        self._user = user
        self._engine = engine or docker.from_env()

    def run(self, command: list[str]) -> tuple[int, str]:
        """Run *command*; its exit code and all that it printed.

        Raises:
            ContainerGone, Refused: there is no such container, or it does not run (to the command's end).
        """
        try:
            code, output = self._exec(self._container(), command)
        except APIError as error:
            raise Refused(f"container {self.name} does not run: {error.explanation}") from error
        if code is None:
            raise Refused(f"container {self.name} ended while `{command[0]}` ran in it")
        return code, output.decode(errors="replace")

    def read_file(self, path: str) -> str | None:
        """The text of a file, in a container that need not run; None where there is no such file.

        Raises:
            ContainerGone, Refused: there is no such container, or the engine is just removing it.
        """
        container = self._container()
        try:
            chunks, _ = container.get_archive(path)
            content = io.BytesIO(b"".join(chunks))
        except NotFound:
            return None
        except APIError as error:
            raise Refused(f"container {self.name}: {path} cannot be read: {error.explanation}") from error
        with tarfile.open(fileobj=content) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            return None if file is None else file.read().decode(errors="replace")

    def _exec(self, container: Container, command: list[str]) -> tuple[int | None, bytes]:
        """The exit code, None of a command that the engine lost, and the output.

        The SDK's `exec_run` has the connection upgraded, and then loses what came together with the answer's
        head, often all of it (docker-py's issue 3332). So the engine is asked for a plain answer.
        """
        api = self._engine.api
        run = api.exec_create(container.id, command, user=self._user)["Id"]
        answer = api.post(
            f"{api.base_url}/v{api.api_version}/exec/{run}/start",
            json={"Detach": False, "Tty": False},
            timeout=_SILENT_S,
        )
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            raise create_api_error_from_http_exception(error) from error
        return api.exec_inspect(run)["ExitCode"], b"".join(_frames(answer.content))

    def _container(self) -> Container:
        try:
            return self._engine.containers.get(self.name)
        except NotFound as error:
            raise ContainerGone(f"there is no container {self.name}") from error


def _frames(stream: bytes) -> Iterator[bytes]:
    """What the command wrote, to either output: each write has a head of 8 bytes, the last 4 its length."""
    while len(stream) > 8:  # less is left where the connection was cut
        (length,) = struct.unpack(">4xI", stream[:8])
        yield stream[8 : 8 + length]
        stream = stream[8 + length :]


def read_secret(containers: Iterable[str], name: str) -> str | None:
    """A release's secret, as the first of its *containers* has it that is there; None where none has it."""
    for container in containers:
        try:
            return ContainerExec(container).read_file(f"{SECRETS_FOLDER}/{name}")
        except Refused:
            continue
    return None
