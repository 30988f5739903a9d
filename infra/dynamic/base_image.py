"""A base image made on this engine from Debian packages, for where no registry can be reached."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from infra.base_images import BaseImage, Origin, Role, ensure


class BaseImageProvider(ResourceProvider):
    """Makes the image where it is missing; leaves it behind, since other stacks use it too."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the image named in *props*, unless the engine has it."""
        image = BaseImage(Role(props["role"]), props["image"], Origin(props["origin"]))
        ensure(image, pulumi.log.info)
        return CreateResult(image.name, {**props})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never: the name is content-addressed, so another content is another resource."""
        return DiffResult(changes=_olds["image"] != _news["image"], replaces=["image"])


class MadeImage(Resource):
    """The base image of one role; `image` is its name."""

    image: pulumi.Output[str]

    def __init__(self, image: BaseImage, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            BaseImageProvider(),
            f"base-{image.role}",
            {"role": str(image.role), "image": image.name, "origin": str(image.origin)},
            opts,
        )
