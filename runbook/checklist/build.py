"""Whether the release's image builds from the sources as they are, and its modules can be imported there."""

from __future__ import annotations

import os

import docker
from docker.errors import BuildError, ContainerError, ImageNotFound

from infra.base_images import Role, resolve
from infra.manifest import BUILD, REPOSITORY, packages_context, snapshot
from infra.plan import Packages
from infra.python_site import ensure_site
from runbook.checklist.line import Failed, Skipped
from runbook.layout import layout_of

_IMPORTS = "import service.__main__, service.wiring.web, service.wiring.worker, service.wiring.operating"
_LAST = 300


def build(stack: str, engine: docker.DockerClient | None = None) -> str:
    """Build the image as an update would, under a name of its own, and remove it.

    Raises:
        Skipped: the image that it is built on is not there; making that takes minutes, which `up` spends.
        Failed: it does not build, or does not import.
    """
    if not any(BUILD.glob("site-*")):
        raise Skipped(
            "the packages of service/requirements.lock are not fetched yet: `bin/runbook up` does it"
        )
    site = ensure_site(REPOSITORY / "service/requirements.lock")
    base = Packages.of(resolve(Role.PYTHON, layout_of(stack).images), packages_context(site)).name
    engine = engine or docker.from_env()
    try:
        engine.images.get(base)
    except ImageNotFound:
        raise Skipped(
            f"the engine has no {base} yet, on which it is built: `bin/runbook up` makes it"
        ) from None
    context = snapshot("service", site)
    # By its name alone: the same content may be the image of a release, which must stay.
    name = f"runbook/service:check-{os.getpid()}"
    try:
        engine.images.build(path=str(context), tag=name, buildargs={"BASE": base}, rm=True, forcerm=True)
        engine.containers.run(name, ["python3", "-c", _IMPORTS], remove=True, network_disabled=True)
    except BuildError as error:
        raise Failed(f"the image does not build: {error.msg.strip()[-_LAST:]}") from error
    except ContainerError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else str(error.stderr)
        last = said.strip().splitlines()[-1:]
        raise Failed(f"the image's modules do not import: {''.join(last)[-_LAST:]}") from error
    finally:
        _remove(engine, name)
    return f"{context.name} builds on {base} and imports"


def _remove(engine: docker.DockerClient, name: str) -> None:
    try:
        engine.images.remove(name)
    except ImageNotFound:
        return
