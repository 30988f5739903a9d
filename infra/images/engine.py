"""What the choice of base images asks of a container engine, and the Docker engine that answers."""

from __future__ import annotations

import contextlib
import datetime
from functools import cached_property
from typing import Protocol

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

_REGISTRY_ANSWERS_WITHIN_S = 5
_LONGEST_PULL_S = 600


class ImageEngine(Protocol):
    """An engine that holds images."""

    def has(self, name: str) -> bool:
        """Whether the image is in the engine."""
        ...

    def names(self, repository: str) -> list[str]:
        """The names, with tags, of the images of *repository* in the engine."""
        ...

    def created(self, name: str) -> datetime.datetime:
        """When the content of an image in the engine was put together."""
        ...

    def pull(self, name: str) -> bool:
        """Fetch the image; False, within seconds, where its registry cannot be reached."""
        ...

    def pinned(self, name: str) -> str:
        """The name of an image in the engine that can never mean another."""
        ...


class DockerImages:
    """The Docker engine that the environment names. Nothing is opened before the first question."""

    @cached_property
    def client(self) -> docker.DockerClient:
        """The SDK's client, patient enough for a pull."""
        return docker.from_env(timeout=_LONGEST_PULL_S)

    def has(self, name: str) -> bool:
        """Whether the image is in the engine."""
        try:
            self.client.images.get(name)
        except ImageNotFound:
            return False
        return True

    def names(self, repository: str) -> list[str]:
        """The names, with tags, of the images of *repository* in the engine."""
        listed = self.client.api.images(repository)
        return [name for image in listed for name in image.get("RepoTags") or ()]

    def created(self, name: str) -> datetime.datetime:
        """When the content of an image in the engine was put together."""
        return datetime.datetime.fromisoformat(self.client.images.get(name).attrs["Created"][:19] + "+00:00")

    def pull(self, name: str) -> bool:
        """Fetch the image. The manifest is asked for first: that has a deadline, a pull has none."""
        try:
            docker.from_env(timeout=_REGISTRY_ANSWERS_WITHIN_S).images.get_registry_data(name)
            self.client.images.pull(name)
        except (APIError, DockerException, requests.RequestException):
            return False
        return True

    def pinned(self, name: str) -> str:
        """The image's name by digest, or its id where no registry gave it one."""
        image = self.client.images.get(name)
        digests: list[str] = image.attrs.get("RepoDigests") or []
        return digests[0] if digests else str(image.id)

    def tag(self, name: str, alias: str) -> None:
        """Let *alias* name the image too."""
        self.client.images.get(name).tag(alias)

    def remove(self, name: str) -> None:
        """Remove the image, unless something uses it."""
        with contextlib.suppress(APIError):
            self.client.images.remove(name)
