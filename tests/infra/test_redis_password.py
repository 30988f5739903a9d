"""Any password reaches Redis and its clients as it is."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

import docker
import pytest
import redis
from docker.models.containers import Container

from infra.base_images import Mode, Role, ensure, resolve
from infra.components.redis_store import configuration, url

pytestmark = pytest.mark.integration

PASSWORDS = ["plain", "a b#c@d/e%f:g?h", "back\\slash\"quote'", "  ümlaut & $(id) `id` "]


@pytest.fixture(params=PASSWORDS)
def password(request: pytest.FixtureRequest) -> str:
    """One that an operator may have chosen."""
    return str(request.param)


@pytest.fixture
def server(password: str) -> Iterator[Container]:
    """Redis with the stack's own configuration."""
    image = resolve(Role.REDIS, Mode.AUTO)
    ensure(image, print)
    written = f"printf %s {shlex.quote(configuration(password))} > /tmp/redis.conf"
    container = docker.from_env().containers.run(
        image.name,
        ["bash", "-c", f"{written}; exec redis-server /tmp/redis.conf"],
        entrypoint="",
        detach=True,
        ports={"6379/tcp": ("127.0.0.1", None)},
    )
    yield container
    container.remove(force=True, v=True)


def until_answered(client: redis.Redis) -> None:
    """Until the server, which is just starting, answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_the_url_opens_what_the_configuration_closes(server: Container, password: str) -> None:
    """And no other password does."""
    server.reload()
    port = server.ports["6379/tcp"][0]["HostPort"]
    at_home = url(password).replace("@redis:6379/", f"@127.0.0.1:{port}/")
    until_answered(redis.Redis.from_url(at_home))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host="127.0.0.1", port=int(port), password=password + "x").ping()
