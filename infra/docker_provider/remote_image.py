"""`docker:index/remoteImage:RemoteImage`: an image pulled from a registry, or built from a folder."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from infra.docker_provider import outputs
from infra.docker_provider.check import DEFAULTS
from infra.docker_provider.engine import Engine
from infra.docker_provider.failures import InUse, NotThere, ProviderError
from infra.docker_provider.resource import Found, Made, Properties, Resource

_DIGEST_LENGTH = len("sha256:") + 64
_LAST_LINES = 8
_CLASSIC_ONLY = "the engine's classic builder does not have it"

_BUILD_ARGUMENTS = {
    "buildArgs": "buildargs",
    "cacheFroms": "cache_from",
    "dockerfile": "dockerfile",
    "extraHosts": "extra_hosts",
    "forceRemove": "forcerm",
    "isolation": "isolation",
    "labels": "labels",
    "networkMode": "network_mode",
    "noCache": "nocache",
    "platform": "platform",
    "pullParent": "pull",
    "remove": "rm",
    "shmSize": "shmsize",
    "squash": "squash",
    "target": "target",
}
"""Properties of `build`, and the arguments of docker-py's `build` that they become."""

_BUILD_LIMITS = {
    "memory": "memory",
    "memorySwap": "memswap",
    "cpuShares": "cpushares",
    "cpuSetCpus": "cpusetcpus",
}

_BUILD_UNSUPPORTED = (
    "additionalContexts",
    "authConfigs",
    "buildId",
    "buildLogFile",
    "builder",
    "cacheTos",
    "cgroupParent",
    "cpuPeriod",
    "cpuQuota",
    "cpuSetMems",
    "label",
    "provenance",
    "remoteContext",
    "sbom",
    "secrets",
    "securityOpts",
    "sessionId",
    "suppressOutput",
    "ulimits",
    "version",
)


class RemoteImage(Resource):
    """An image under a name. Its id is the image's digest followed by the name, as officially."""

    token = "docker:index/remoteImage:RemoteImage"  # noqa: S105 - a type's name
    unsupported: ClassVar = {f"build.{name}": _CLASSIC_ONLY for name in _BUILD_UNSUPPORTED}

    def create(self, engine: Engine, inputs: Properties) -> Made:
        """Build the image, or pull it unless the engine has it already."""
        name = inputs["name"]
        if inputs.get("build"):
            _build(engine, name, inputs["build"])
        else:
            ensure(engine, f"image {name}", name, inputs.get("platform"))
        return self._made(inputs, _inspect(engine, name))

    def _made(self, inputs: Properties, seen: Mapping[str, Any], *, refreshed: bool = False) -> Made:
        name = inputs["name"]
        found = {"id": seen["Id"] + name, "imageId": seen["Id"], "repoDigest": _repo_digest(name, seen)}
        return Made(found["id"], outputs.assemble(self.facts, inputs, found, refreshed=refreshed))

    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The image that the name stands for now."""
        given = inputs if inputs is not None else {"name": resource_id[_DIGEST_LENGTH:], DEFAULTS: []}
        try:
            made = self._made(given, _inspect(engine, str(given["name"])), refreshed=True)
        except NotThere:
            return None
        return Found(made.id, made.outputs, given)

    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Only how the image is removed changes in place."""
        return self._made(new, _inspect(engine, new["name"])).outputs

    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Remove the image, unless it is to be kept.

        When the name has moved on to a newer image, only the old image goes: its name is the newer one's now.
        """
        if properties.get("keepLocally"):
            return
        name, image_id = properties["name"], properties["imageId"]
        target = name if _has_name(engine, name, image_id) else image_id
        force = bool(properties.get("forceRemove"))
        try:
            with contextlib.suppress(NotThere):
                engine.call(
                    f"image {name}: cannot be removed", lambda api: api.remove_image(target, force=force)
                )
        except InUse as error:
            hint = "remove that container first, or set keepLocally and give each content a tag of its own"
            raise InUse(error.message, hint) from None


def ensure(engine: Engine, whose: str, name: str, platform: str | None = None) -> None:
    """Pull the image *name* unless the engine has it; *whose* begins the error's text.

    Raises:
        ProviderError: it is not there and cannot be pulled.
    """
    try:
        _inspect(engine, name)
    except NotThere:
        doing = f"{whose}: image {name} is not on the engine and cannot be pulled"
        repository, tag = _reference(name)
        engine.call(
            doing,
            lambda api: _follow(
                doing, api.pull(repository, tag, platform=platform, stream=True, decode=True)
            ),
        )


def _reference(name: str) -> tuple[str, str | None]:
    """The name and the tag to pull: without a tag, the engine would pull all there are."""
    repository, colon, tag = name.rpartition(":")
    if "@" in name or (colon and "/" not in tag):
        return (name, None) if "@" in name else (repository, tag)
    return name, "latest"


def _inspect(engine: Engine, name: str) -> Mapping[str, Any]:
    return engine.call(f"image {name}: cannot be read", lambda api: api.inspect_image(name))


def _has_name(engine: Engine, name: str, image_id: str) -> bool:
    try:
        return bool(_inspect(engine, name)["Id"] == image_id)
    except NotThere:
        return False


def _repo_digest(name: str, seen: Mapping[str, Any]) -> str:
    repository = _reference(name)[0].partition("@")[0]
    return next(
        (digest for digest in seen.get("RepoDigests") or () if digest.startswith(f"{repository}@")), ""
    )


def _build(engine: Engine, name: str, build: Properties) -> None:
    context = Path(build["context"]).expanduser().resolve()
    if not context.is_dir():
        raise ProviderError(f"image {name}: the build context {build['context']} is not a folder")
    for tag in dict.fromkeys([name, *build.get("tags", ())]):
        _build_tag(engine, tag, build, context)


def _build_tag(engine: Engine, tag: str, build: Properties, context: Path) -> None:
    """Build under *tag*; for a second tag everything comes from the builder's cache."""
    doing = f"image {tag}: cannot be built from {build['context']}"
    arguments = _build_arguments(build) | {"path": str(context), "tag": tag, "decode": True}
    engine.call(doing, lambda api: _follow(doing, api.build(**arguments)))


def _build_arguments(build: Properties) -> dict[str, Any]:
    given = {_BUILD_ARGUMENTS[name]: value for name, value in build.items() if name in _BUILD_ARGUMENTS}
    limits = {_BUILD_LIMITS[name]: value for name, value in build.items() if name in _BUILD_LIMITS}
    return given | ({"container_limits": limits} if limits else {})


def _follow(doing: str, progress: Iterable[Mapping[str, Any]]) -> None:
    """Read what a build or a pull says, to its end.

    Raises:
        ProviderError: it failed; the text has the build's step and the last lines that it wrote.
    """
    step, lines = "", deque[str](maxlen=_LAST_LINES)
    for event in progress:
        for line in _lines(event):
            step = line if line.startswith("Step ") else step
            lines.append(line)
        if "error" in event:
            output = "".join(f"\n  | {line}" for line in lines if line != step)
            raise ProviderError(f"{doing}: {step and f'{step}: '}{event['error'].strip()}{output}")


def _lines(event: Mapping[str, Any]) -> Iterator[str]:
    yield from (line.rstrip() for line in event.get("stream", "").splitlines() if line.strip())
