"""The provider under test, and a real engine with a tiny image for those tests that need one."""

from __future__ import annotations

import io
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from provider_client import Client, serving

from infra.docker_provider.server import Provider
from infra.file_lock import held

_APPLETS = ("sh", "sleep", "httpd", "true", "false", "cat", "echo", "ls", "stat", "wget", "env", "trap")


@pytest.fixture
def provider() -> Provider:
    """A provider that has asked no engine yet."""
    return Provider()


@pytest.fixture
def client(provider: Provider) -> Iterator[Client]:
    """A client of the provider, over gRPC."""
    with serving(provider) as client:
        yield client


@pytest.fixture(scope="session")
def api() -> Iterator[Any]:
    """The engine, through docker-py."""
    client = docker.from_env()
    yield client.api
    client.close()


@pytest.fixture(scope="session")
def image(api: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A name of an image that holds a static busybox and nothing else."""
    name = f"provider-test-{secrets.token_hex(4)}:1"
    busybox = _busybox(tmp_path_factory.mktemp("busybox"))
    repository, _, tag = name.partition(":")
    api.import_image_from_data(_root_file_system(busybox), repository=repository, tag=tag)
    yield name
    api.remove_image(name, force=True)


@pytest.fixture
def prefix(api: Any) -> Iterator[str]:
    """A start of names that nothing else has; whatever is left under it is removed after the test."""
    prefix = f"pt-{secrets.token_hex(4)}"
    yield prefix
    for container in api.containers(all=True, filters={"name": prefix}):
        api.remove_container(container["Id"], force=True, v=True)
    for network in api.networks(names=[prefix]):
        api.remove_network(network["Id"])
    for volume in api.volumes(filters={"name": prefix})["Volumes"] or ():
        api.remove_volume(volume["Name"], force=True)
    for tags in (image["RepoTags"] or () for image in api.images()):
        for tag in (tag for tag in tags if tag.startswith(prefix)):
            api.remove_image(tag, force=True)


def _busybox(folder: Path) -> Path:
    """A static busybox, unpacked from Debian's package; nothing is installed."""
    download = ["apt-get", "download", "-qq", "busybox-static"]
    if subprocess.run(download, cwd=folder, check=False, capture_output=True).returncode != 0:
        # A new machine has no lists of packages. Two runs at once would be in each other's way.
        with held(Path(tempfile.gettempdir()) / "runbook-apt-lists.lock"):
            subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        subprocess.run(download, cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return next(path for path in folder.glob("**/bin/busybox"))


def _root_file_system(busybox: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for folder in ("tmp", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
    return buffer.getvalue()
