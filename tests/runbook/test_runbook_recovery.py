"""What a killed update left is cleared away: what this state made and does not know, locks, pending steps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError, NotFound
from engine_events import urn
from fake_engine import FakeClock, FakeEngine, Thing
from fake_stack import FakeStack
from fake_workspace import FakeWorkspace

from runbook.deploy_lock import Patience
from runbook.errors import RunbookError
from runbook.recovery import read_locks, recover, state_id_in

NO_SUCH_PROCESS = 2**22 + 1  # above every pid that Linux gives
OURS, THEIRS = "0123456789abcdef", "fedcba9876543210"
STACK_ID = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::stack-id"


@pytest.fixture
def workspace(tmp_path: Path) -> FakeWorkspace:
    """A stack in a file backend, with its id, one container and one network in its state; nothing wrong."""
    return FakeWorkspace(
        state_folder=tmp_path,
        state={
            "resources": [
                {"urn": STACK_ID, "id": OURS, "outputs": {"value": OURS}},
                {"urn": urn("web"), "id": "id-of-web"},
                {"urn": urn("net"), "id": "id-of-net"},
                {"urn": urn("release"), "type": "a component"},
            ]
        },
    )


@pytest.fixture
def engine() -> FakeEngine:
    """The engine with what the state knows, and what others have made."""
    engine = FakeEngine()
    engine.containers.add("web", state=OURS)
    engine.networks.add("net", state=OURS)
    for things in (engine.containers, engine.networks):
        things.add("another-stack", stack="dev-2", state=THEIRS)
        things.add("another-checkout", state=THEIRS)
        things.add("an-older-version")
        things.add("no-stack", state=OURS).labels.pop("runbook.stack")
    engine.volumes.create("data", {"runbook.stack": "dev", "runbook.state": OURS})
    return engine


@pytest.fixture
def update() -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes by the name of pulumi."""
    process = subprocess.Popen(["bash", "-c", "exec -a pulumi sleep 60"])
    while b"pulumi\0" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        os.sched_yield()  # until bash has become it
    yield process
    process.kill()
    process.wait()


def lock_file(workspace: FakeWorkspace, text: str, name: str = "a") -> Path:
    """A lock of the stack that holds *text*."""
    assert workspace.state_folder is not None
    file = workspace.state_folder / "locks/organization/runbook" / workspace.stack / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def held_by(pid: int, host: str | None = None) -> str:
    """A lock's content, as Pulumi writes it."""
    return json.dumps(
        {
            "pid": pid,
            "username": "root",
            "hostname": host or socket.gethostname(),
            "timestamp": "2026-11-24T12:00:00Z",
        }
    )


def pending(workspace: FakeWorkspace, *names: str) -> None:
    """Let the state say that *names* are being made."""
    workspace.state["pending_operations"] = [
        {"resource": {"urn": urn(name)}, "type": "creating"} for name in names
    ]


def removed(engine: FakeEngine) -> list[str]:
    """The names of what is not there any more."""
    return [thing.name for thing in [*engine.containers.found, *engine.networks.found] if thing.removed]


def orphan(engine: FakeEngine, name: str = "half-made", refusal: Exception | None = None) -> Thing:
    """A container that an update of this state made and did not write down."""
    return engine.containers.add(name, refusal=refusal, state=OURS)


def test_where_nothing_was_left_nothing_is_done(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor said."""
    recover(workspace, engine=engine)
    assert removed(engine) == []
    assert workspace.calls == []
    assert capsys.readouterr().err == ""


def test_what_this_state_made_and_does_not_know_is_removed(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any sign of a killed update: the engine went away during one, say. No volume goes."""
    orphan(engine)
    orphan(engine, "never-started").status = "created"
    engine.networks.add("half-made-net", state=OURS)
    recover(workspace, engine=engine)
    assert removed(engine) == ["half-made", "never-started", "half-made-net"]
    assert list(engine.volumes.found) == ["data"]
    assert workspace.calls == []
    assert capsys.readouterr().err.splitlines() == [
        "removing container half-made, which an earlier update left and the state does not know",
        "removing container never-started, which an earlier update left and the state does not know",
        "removing network half-made-net, which an earlier update left and the state does not know",
    ]


@pytest.mark.parametrize(
    "stack_id",
    [
        None,
        {"urn": STACK_ID},
        {"urn": STACK_ID, "outputs": {}},
        {"urn": STACK_ID, "outputs": {"value": ""}},
        {"urn": urn("stack-id"), "outputs": {"value": OURS}},
    ],
    ids=["no update yet", "killed at its first step", "no value", "an empty one", "another resource"],
)
def test_a_state_without_an_id_removes_nothing(
    workspace: FakeWorkspace, engine: FakeEngine, stack_id: dict[str, object] | None
) -> None:
    """Whatever its lock and pending operations say: all that the engine has may be somebody else's."""
    workspace.state["resources"][:1] = [stack_id] if stack_id else []
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    pending(workspace, "web-2")
    orphan(engine)
    assert state_id_in(workspace.state) is None
    recover(workspace, engine=engine)
    assert removed(engine) == []
    assert workspace.calls == ["cancel", "without_pending"]


def test_an_old_state_that_was_restored_takes_nobodys_release_away(
    workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the proxy serves, or has served, stays, and is said; a release that never had traffic goes."""
    stack = FakeStack()
    stack.deploy("r-1", "r-2")
    stack.add_release("r-3")
    for thing in stack.engine.containers.found:
        thing.labels["runbook.state"] = OURS
    workspace.state["resources"].append({"urn": urn("proxy"), "id": stack.proxy.id})
    recover(workspace, engine=stack.engine)  # type: ignore[arg-type]
    assert removed(stack.engine) == ["runbook-dev-web-1-r-3", "runbook-dev-worker-1-r-3"]
    assert "r-2 has the traffic and the state knows none of it" in capsys.readouterr().err


def test_an_old_state_takes_no_proxy_and_no_redis_away_that_were_replaced_since(
    workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """They serve; what does not run goes, and so do helpers. The network that they are on is left, too."""
    stack = FakeStack()
    stack.deploy("r-2")
    containers = stack.engine.containers
    containers.add("runbook-dev-redis", role="redis")
    containers.add("runbook-dev-proxy-old", role="proxy").status = "created"
    containers.add("runbook-dev-sandbox", role="sandbox")
    stack.engine.networks.add("runbook-dev", state=OURS)
    for thing in containers.found:
        thing.labels["runbook.state"] = OURS
    recover(workspace, engine=stack.engine)  # type: ignore[arg-type]
    assert removed(stack.engine) == ["runbook-dev-proxy-old", "runbook-dev-sandbox"]
    said = capsys.readouterr().err
    releases = "runbook-dev-web-1-r-2, runbook-dev-worker-1-r-2"
    assert f"left alone: runbook-dev-proxy, {releases}, runbook-dev-redis" in said
    assert "restore a newer state, or remove what" in said


def test_a_proxy_that_a_killed_update_left_is_removed(workspace: FakeWorkspace) -> None:
    """The state knows the release that is served: it is no old one, and the next update makes the proxy."""
    stack = FakeStack()
    stack.deploy("r-2")
    for thing in stack.engine.containers.found:
        thing.labels["runbook.state"] = OURS
    known = ("id-of-runbook-dev-web-1-r-2", "id-of-runbook-dev-worker-1-r-2")
    workspace.state["resources"] += [{"urn": urn(id_), "id": id_} for id_ in known]
    recover(workspace, engine=stack.engine)  # type: ignore[arg-type]
    assert removed(stack.engine) == ["runbook-dev-proxy"]


def test_what_a_killed_update_made_of_the_live_release_again_is_removed(workspace: FakeWorkspace) -> None:
    """The state knows its other container: the next update makes this one, under the same name."""
    stack = FakeStack()
    stack.deploy("r-2")
    for thing in stack.engine.containers.found:
        thing.labels["runbook.state"] = OURS
    known = (stack.proxy.id, "id-of-runbook-dev-worker-1-r-2")
    workspace.state["resources"] += [{"urn": urn(id_), "id": id_} for id_ in known]
    recover(workspace, engine=stack.engine)  # type: ignore[arg-type]
    assert removed(stack.engine) == ["runbook-dev-web-1-r-2"]


def test_another_engine_is_refused(workspace: FakeWorkspace) -> None:
    """DOCKER_HOST points elsewhere: the state would forget what runs, and all begin anew there."""
    kind = "docker:index/container:Container"
    proxy = {"urn": f"urn:pulumi:dev::runbook::{kind}::runbook-dev-proxy", "type": kind, "id": "elsewhere"}
    before = workspace.state = {"resources": [proxy]}
    bare = FakeEngine()
    with pytest.raises(RunbookError, match=r"has nothing of stack dev, .*: runbook-dev-proxy") as refusal:
        recover(workspace, (), bare)
    assert "`bin/pulumi refresh --yes --stack dev`" in refusal.value.hint
    assert (workspace.calls, workspace.state) == ([], before)
    bare.volumes.create("runbook-dev-redis-data", {"runbook.stack": "dev"})  # only the containers are gone
    recover(workspace, (), bare)


def test_a_new_stack_has_no_state_yet(engine: FakeEngine) -> None:
    """Neither resources nor an id."""
    recover(FakeWorkspace(), engine=engine)
    assert removed(engine) == []


def test_a_stale_lock_is_cleared_with_what_the_update_left(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """All is said."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    orphan(engine)
    recover(workspace, engine=engine)
    assert removed(engine) == ["half-made"]
    assert workspace.calls == ["cancel"]
    assert "an earlier update of stack dev was killed: removing its lock" in capsys.readouterr().err


def test_pending_operations_are_forgotten(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, after what they made has been removed."""
    pending(workspace, "web-2", "worker-1")
    made = orphan(engine, "web-2")
    recover(workspace, engine=engine)
    assert made.removed
    assert workspace.calls == ["without_pending"]
    assert "forgetting operations that were under way when an update was killed: web-2, worker-1" in (
        capsys.readouterr().err
    )


def test_what_shows_that_an_update_was_killed_goes_last(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """When a removal fails, lock and pending operations stay: the next run begins again."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    pending(workspace, "web-2")
    orphan(engine, "web-2", APIError("500", explanation="device is busy"))
    with pytest.raises(RunbookError, match="container web-2 cannot be removed: device is busy"):
        recover(workspace, engine=engine)
    assert workspace.calls == []


def test_the_lock_goes_before_the_pending_operations(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """A state that is locked cannot be written."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    pending(workspace, "web-2")
    recover(workspace, engine=engine)
    assert workspace.calls == ["cancel", "without_pending"]


@pytest.mark.parametrize("needs", ["dependencies", "propertyDependencies", "parent", "deletedWith"])
def test_a_state_out_of_order_is_sorted_before_it_is_mended(
    workspace: FakeWorkspace, engine: FakeEngine, needs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi itself can leave one, and takes none."""
    first, then = "urn:pulumi:dev::runbook::a:b:C::first", "urn:pulumi:dev::runbook::a:b:C::then"
    of = {"dependencies": [first], "propertyDependencies": {"of": [first], "none": None}}
    needing = {"urn": then, "type": "a:b:C", needs: of.get(needs, first)}
    workspace.state["resources"] += [{"urn": first, "type": "a:b:C"}, needing]
    recover(workspace, engine=engine)
    assert workspace.calls == []
    workspace.state["resources"][-2:] = reversed(workspace.state["resources"][-2:])
    pending(workspace, "web-2")
    recover(workspace, engine=engine)
    assert workspace.calls == ["sort", "without_pending"]
    assert "left the state's resources out of order: sorting them" in capsys.readouterr().err


def test_what_is_gone_meanwhile_is_no_error(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """A container may end by itself between the look and the removal; the rest goes on."""
    orphan(engine, "ends", NotFound("no such container"))
    second = orphan(engine, "second")
    recover(workspace, engine=engine)
    assert second.removed


def test_a_full_stack_name_finds_the_same_files(
    workspace: FakeWorkspace, tmp_path: Path, engine: FakeEngine
) -> None:
    """`organization/runbook/dev` is `dev` in the backend's folders and in the labels."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    unknown = orphan(engine)
    full = FakeWorkspace("organization/runbook/dev", state_folder=tmp_path, state=workspace.state)
    recover(full, engine=engine)
    assert unknown.removed
    assert full.calls == ["cancel"]


def test_a_running_update_is_waited_for(
    workspace: FakeWorkspace,
    engine: FakeEngine,
    update: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lock is looked at until it is released, and told of once; what it makes meanwhile is its own."""
    lock = lock_file(workspace, held_by(update.pid))
    made = orphan(engine)
    clock = FakeClock()

    def go_on() -> None:
        assert not made.removed
        if clock.slept == 3:
            workspace.state["resources"].append({"urn": urn(made.name), "id": made.id})
            lock.unlink()

    clock.while_asleep = go_on
    recover(workspace, engine=engine, patience=Patience(10, clock.now, clock.sleep))
    assert clock.slept == 3
    assert removed(engine) == []
    assert workspace.calls == []
    assert capsys.readouterr().err.count("waiting up to 10 s for the update by process") == 1


def test_a_running_update_that_is_killed_while_waited_for(
    workspace: FakeWorkspace, engine: FakeEngine, update: subprocess.Popen[bytes]
) -> None:
    """Its lock turns stale, and is cleared away."""
    lock_file(workspace, held_by(update.pid))

    def kill() -> None:
        update.kill()
        update.wait()

    clock = FakeClock(while_asleep=kill)
    recover(workspace, engine=engine, patience=Patience(10, clock.now, clock.sleep))
    assert workspace.calls == ["cancel"]


def test_patience_has_an_end(
    workspace: FakeWorkspace, engine: FakeEngine, update: subprocess.Popen[bytes]
) -> None:
    """An update that goes on is not touched: refused, with who runs it, and how its lock can be ended."""
    lock_file(workspace, held_by(update.pid))
    orphan(engine)
    clock = FakeClock()
    with pytest.raises(RunbookError, match=f"dev is being updated by process {update.pid}") as refusal:
        recover(workspace, engine=engine, patience=Patience(10, clock.now, clock.sleep))
    assert "bin/pulumi cancel --stack dev" in refusal.value.hint
    assert clock.time == 1010
    assert removed(engine) == []
    assert workspace.calls == []


def test_a_process_of_another_machine_cannot_be_judged(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """The same number here says nothing about it: it counts as running."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS, host="ci-1"))
    for gone_hosts in ((), ("ci-2",)):
        with pytest.raises(RunbookError, match="on ci-1"):
            recover(workspace, gone_hosts, engine, Patience(0))
    assert workspace.calls == []


def test_a_process_of_a_machine_whose_deploy_lock_ran_out_is_gone(
    workspace: FakeWorkspace, engine: FakeEngine
) -> None:
    """A cancelled CI job: nobody else can tell, and its number may be anybody's here."""
    lock_file(workspace, held_by(os.getpid(), host="ci-1"))
    recover(workspace, ("ci-0", "ci-1"), engine, Patience(0))
    assert workspace.calls == ["cancel"]


def test_a_process_of_this_machine_is_looked_at_though_its_verb_was_killed(
    workspace: FakeWorkspace, engine: FakeEngine, update: subprocess.Popen[bytes]
) -> None:
    """SIGKILL of `bin/runbook up` leaves the CLI at work: its update goes on, and is waited for."""
    lock_file(workspace, held_by(update.pid))
    orphan(engine)
    with pytest.raises(RunbookError, match=f"dev is being updated by process {update.pid}"):
        recover(workspace, (socket.gethostname(),), engine, Patience(0))
    assert removed(engine) == []
    assert workspace.calls == []


def test_a_machine_that_is_gone_says_nothing_of_the_others(
    workspace: FakeWorkspace, engine: FakeEngine
) -> None:
    """Each lock by itself: one that another machine holds is waited for."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS, host="ci-1"))
    lock_file(workspace, held_by(NO_SUCH_PROCESS, host="ci-2"), name="b")
    with pytest.raises(RunbookError, match="on ci-2"):
        recover(workspace, ("ci-1",), engine, Patience(0))


@pytest.mark.parametrize(("gone_hosts", "calls"), [((), []), (("ci-1",), ["cancel"])])
def test_elsewhere_a_lock_is_cancelled_after_a_take_over_only(
    workspace: FakeWorkspace, engine: FakeEngine, gone_hosts: tuple[str, ...], calls: list[str]
) -> None:
    """Another backend's locks cannot be seen from here, but whose deploy lock ran out has one no more."""
    workspace.state_folder = None
    unknown = orphan(engine)
    recover(workspace, gone_hosts, engine)
    assert unknown.removed
    assert workspace.calls == calls


def test_elsewhere_an_update_that_still_runs_here_is_waited_for(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever began it was killed, its CLI was not: nothing that it makes is removed, nor is its lock."""
    workspace.state_folder = None
    program = ["-c", "import time; time.sleep(600)"]
    command = ["pulumi", *program, "--non-interactive", "up", "--stack", "organization/runbook/dev"]
    with subprocess.Popen(command, executable=sys.executable) as cli:
        unknown = orphan(engine)

        def sleep(_seconds: float) -> None:
            assert not unknown.removed
            cli.kill()
            cli.wait()

        recover(workspace, ("here",), engine, Patience(10, lambda: 0, sleep))
    assert unknown.removed
    assert workspace.calls == ["cancel"]
    assert f"waiting up to 10 s for the update by process {cli.pid}" in capsys.readouterr().err


def test_with_a_file_backend_a_take_over_alone_cancels_nothing(
    workspace: FakeWorkspace, engine: FakeEngine
) -> None:
    """Its locks can be seen, and there is none."""
    recover(workspace, ("ci-1",), engine)
    assert workspace.calls == []


def test_a_number_that_another_program_has_now_is_stale(workspace: FakeWorkspace) -> None:
    """A process that is not the CLI holds no lock."""
    lock_file(workspace, held_by(1))
    assert [lock.is_stale(()) for lock in read_locks(workspace)] == [True]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"pid": "x", "hostname": "h", "username": "u", "timestamp": "t"}', "\x00"]
)
def test_a_damaged_lock_is_an_error(workspace: FakeWorkspace, engine: FakeEngine, text: str) -> None:
    """Who holds it is not known, so it is not touched; the file and the way out are named."""
    file = lock_file(workspace, text)
    with pytest.raises(RunbookError, match=str(file)) as refusal:
        recover(workspace, engine=engine)
    assert "bin/pulumi cancel --stack dev" in refusal.value.hint
    assert workspace.calls == []


def test_a_lock_that_is_let_go_while_it_is_read_is_none(workspace: FakeWorkspace) -> None:
    """Between listing the folder and reading the file an update may end."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS)).unlink()
    (lock_file(workspace, "x").parent / "gone.json").symlink_to("nowhere.json")
    lock_file(workspace, "x").unlink()
    assert read_locks(workspace) == []
