"""Which container is asked, how, and what an operator is told when it does not answer."""

from __future__ import annotations

import json
from typing import cast

import docker
import pytest
from docker.errors import APIError
from fake_engine import FakeEngine
from fake_service import FakeContainerExec, answering, service
from fake_stack import backend

from infra.containers import ContainerGone
from infra.errors import Refused
from infra.live_route import live_config
from runbook.errors import RunbookError
from runbook.live_service import Service, live_service


class Stack:
    """An engine with containers, and what the service in each worker says of who is live."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.live: dict[str, FakeContainerExec] = {}

    def add(
        self, role: str, release: str, *, live: str | None = "", stack: str = "dev", number: int = 1
    ) -> str:
        """One more container; its name."""
        name = f"runbook-{stack}-{role}-{number}-{release}"
        self.engine.containers.add(name, stack).labels |= {
            "runbook.role": role,
            "runbook.release": release,
        }
        self.live[name] = answering({"live_release": live, "lanes": []})
        self.live[name].name = name
        return name

    def service(self, stack: str = "dev") -> Service:
        """The one that the verbs would ask."""
        engine = cast(docker.DockerClient, self.engine)
        return live_service(stack, engine, lambda name: self.live[name])


@pytest.fixture
def stack() -> Stack:
    """Nothing runs yet."""
    return Stack()


def test_the_only_release_s_worker_is_asked(stack: Stack) -> None:
    """No other role, no other stack; and not before there is something to ask."""
    for role in ("web", "redis", "proxy"):
        stack.add(role, "r-1")
    stack.add("worker", "r-9", stack="other")
    name = stack.add("worker", "r-1")
    found = stack.service("runbook/dev")
    assert (found.worker.name, found.releases) == (name, ("r-1",))
    assert all(not inside.ran for inside in stack.live.values())


def test_of_two_releases_the_live_one_is_asked(stack: Stack) -> None:
    """During an update; Redis knows who is live, and any worker can tell."""
    stack.add("worker", "r-1", live="r-2")
    name = stack.add("worker", "r-2", live="r-2")
    found = stack.service()
    assert (found.worker.name, found.releases) == (name, ("r-1", "r-2"))


def test_a_release_that_does_not_work_does_not_hide_the_live_one(stack: Stack) -> None:
    """A candidate that its gate refused may not even start."""
    broken = stack.add("worker", "r-1")
    stack.live[broken].outputs = [(1, "Traceback …")]
    name = stack.add("worker", "r-2", live="r-2")
    assert stack.service().worker.name == name


def test_no_worker_is_an_error(stack: Stack) -> None:
    """The stack was never made, or its containers were removed."""
    stack.add("web", "r-1")
    with pytest.raises(RunbookError, match="no worker of stack dev runs") as refusal:
        stack.service()
    assert "bin/runbook up" in refusal.value.hint


def test_no_worker_of_the_live_release_is_an_error(stack: Stack) -> None:
    """Which those are that run is said."""
    stack.add("worker", "r-1", live="r-3")
    stack.add("worker", "r-2", live="r-3")
    with pytest.raises(RunbookError, match="r-1, r-2") as refusal:
        stack.service()
    assert "r-3" in refusal.value.message


@pytest.mark.parametrize("others", [(), ("r-1", "r-3")], ids=len)
def test_a_stopped_worker_of_the_live_release_is_named(stack: Stack, others: tuple[str, ...]) -> None:
    """`up` would deploy what is checked out: starting it is all that is needed."""
    for release in others:
        stack.add("worker", release, live="r-2")
    proxy = stack.engine.containers.add("runbook-dev-proxy")
    proxy.files["/routes/live.cfg"] = live_config(backend("r-2"))
    name = stack.add("worker", "r-2")
    stack.engine.containers.get(name).status = "exited"
    stack.add("web", "r-2")
    with pytest.raises(RunbookError, match="no worker of") as refusal:
        stack.service()
    assert refusal.value.hint == f"`docker start {name}`"


@pytest.mark.parametrize(("status", "verb"), [("exited", "start"), ("paused", "unpause")])
def test_a_redis_that_does_not_run_is_named(stack: Stack, status: str, verb: str) -> None:
    """With what to type; the service, which has no answer without it, is not asked."""
    name = stack.add("worker", "r-1")
    stack.engine.containers.add("runbook-dev-redis").status = status
    with pytest.raises(RunbookError, match=f"runbook-dev-redis is {status}") as refusal:
        stack.service("acme/runbook/dev")
    assert refusal.value.hint == f"`docker {verb} runbook-dev-redis`, then run the same command again"
    assert stack.live[name].ran == []


def test_a_worker_of_the_live_release_that_is_gone_needs_its_commit(stack: Stack) -> None:
    """`up` deploys what is checked out, which may be another release."""
    for release in ("r-1", "r-2"):
        stack.add("worker", release, live="r-3")
    with pytest.raises(RunbookError, match="r-3") as refusal:
        stack.service()
    assert "check out the commit that `bin/runbook releases` shows as live" in refusal.value.hint


@pytest.mark.parametrize("status", ["paused", "exited"])
def test_where_the_proxy_does_not_answer_its_route_says_who_is_live(
    stack: Stack, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers ask the proxy; its file can be read all the same."""
    stack.add("worker", "r-1", live=None)
    name = stack.add("worker", "r-2", live=None)
    proxy = stack.engine.containers.add("runbook-dev-proxy")
    proxy.status, proxy.files["/routes/live.cfg"] = status, live_config(backend("r-2"))
    assert stack.service("runbook/dev").worker.name == name
    assert capsys.readouterr().err == ""


def test_where_nobody_knows_who_is_live_one_that_answers_is_asked(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """All see the same Redis; that it is not known is said."""
    broken = stack.add("worker", "r-1")
    stack.live[broken].outputs = [(1, "Traceback …")]
    name = stack.add("worker", "r-2", live=None)
    stack.add("worker", "r-3", live=None)
    assert stack.service().worker.name == name
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"which release of stack dev is live is not known: {name} is asked"


def test_a_route_that_cannot_be_read_is_not_known(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may just be removing the proxy."""
    name = stack.add("worker", "r-1", live=None)
    stack.add("worker", "r-2", live=None)
    proxy = stack.engine.containers.add("runbook-dev-proxy")
    monkeypatch.setattr(proxy, "get_archive", being_removed)
    assert stack.service().worker.name == name


def being_removed(_path: str) -> None:
    """What the engine says to a file of a container that it is removing."""
    raise APIError("conflict", explanation="container is marked for removal")


def test_arguments_reach_the_engine_as_a_list() -> None:
    """Nothing of them is read by a shell, nor as an option where it is none."""
    inside = answering({})
    evil = '-x\'; $(reboot) "`id`"\n'
    service(inside).ask("tenants", "show", "--flag", about=[evil])
    assert inside.ran == [["python3", "-m", "service", "tenants", "show", "--json", "--flag", "--", evil]]


def test_the_answer_is_the_last_line() -> None:
    """What stands above it are warnings of libraries."""
    inside = FakeContainerExec(outputs=[(0, 'DeprecationWarning: {"a": 0}\n\n{"a": 1}\n')])
    assert service(inside).ask("queue", "show") == {"a": 1}


def test_a_refusal_is_passed_on() -> None:
    """In the service's own words."""
    inside = FakeContainerExec(
        outputs=[(1, json.dumps({"error": "Redis is away: gone", "hint": "see whether it runs"}))]
    )
    with pytest.raises(RunbookError, match="Redis is away: gone") as refusal:
        service(inside).ask("queue", "show")
    assert refusal.value.hint == "see whether it runs"


@pytest.mark.parametrize(
    "failure",
    [ContainerGone("there is no container x"), Refused("container x does not run: it is paused")],
    ids=lambda failure: type(failure).__name__,
)
def test_a_container_that_is_gone_is_words(failure: Refused) -> None:
    """An update may have replaced it since it was found."""
    with pytest.raises(RunbookError, match="container x") as refusal:
        service(FakeContainerExec(failure=failure)).ask("queue", "show")
    assert "run the same command again" in refusal.value.hint


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (0, ""),
        (0, "[]"),
        (137, ""),
        (1, "Traceback\nValueError: hello, this is a text"),
        (1, '{"error'),
        (126, "OCI runtime exec failed"),
    ],
)
def test_no_answer_is_an_error_without_the_output(code: int, output: str) -> None:
    """The end of a traceback may quote a message."""
    with pytest.raises(RunbookError, match=f"exit code {code} and no answer") as refusal:
        service(FakeContainerExec(outputs=[(code, output)])).ask("queue", "show")
    assert "docker logs" in refusal.value.hint
    assert "hello" not in refusal.value.message + refusal.value.hint


def test_an_older_release_does_not_know_the_command() -> None:
    """It ends with its usage: that is quoted, and how to come by one that does."""
    usage = "usage: python -m service web | worker\nSettings come from the environment."
    with pytest.raises(RunbookError, match="does not take `queue show`") as refusal:
        service(FakeContainerExec(outputs=[(2, usage)])).ask("queue", "show")
    assert "Settings come from the environment." in refusal.value.message
    assert "bin/runbook up" in refusal.value.hint
