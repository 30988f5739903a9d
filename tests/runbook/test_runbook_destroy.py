from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError
from engine_events import diagnostic, urn
from fake_stack import FakeStack
from fake_workspace import FakeWorkspace

from infra.lock_holder import Holder, Kind
from runbook.errors import RunbookError
from runbook.operation import OnEvent, OperationFailed
from runbook.verbs.destroy import destroy, tear_down

STACK_ID = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::stack-id"
OURS = {"resources": [{"urn": STACK_ID, "outputs": {"value": "ours"}}]}
KIND = "docker:index/volume:Volume"
VOLUME = {"urn": urn("data", KIND), "type": KIND, "id": "runbook-dev-redis-data"}
HOLDER = Holder.here(Kind.PROCESS, "destroy")


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine has the logs of stacks that it fetched."""
    monkeypatch.setattr("runbook.log_copy.BUILD", tmp_path)
    return tmp_path


def test_what_was_fetched_of_its_logs_goes_too(build: Path) -> None:
    """Another stack's stays."""
    for name in ("dev", "dev-2"):
        (build / "logs" / name / "rest").mkdir(parents=True)
        (build / "logs" / name / "lock").touch()
    tear_down(FakeWorkspace(), HOLDER)
    assert [path.name for path in (build / "logs").iterdir()] == ["dev-2"]


def test_the_stack_is_forgotten_after_all_of_it_is_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    """With its configuration."""
    workspace = FakeWorkspace()
    tear_down(workspace, HOLDER)
    assert workspace.calls == ["unprotect", "destroy", "remove"]
    assert capsys.readouterr().err == "stack dev is gone\n"


def test_a_stack_that_is_not_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The end is the same, so it is no failure."""
    workspace = FakeWorkspace(is_made=False)
    tear_down(workspace, HOLDER)
    assert workspace.calls == []
    assert "nothing to do" in capsys.readouterr().err


def test_what_could_not_be_deleted_is_kept_in_mind() -> None:
    """The stack is not forgotten while something of it remains."""
    workspace = FakeWorkspace(events=[diagnostic("error", "volume is in use")], failure=OperationFailed("x"))
    with pytest.raises(RunbookError, match="volume is in use"):
        tear_down(workspace, HOLDER)
    assert workspace.calls == ["unprotect", "destroy"]


def test_data_is_not_deleted_unasked() -> None:
    """Without a terminal to ask at, only `--yes` deletes a stack that is no dev stack."""
    with pytest.raises(RunbookError, match="deletes its data") as refusal:
        destroy("production", yes=False)
    assert "--yes" in refusal.value.hint


@pytest.mark.parametrize(
    ("is_made", "state"),
    [(False, {}), (True, {}), (True, {"resources": [{"urn": STACK_ID}]}), (True, OURS)],
    ids=["no stack", "made anew", "killed at its first step", "of another id"],
)
def test_a_stack_whose_state_is_elsewhere_stays(
    stack: FakeStack, is_made: bool, state: dict[str, Any]
) -> None:
    """The state folder was lost, or is another checkout's: its secrets would go, and all else go on."""
    stack.deploy("r-1")
    for each in stack.engine.containers.found:
        each.labels["runbook.state"] = "theirs"
    stack.engine.containers.add("half-made", state="ours")
    stack.engine.volumes.create("runbook-dev-redis-data", {"runbook.stack": "dev", "runbook.state": "ours"})
    workspace = FakeWorkspace(is_made=is_made, state=state)
    with pytest.raises(RunbookError, match=r"not in this checkout's state: .*nothing was deleted") as refusal:
        tear_down(workspace, replace(HOLDER, took_over=("ci-1",)))
    for name in ("runbook-dev-proxy", "runbook-dev-web-1-r-1", "runbook-dev-worker-1-r-1"):
        assert name in refusal.value.message
    assert ("half-made" in refusal.value.message) is (state is not OURS)
    assert "take it and Pulumi.dev.yaml from git or from the checkout" in refusal.value.hint
    assert "`docker network rm runbook-dev`" in refusal.value.hint
    assert "grep '^runbook-dev-secrets-' | xargs -r docker volume rm`" in refusal.value.hint
    assert workspace.calls == []
    assert not any(each.removed for each in stack.engine.containers.found)
    assert list(stack.engine.volumes.found) == ["runbook-dev-redis-data"]


def test_what_the_state_knows_is_its_own(stack: FakeStack) -> None:
    """Also of a version that gave its containers no id; another stack's are nobody's business here."""
    stack.engine.containers.add("another", stack="dev-2", state="theirs")
    workspace = FakeWorkspace(state={"resources": [{"urn": urn("proxy"), "id": stack.proxy.id}]})
    tear_down(workspace, HOLDER)
    assert workspace.calls == ["unprotect", "destroy", "remove"]


def in_use() -> APIError:
    """What the engine says of a volume that a container has."""
    answer = requests.Response()
    answer.status_code = 409
    return APIError("volume is in use", answer)


class Destroyed(FakeWorkspace):
    """What Pulumi has destroyed is not in the state any more; it may be interrupted then."""

    is_interrupted = False
    left: tuple[dict[str, Any], ...] = ()

    def destroy(self, on_event: OnEvent) -> None:
        super().destroy(on_event)
        self.state, self.left = {"resources": [*self.left]}, ()
        if self.is_interrupted:
            self.is_interrupted = False
            raise KeyboardInterrupt


@pytest.mark.parametrize("is_interrupted", [True, False], ids=["Ctrl-C", "in use"])
def test_a_destroy_that_was_stopped_before_the_volumes_is_gone_on_with(
    stack: FakeStack, is_interrupted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "is gone" the second time, and left all data: the state had forgotten whose it was."""
    stack.proxy.removed = True
    stack.engine.volumes.create("runbook-dev-redis-data", {"runbook.stack": "dev", "runbook.state": "ours"})
    stack.engine.volumes.create("runbook-dev-theirs", {"runbook.stack": "dev", "runbook.state": "theirs"})
    workspace = Destroyed(state=OURS)
    workspace.is_interrupted = is_interrupted
    volume = stack.engine.volumes.found["runbook-dev-redis-data"]
    volume.refusal = None if is_interrupted else in_use()
    with pytest.raises((KeyboardInterrupt, RunbookError)):
        tear_down(workspace, HOLDER)
    volume.refusal = None
    assert "remove" not in workspace.calls
    assert "gone" not in capsys.readouterr().err
    tear_down(workspace, HOLDER)
    assert list(stack.engine.volumes.found) == ["runbook-dev-theirs"]
    assert workspace.calls[-1] == "remove"


@pytest.mark.parametrize("left", [(), (OURS["resources"][0],)], ids=["all is destroyed", "but the id"])
def test_the_data_that_a_new_state_took_over_goes_in_a_second_run_too(
    stack: FakeStack, left: tuple[dict[str, Any], ...]
) -> None:
    """It has the label of the state that was lost: only the state that is destroyed knew whose it is."""
    stack.proxy.removed = True
    labels = {"runbook.stack": "dev", "runbook.state": "lost"}
    stack.engine.volumes.create("runbook-dev-redis-data", labels)
    stack.engine.volumes.create("runbook-dev-theirs", labels)
    workspace = Destroyed(state={"resources": [*OURS["resources"], VOLUME]})
    workspace.is_interrupted, workspace.left = True, left
    with pytest.raises(KeyboardInterrupt):
        tear_down(workspace, HOLDER)
    tear_down(workspace, HOLDER)
    assert list(stack.engine.volumes.found) == ["runbook-dev-theirs"]


def test_the_note_of_a_destroy_before_this_version_is_heeded(stack: FakeStack) -> None:
    """It was stopped then, and named the state alone."""
    stack.proxy.removed = True
    stack.engine.volumes.create("runbook-dev-redis-data", {"runbook.stack": "dev", "runbook.state": "ours"})
    tear_down(FakeWorkspace(config={"destroyed": "ours"}), HOLDER)
    assert list(stack.engine.volumes.found) == []


def test_what_was_given_up_stands_in_no_way(stack: FakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    """Removed by hand, as the refusal says; a second `destroy` has nothing to do."""
    stack.proxy.removed = True
    workspace = FakeWorkspace(state=OURS)
    tear_down(workspace, HOLDER)
    tear_down(workspace, HOLDER)
    assert workspace.calls == ["unprotect", "destroy", "remove"]
    assert "nothing to do: there is no stack dev" in capsys.readouterr().err


def test_what_a_killed_update_left_goes_first(stack: FakeStack) -> None:
    """Pulumi deletes only what the state knows; a lock of a machine that is gone would stop it."""
    workspace = FakeWorkspace(state=OURS)
    stack.proxy.removed = True
    orphan = stack.engine.containers.add("half-made", state="ours")
    tear_down(workspace, replace(HOLDER, took_over=("ci-1",)))
    assert orphan.removed
    assert workspace.calls == ["cancel", "unprotect", "destroy", "remove"]
