"""Commands inside a stack's containers, through the Docker engine: none of them publishes a control port."""

from __future__ import annotations

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from infra.errors import Refused


class ContainerGone(Refused):
    """The container does not exist (any more)."""


class Inside:
    """One container by its name; commands run as *user* (uid), or as the container's own user."""

    def __init__(self, name: str, user: str = "") -> None:
        self.name = name
        self._user = user
        self._client = docker.from_env()

    def run(self, command: list[str]) -> tuple[int, str]:
        """Run *command*; its exit code and all that it printed.

        Raises:
            ContainerGone, Refused: there is no such container, or it does not run.
        """
        try:
            code, output = self._container().exec_run(command, user=self._user)
            assert isinstance(output, bytes)  # neither streamed nor split
        except APIError as error:
            raise Refused(f"container {self.name} does not run: {error.explanation}") from error
        return int(code or 0), output.decode(errors="replace")

    def signal(self, name: str) -> None:
        """Send its first process a signal, for example `SIGUSR2`."""
        self._container().kill(name)

    def _container(self) -> Container:
        try:
            return self._client.containers.get(self.name)
        except NotFound as error:
            raise ContainerGone(f"there is no container {self.name}") from error
