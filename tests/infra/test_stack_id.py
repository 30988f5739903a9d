"""What the engine has of a stack tells whose it is, and what its releases are, whatever the state says."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from fake_docker_api import FakeDocker, fake_docker
from records import manifest

from infra.dynamic.stack_id import StackIdProvider, refuse_foreign
from infra.errors import Refused
from infra.observed import observe_stack

LABELS = {"runbook.stack": "dev", "runbook.state": "one"}


@pytest.fixture
def engine() -> Iterator[FakeDocker]:
    """An engine with nothing on it."""
    with fake_docker() as engine:
        yield engine


def client(engine: FakeDocker) -> docker.DockerClient:
    """The SDK's client of it."""
    return docker.DockerClient(engine.host, version="1.41")


def test_an_engine_without_such_a_stack_is_taken(engine: FakeDocker) -> None:
    """Other stacks do not matter."""
    engine.run("runbook-dev-2-proxy", Config={"Labels": {"runbook.stack": "dev-2"}})
    refuse_foreign("dev", client(engine))


def test_a_stack_that_this_state_does_not_know_is_left_alone(engine: FakeDocker) -> None:
    """Before anything is made: by its containers' names, with what to do."""
    for number in range(4):
        engine.run(f"runbook-dev-web-{number}", Config={"Labels": LABELS})
    with pytest.raises(Refused, match=r"has a stack dev that is not in this checkout's state: .*-0, .* …"):
        refuse_foreign("dev", client(engine))


def test_the_id_is_made_once(monkeypatch: pytest.MonkeyPatch, engine: FakeDocker) -> None:
    """For a state that knows its stack without asking anybody: an older version made it."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    engine.run("runbook-dev-proxy", Config={"Labels": {"runbook.stack": "dev"}})
    made = StackIdProvider().create({"stack": "dev", "is_known": True})
    assert len(made.outs["value"]) == 16  # type: ignore[index]
    assert StackIdProvider().create({"stack": "dev", "is_known": True}).outs != made.outs
    assert not StackIdProvider().diff("x", {"is_known": False}, {"is_known": True}).changes
    with pytest.raises(Refused):
        StackIdProvider().create({"stack": "dev", "is_known": False})


def test_containers_tell_what_their_release_is(engine: FakeDocker) -> None:
    """By their labels; one that an older version made, or that is no release's, tells nothing."""
    release = {"runbook.release": "r-1", "runbook.manifest": manifest("r-1").model_dump_json()}
    engine.run("web-2", Config={"Labels": LABELS | release | {"runbook.role": "web"}})
    engine.run("web-1", Config={"Labels": LABELS | release | {"runbook.role": "web"}})
    engine.run("worker-1", Config={"Labels": LABELS | release | {"runbook.role": "worker"}})
    engine.run("old", Config={"Labels": LABELS | {"runbook.release": "r-0", "runbook.role": "web"}})
    engine.run("proxy", Config={"Labels": LABELS | {"runbook.role": "proxy"}, "Image": "haproxy:1"})
    found = observe_stack("dev", client(engine))
    assert found.live is None
    assert found.manifests == {"r-1": manifest("r-1")}
    assert found.names("r-1", "web") == ["web-1", "web-2"]
    assert found.names("r-0", "web") == ["old"]
    assert (found.image("proxy"), found.image("redis")) == ("haproxy:1", "")
