"""The Docker engine: one client for all requests, and its errors in our words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from infra.docker_provider.failures import InUse, NotThere, ProviderError

T = TypeVar("T")

Api = Any
"""docker-py's `APIClient`, half of whose methods have no types. Importing it takes 0.1 s: when needed."""

POLL_S = 0.2
_CONNECTIONS = 16
_ANSWER_WITHIN_S = 180
_RELEASE_WITHIN_S = 5.0
"""How long a thing may still be held by what was just removed, before that counts as a failure."""


class Engine:
    """The engine at *host* (like `unix:///run/docker.sock`), or the one that the environment names.

    The connection is made by the first call, so that a run that changes nothing never needs an engine.
    """

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._client: Api = None
        self._connecting = threading.Lock()
        self.cancelled = threading.Event()

    def call(self, doing: str, what: Callable[[Api], T]) -> T:
        """Run *what* with the client; *doing* begins the error's text.

        Raises:
            NotThere: the engine does not know the thing.
            InUse: the thing is in use, or its name is taken.
            ProviderError: any other refusal, or no engine.
        """
        from docker import errors
        from requests import exceptions

        try:
            return what(self._connected())
        except errors.APIError as error:
            raise _failure(doing, error) from None
        except (errors.DockerException, exceptions.RequestException) as error:
            raise ProviderError(f"{doing}: {_one_line(str(error))}") from None

    def remove(self, doing: str, what: Callable[[Api], object]) -> None:
        """Remove something by *what*; already gone is fine, and what still holds it gets a moment to let go.

        Raises:
            InUse: it is held by something that stays.
        """
        deadline = time.monotonic() + _RELEASE_WITHIN_S
        while True:
            try:
                self.call(doing, what)
            except NotThere:
                return
            except InUse:
                if time.monotonic() > deadline or self.pause():
                    raise
            else:
                return

    def pause(self) -> bool:
        """Wait until the next look at the engine; True when the run was cancelled meanwhile."""
        return self.cancelled.wait(POLL_S)

    def _connected(self) -> Api:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Api:
        import docker
        from docker import errors

        options: Any = {"max_pool_size": _CONNECTIONS, "version": "auto", "timeout": _ANSWER_WITHIN_S}
        try:
            if self._host:
                return docker.DockerClient(
                    base_url=self._host, max_pool_size=_CONNECTIONS, version="auto"
                ).api
            return docker.from_env(**options).api
        except errors.DockerException as error:
            where = f"at {self._host}" if self._host else "where DOCKER_HOST or the default socket points"
            raise ProviderError(
                f"no Docker engine answers {where}: {_one_line(str(error))}",
                "start the engine, or set DOCKER_HOST or the provider's `host`",
            ) from None


def _failure(doing: str, error: object) -> ProviderError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    text = f"{doing}: {_one_line(getattr(error, 'explanation', None) or str(error))}"
    # 403 is what the engine answers for a network that containers are attached to.
    kinds = {404: NotThere, 409: InUse, 403: InUse}
    return kinds.get(status or 0, ProviderError)(text)


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
