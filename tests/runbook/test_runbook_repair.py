"""Containers that do not stay up, on a real engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import docker
import pytest
from abandoned import OURS, remove_abandoned
from docker.models.containers import Container
from fake_workspace import FakeWorkspace

from infra.base_images import Mode, Role, ensure, resolve
from runbook.errors import RunbookError
from runbook.repair import failures, repair, say_failing

pytestmark = pytest.mark.integration

WAITS = ["python3", "-c", "import signal; print('I wait', flush=True); signal.pause()"]
FAILS = ["sh", "-c", "echo one; echo 'the last words'; exit 3"]

Run = Callable[..., Container]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a container of the stack, with a role."""
    remove_abandoned()
    engine = docker.from_env()
    image = resolve(Role.PYTHON, Mode.AUTO)
    ensure(image, print)

    def run(command: list[str], restart: str = "no", role: str = "web") -> Container:
        labels = {"runbook.stack": OURS, **({"runbook.role": role} if role else {})}
        return engine.containers.run(
            image.name,
            command,
            init=True,
            detach=True,
            labels=labels,
            network_mode="none",
            restart_policy={"Name": restart},
        )

    yield run
    for container in engine.containers.list(all=True, filters={"label": f"runbook.stack={OURS}"}):
        container.remove(force=True)


def knowing(*containers: Container) -> FakeWorkspace:
    """The stack whose state has *containers*."""
    return FakeWorkspace(OURS, state={"resources": [{"id": each.id} for each in containers]})


def is_there(container: Container) -> bool:
    """Whether the engine has it."""
    return any(each.id == container.id for each in docker.from_env().containers.list(all=True, sparse=True))


def until(container: Container, reached: Callable[[], bool]) -> None:
    """Until it is so."""
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.02)
        container.reload()


def test_what_stays_up_is_left_alone(run: Run) -> None:
    """Without a second look."""
    container, seed = run(WAITS), run(["true"], role="")
    until(seed, lambda: seed.status == "exited")
    workspace = knowing(container, seed)
    repair(workspace, docker.from_env(), sleep=lambda _s: pytest.fail("there is nothing to wait for"))
    assert workspace.calls == []


def test_what_only_ended_is_started_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A release that is kept stays as it was made."""
    container = run(WAITS, restart="unless-stopped")
    container.kill()
    until(container, lambda: container.status == "exited")
    workspace = knowing(container)
    repair(workspace, docker.from_env())
    container.reload()
    assert container.status == "running"
    assert workspace.calls == []
    assert f"{container.name} had ended (exit code 137): started again" in capsys.readouterr().err


def test_what_is_paused_goes_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody has paused it: no reason to make another, which would be an outage."""
    container = run(WAITS, restart="unless-stopped")
    container.pause()
    workspace = knowing(container)
    repair(workspace, docker.from_env())
    container.reload()
    assert container.status == "running"
    assert workspace.calls == []
    assert f"{container.name} was paused: it goes on" in capsys.readouterr().err


def test_what_is_gone_is_told_to_the_state(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """An update that counts on it ends where it is needed. What has only carried files is not missed."""
    there = run(WAITS)
    kind = "docker:index/container:Container"
    known = [
        {"urn": f"urn:pulumi:dev::runbook::{kind}::{name}", "type": kind, "id": id_}
        for name, id_ in (
            ("runbook-dev-web", there.id),
            ("runbook-dev-proxy", "gone"),
            ("conf-seed", "gone too"),
        )
    ]
    workspace = FakeWorkspace(OURS, state={"resources": known})
    repair(workspace, docker.from_env())
    assert workspace.calls == ["refresh"]
    assert "gone from the engine: runbook-dev-proxy: comparing" in capsys.readouterr().err
    repair(FakeWorkspace(OURS, state={"resources": [known[0], known[2]]}), docker.from_env())
    assert "gone" not in capsys.readouterr().err


def test_what_ends_again_is_shown_and_removed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With its last words; the state is told, so that the update makes another."""
    container = run(FAILS)
    until(container, lambda: container.status == "exited")
    workspace = knowing(container)
    repair(workspace, docker.from_env())
    assert not is_there(container)
    assert workspace.calls == ["refresh"]
    said = capsys.readouterr().err
    assert f"{container.name} does not stay up (exit code 3); it said last:" in said
    assert "the last words" in said


def test_what_does_not_stay_up_is_left_where_no_other_would_be_made(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between two crashes it may have done some work, and the engine goes on to start it."""
    container = run(FAILS)
    until(container, lambda: container.status == "exited")
    workspace = knowing(container)

    def rehearse() -> None:
        raise RunbookError("release r-2 was rolled back", "")

    with pytest.raises(RunbookError, match="was rolled back"):
        repair(workspace, docker.from_env(), rehearse=rehearse)
    assert is_there(container)
    assert workspace.calls == []
    assert "the last words" in capsys.readouterr().err


def test_what_restarts_for_ever_is_shown_and_removed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """How often it did, and why."""
    container = run(FAILS, restart="unless-stopped")
    until(container, lambda: container.attrs["RestartCount"] >= 3)
    repair(knowing(container), docker.from_env())
    assert not is_there(container)
    said = capsys.readouterr().err
    assert f"{container.name} restarts for ever (" in said
    assert "exit code 3); it said last:" in said
    assert "the last words" in said


def test_what_restarts_for_ever_is_told_after_an_update(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """It stays; what stays up, or has ended, is not told."""
    failing, ended = run(FAILS, restart="always"), run(["true"])
    run(WAITS)
    until(failing, lambda: failing.attrs["RestartCount"] > 0)
    until(ended, lambda: ended.status == "exited")
    say_failing(OURS)
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1
    assert f"{failing.name} restarts for ever" in said
    assert "the last words" in said
    assert is_there(failing)


def test_what_restarted_once_is_left_alone(run: Run) -> None:
    """It was killed, and came back by itself."""
    container = run(WAITS, restart="unless-stopped")
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    until(container, lambda: container.attrs["RestartCount"] == 1)
    assert failures([container]) == []


def test_what_the_state_does_not_know_is_left_as_it_is(run: Run) -> None:
    """It may be another checkout's, stopped on purpose."""
    fails, stopped = run(FAILS), run(WAITS)
    stopped.kill()
    until(fails, lambda: fails.status == "exited")
    until(stopped, lambda: stopped.status == "exited")
    workspace = knowing()
    repair(workspace, docker.from_env())
    assert is_there(fails)
    stopped.reload()
    assert stopped.status == "exited"
    assert workspace.calls == []
