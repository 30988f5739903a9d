"""`rollback`: the traffic first, the state after; what is live is what the proxy serves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import requests
from docker.errors import APIError, DockerException
from engine_events import diagnostic, outputs
from fake_service import exit_code
from fake_stack import FakeStack, moves_of
from fake_suite import Smoke
from fake_workspace import FakeWorkspace, stack_with
from records import GATE, deployed, manifest, outputs_of, record

from contracts.targets import TargetsError
from infra.deploy_lock import DeployLock
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.history import History
from infra.lock_holder import Holder, Kind
from infra.manifest import Needed
from infra.observed import observe_stack
from infra.proxy_control import ProxyControl
from infra.suites import Depth
from runbook.deploy_lock import Patience
from runbook.errors import RunbookError
from runbook.operation import OperationFailed


@pytest.fixture(autouse=True)
def _no_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is there: nobody installs one."""
    monkeypatch.setattr(import_module("runbook.verbs.rollback"), "ensure_engine", lambda _say: None)


@pytest.fixture
def workspace(stack: FakeStack, smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    """r-1, r-2 and r-3 went live, one after the other, and have their containers; the state knows."""
    stack.deploy("r-1", "r-2", "r-3")
    found = stack_with()
    found.found_outputs = deployed("r-1", "r-2", "r-3", kept=("r-2", "r-1"))
    found.events = [outputs(found.found_outputs)]
    monkeypatch.setattr("runbook.restore_by_state.open_workspace", lambda _stack: found)
    return found


def history() -> History:
    """As the proxy's route alone tells it."""
    return History.of({}, observe_stack("dev"))


def test_the_last_good_release_comes_back(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is done and how long it took is said, and what `up` will refuse; the lock is ended."""
    assert exit_code("rollback", "--reason", "slow", "--json") == 0
    assert stack.live.release == "r-2"
    assert str(history().rolled_back["r-3"]).endswith(": slow")
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": "r-2"}
    assert "taking r-3 out of the traffic: it goes to r-2" in said.err
    assert "release r-2 has the traffic (" in said.err
    assert "release r-2 is live again (" in said.err
    assert "`bin/runbook up` will not deploy r-3 again unless it is told --force" in said.err
    assert stack.engine.volumes.found == {}


def test_the_traffic_moves_before_the_state_is_asked(
    stack: FakeStack, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a stack takes seconds, and may not be possible."""
    live: list[str] = []

    def opened(_stack: str) -> FakeWorkspace:
        live.append(stack.live.release)
        return workspace

    monkeypatch.setattr("runbook.restore_by_state.open_workspace", opened)
    assert exit_code("rollback") == 0
    assert live == ["r-2"]


def test_the_state_follows_with_what_smoke_found(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """It is not tried a second time; the update is of this release alone."""
    assert exit_code("rollback", "r-1", "--reason", "slow") == 0
    (order,) = workspace.requests
    assert (order.verb, order.reason, order.depth, order.gate) == ("rollback", "slow", Depth.NONE, [GATE[0]])
    assert order.bring_back == manifest("r-1")
    assert workspace.targets[0][0] == "**r-1**"


def away(error: Exception) -> Callable[[str], FakeWorkspace]:
    """A stack that cannot be opened."""

    def opened(_stack: str) -> FakeWorkspace:
        raise error

    return opened


@pytest.mark.parametrize(
    "error",
    [
        RunbookError("stack 'dev' cannot be selected: dial tcp: connection refused", "a hint"),
        RunbookError("the deploy lock of Pulumi is held", ""),
        requests.ConnectionError("connection refused"),
        DockerException("connection refused"),
        FileNotFoundError("no such file: pulumi: connection refused"),
        ValueError("1 validation error for ReleaseRecord"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
        KeyError("urn"),
    ],
)
def test_a_state_that_cannot_follow_is_a_warning(
    stack: FakeStack,
    workspace: FakeWorkspace,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The backend is away, the CLI is missing: the traffic has moved, which is what was asked for."""
    monkeypatch.setattr("runbook.restore_by_state.open_workspace", away(error))
    assert exit_code("rollback", "--json") == 0
    assert stack.live.release == "r-2"
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": "r-2"}
    assert "warning: the traffic has moved, and the state could not follow: " in said.err
    assert "takes it in: it asks the proxy what is live" in said.err


def test_a_reason_that_is_no_utf_8_holds_nothing_up(
    stack: FakeStack, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a name of the operator's: the route, and the update that follows, can be read by all."""
    monkeypatch.setenv("LOGNAME", "\udcff")
    assert exit_code("rollback", "--reason", "too \udcffslow") == 0
    assert [record.reason for record in history().records][-1] == "too ?slow"
    (request,) = workspace.requests
    assert DeployRequest.of(request.as_env()) == request
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-1"


def test_a_damaged_move_holds_no_rollback_up(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """It is the one after which the next is made."""
    config = stack.proxy.files["/routes/live.cfg"]
    at = '"at": "2026-11-24T12:12:31+00:00"'
    assert at in config
    stack.proxy.files["/routes/live.cfg"] = config.replace(at, r'"at": "\udcff"')
    answer, after = stack.proxy.answer, list[str]()
    stack.proxy.answer = lambda command: (after.extend(command[6:7]), answer(command))[1]
    assert exit_code("rollback", "r-2") == 0
    assert "m-2" in after
    assert stack.live.release == "r-2"


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        requests.ReadTimeout("read timed out"),
        Refused("container runbook-dev-proxy does not run: server error"),
    ],
    ids=["Ctrl-C", "engine", "exec"],
)
def test_interrupted_behind_the_move_it_says_so(
    stack: FakeStack,
    workspace: FakeWorkspace,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not "run the same command again": that would take the good release out."""

    def put(*_: object, **__: object) -> None:
        put_route(*_, **__)  # type: ignore[arg-type]
        raise error

    put_route = ProxyControl.put_route
    monkeypatch.setattr(ProxyControl, "put_route", put)
    assert exit_code("rollback") == 1
    said = capsys.readouterr().err
    assert "; release r-2 has the traffic, and the state has not followed" in said
    assert "the next `bin/runbook up` takes that in; the same again would take r-2 out" in said
    assert "run the same command again" not in said
    assert history().rolled_back.keys() == {"r-3"}


def test_interrupted_while_the_proxy_takes_the_route_it_is_waited_for(
    stack: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What changes the routes runs in the proxy's container, and goes on there."""
    runs = stack.proxy.answer
    assert runs

    def run(command: list[str]) -> tuple[int, str]:
        if "put" in command and command[-2] == "live":
            begun.append(command)
            raise KeyboardInterrupt
        if command[0] == "flock":
            runs(begun.pop())
        return runs(command)

    begun = list[list[str]]()
    stack.proxy.answer = run
    assert exit_code("rollback") == 1
    assert "interrupted; release r-2 has the traffic, and the state has not" in capsys.readouterr().err


@pytest.mark.parametrize("engine_says", [Refused("it does not run"), KeyboardInterrupt()])
def test_behind_the_move_the_route_is_read_though_the_proxy_tells_nothing(
    stack: FakeStack,
    workspace: FakeWorkspace,
    engine_says: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was stopped meanwhile, or whoever waits for it has no patience: the route's file is there."""
    runs = stack.proxy.answer

    def run(command: list[str]) -> tuple[int, str]:
        if command[0] == "flock":
            raise engine_says
        code, said = runs(command)
        if "put" in command and command[-2] == "live":
            raise KeyboardInterrupt
        return code, said

    stack.proxy.answer = run
    assert exit_code("rollback") == 1
    assert "interrupted; release r-2 has the traffic, and the state has not" in capsys.readouterr().err


def test_interrupted_before_the_move_it_can_be_run_again(
    stack: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing has changed."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runbook.restore.smoke", interrupted)
    assert exit_code("rollback") == 1
    assert "error: interrupted\nhint: run the same command again" in capsys.readouterr().err
    assert stack.live.release == "r-3"


def test_an_update_that_fails_afterwards_is_a_warning(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its words."""
    workspace.events, workspace.failure = [diagnostic("error", "disk is full")], OperationFailed("x")
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-2"
    assert "the state could not follow: disk is full" in capsys.readouterr().err


def test_after_an_interrupted_update_the_bad_release_goes_and_the_good_one_comes_back(
    stack: FakeStack, workspace: FakeWorkspace
) -> None:
    """Ctrl-C when r-4 had the traffic: the state calls r-3, a good one, live. It is not blamed for r-4."""
    stack.add_release("r-4")
    stack.serve("r-4", *moves_of("r-1", "r-2", "r-3", "r-4"))
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-3"
    assert history().rolled_back.keys() == {"r-4"}
    assert history().good == ["r-3", "r-2", "r-1"]


def test_after_an_interrupted_update_the_good_release_can_be_named(
    stack: FakeStack, workspace: FakeWorkspace
) -> None:
    """It is not "live already", whatever the state says."""
    stack.add_release("r-4")
    stack.serve("r-4", *moves_of("r-1", "r-2", "r-3", "r-4"))
    assert exit_code("rollback", "r-3") == 0
    assert stack.live.release == "r-3"


def test_a_canary_whose_deployer_died_is_what_is_taken_out(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its lease has ended by itself; r-3 has the rest of the traffic, and keeps it."""
    stack.add_release("r-4")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"), canary="r-4", canary_until_s=int(time.time()) + 3600)
    assert exit_code("rollback", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": "r-3"}
    assert "taking r-4 out of the traffic: it goes to r-3" in said.err
    assert (stack.live.release, stack.live.canary) == ("r-3", None)
    assert history().rolled_back.keys() == {"r-4"}
    assert history().good == ["r-3", "r-2", "r-1"]


def test_twice_goes_back_twice(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """Each that was taken out stays out; then there is none left."""
    assert exit_code("rollback") == 0
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-1"
    assert history().rolled_back.keys() == {"r-2", "r-3"}
    assert exit_code("rollback") == 1
    assert stack.live.release == "r-1"


def test_a_smoke_that_refuses_leaves_the_traffic(
    stack: FakeStack, workspace: FakeWorkspace, smoke: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, with what it found; nothing follows; the lock is ended."""
    smoke.refusal = ["gate: smoke refused release r-2 (fail):", "  ready: fail: no answer"]
    assert exit_code("rollback", "--json") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "ready: fail: no answer" in said.err
    assert stack.live.release == "r-3"
    assert (workspace.requests, stack.engine.volumes.found) == ([], {})


def test_force_moves_the_traffic_without_any_check(
    stack: FakeStack, workspace: FakeWorkspace, smoke: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so."""
    smoke.refusal = ["gate: smoke refused release r-2 (fail):"]
    assert exit_code("rollback", "--force") == 0
    assert stack.live.release == "r-2"
    assert smoke.ran == []
    assert "without any check: --force" in capsys.readouterr().err
    assert workspace.requests[0].force


def test_a_frozen_stack_can_be_rolled_back(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The freeze stands for the incident that this may end; it stays."""
    frozen = DeployLock("dev").take(Holder.here(Kind.MANUAL, "incident 42"))
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-2"
    assert DeployLock("dev").read() == frozen
    assert "is frozen by" in capsys.readouterr().err


def test_what_is_not_known_is_refused(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, with those that can be had."""
    assert exit_code("rollback", "r-9") == 1
    said = capsys.readouterr().err
    assert "error: release 'r-9' is not known" in said
    assert "hint: can be brought back: r-2 (at once), r-1 (at once)" in said
    assert stack.live.release == "r-3"


def test_a_release_that_its_gate_refused_is_not_known(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """Its containers stay until the next update; nobody gives them the traffic by mistyping."""
    stack.add_release("r-9")
    assert exit_code("rollback", "r-9") == 1
    assert stack.live.release == "r-3"


def test_a_rollback_of_a_kept_release_needs_no_pulumi() -> None:
    """Its packages take a second of the three that a rollback has: they are imported after the move."""
    program = (
        "import sys, runbook.verbs.rollback as _\n"
        "assert 'runbook.restore' in sys.modules\n"
        "print('runbook.restore_by_state' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_canary_whose_share_has_ended_is_what_is_taken_out(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its deployer died, which whoever types cannot know: r-3 is not blamed for it. A second goes back."""
    stack.add_release("r-4")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"), canary="r-4", canary_until_s=int(time.time()) - 1)
    assert exit_code("rollback", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": "r-3"}
    told = "the update to r-4 was not finished: r-3 is live, and stays; a second rollback goes back to r-2\n"
    assert told in said.err
    assert (stack.live.release, stack.live.canary) == ("r-3", None)
    assert history().rolled_back.keys() == {"r-4"}
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-2"
    assert history().rolled_back.keys() == {"r-3", "r-4"}


def test_no_way_back_is_offered_from_the_first_release(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The update to the second was not finished: a second rollback would have nothing to go back to."""
    stack.add_release("r-4")
    stack.serve("r-3", *moves_of("r-3"), canary="r-4", canary_until_s=int(time.time()) - 1)
    assert exit_code("rollback") == 0
    assert "the update to r-4 was not finished: r-3 is live, and stays\n" in capsys.readouterr().err


def cannot_start(stack: FakeStack, name: str) -> None:
    """Let the container *name* be one that the engine cannot start."""

    def start() -> None:
        raise APIError("500 Server Error", explanation="network runbook-dev not found")

    container = stack.engine.containers.get(name)
    container.status = "exited"
    container.start = start  # type: ignore[method-assign]


def test_force_moves_the_traffic_past_a_container_that_cannot_be_started(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named; the others have the traffic."""
    cannot_start(stack, "runbook-dev-worker-1-r-2")
    assert exit_code("rollback", "--force") == 0
    assert stack.live.release == "r-2"
    assert "warning: runbook-dev-worker-1-r-2 cannot be started: " in capsys.readouterr().err


def test_without_force_a_container_that_cannot_be_started_leaves_the_traffic(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, with the way past it."""
    cannot_start(stack, "runbook-dev-worker-1-r-2")
    assert exit_code("rollback") == 1
    assert stack.live.release == "r-3"
    said = capsys.readouterr().err
    assert "error: runbook-dev-worker-1-r-2 cannot be started: " in said
    assert "network runbook-dev not found" in said
    assert "--force" in said


def test_reports_that_cannot_be_written_stop_no_rollback(
    stack: FakeStack,
    workspace: FakeWorkspace,
    smoke: Smoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another user's folder, a full disk: smoke's report goes elsewhere, which is said."""
    (tmp_path / "build").write_text("")
    monkeypatch.setattr("infra.release_record.BUILD", tmp_path / "build")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-2"
    assert len(smoke.ran) == 1
    assert f"smoke's report goes to {tmp_path}/runbook-smoke-" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [TargetsError("targets.toml: watch: got 3"), OSError(28, "No space left on device")]
)
def test_what_keeps_smoke_from_running_is_said_with_the_way_past_it(
    stack: FakeStack,
    workspace: FakeWorkspace,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its limits cannot be read, or there is no room for a temporary file; with --force nobody needs them."""

    def read_targets() -> None:
        raise error

    monkeypatch.setattr("runbook.restore_checks.read_targets", read_targets)
    assert exit_code("rollback") == 1
    said = capsys.readouterr().err
    assert f"error: smoke cannot be run on r-2: {error}" in said
    assert "`bin/runbook rollback --force` moves the traffic without this check" in said
    assert stack.live.release == "r-3"
    assert exit_code("rollback", "--force") == 0
    assert stack.live.release == "r-2"


@pytest.mark.parametrize("refusal", [[], ["gate: smoke refused release r-2 (fail):"]])
def test_a_baseline_that_cannot_be_closed_changes_nothing(
    stack: FakeStack,
    workspace: FakeWorkspace,
    smoke: Smoke,
    refusal: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The traffic has moved, and the state follows; or smoke has refused, and says so."""

    def remove_route(_proxy: ProxyControl, _name: str) -> None:
        raise Refused("the proxy did not take its new configuration within 10 s")

    monkeypatch.setattr(ProxyControl, "remove_route", remove_route)
    smoke.refusal = refusal
    assert exit_code("rollback") == len(refusal)
    said = capsys.readouterr().err
    assert "warning: the proxy's route baseline stays until the next update: the proxy did not take" in said
    if refusal:
        assert f"error: {refusal[0]}" in said
        assert (stack.live.release, workspace.calls) == ("r-3", [])
    else:
        assert (stack.live.release, workspace.calls) == ("r-2", ["up"])


Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Let something happen to the stack while the rollback waits for somebody else's lock."""

    def happens(what: Callable[[], None], verb: str = "up") -> None:
        theirs = DeployLock("dev").take(Holder.here(Kind.PROCESS, verb))

        def sleep(_seconds: float) -> None:
            what()
            DeployLock("dev").remove(theirs)

        monkeypatch.setattr("runbook.deploy_lock.Patience", lambda: Patience(10, lambda: 0, sleep))

    return happens


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_fix_that_went_live_meanwhile_is_not_taken_out(
    stack: FakeStack,
    workspace: FakeWorkspace,
    meanwhile: Meanwhile,
    force: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was typed for the release that was live then; forced or not, the bad one does not come back."""
    stack.add_release("r-4")
    meanwhile(lambda: stack.serve("r-4", *moves_of("r-1", "r-2", "r-3", "r-4")))
    assert exit_code("rollback", *force) == 1
    said = capsys.readouterr().err
    assert "error: r-3 was live when this was typed, and r-4 is now: nothing was moved" in said
    assert "hint: " in said
    assert (stack.live.release, history().rolled_back) == ("r-4", {})


def test_of_two_who_roll_back_at_once_the_second_changes_nothing(
    stack: FakeStack, workspace: FakeWorkspace, meanwhile: Meanwhile
) -> None:
    """Both meant r-3."""
    back = moves_of("r-3", "r-2", verb="rollback")[1].model_copy(update={"at": "2026-11-24T13:00:00+00:00"})
    meanwhile(lambda: stack.serve("r-2", *moves_of("r-1", "r-2", "r-3"), back.model_copy(update={"id": "b"})))
    assert exit_code("rollback") == 1
    assert stack.live.release == "r-2"
    assert history().rolled_back.keys() == {"r-3"}


@pytest.mark.parametrize("verb", ["rollback", "watch"])
def test_who_waits_for_a_rollback_does_not_go_back_further(
    stack: FakeStack,
    workspace: FakeWorkspace,
    meanwhile: Meanwhile,
    verb: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It had moved the traffic when this was typed, and only its state was to follow. It is not stopped."""
    back = moves_of("r-3", "r-2", verb=verb)[1]
    by_them = {"id": "b", "by": Holder.here(Kind.PROCESS, "").by, "at": "2999-01-01T00:00:00+00:00"}
    stack.serve("r-2", *moves_of("r-1", "r-2", "r-3"), back.model_copy(update=by_them))
    meanwhile(lambda: None, verb)
    assert exit_code("rollback") == 1
    said = capsys.readouterr().err
    assert "has just taken r-3 out, for r-2: nothing was moved" in said
    assert "hint: the same again takes r-2 out" in said
    assert stack.live.release == "r-2"
    assert "touch /routes/stop" not in stack.proxy.done


def test_a_rollback_that_moved_nothing_holds_up_none(
    stack: FakeStack, workspace: FakeWorkspace, meanwhile: Meanwhile
) -> None:
    """The one that was waited for ended without a move; the last one is of yesterday."""
    stack.add_release("r-4")
    back = moves_of("r-4", "r-3", verb="rollback")[1]
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3", "r-4"), back.model_copy(update={"id": "b"}))
    meanwhile(lambda: None, "rollback")
    assert exit_code("rollback") == 0
    assert stack.live.release == "r-2"


def test_a_canary_of_long_ago_is_not_what_is_taken_out(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """Its update was killed last week; what is live is bad today."""
    stack.add_release("r-4")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"), canary="r-4", canary_until_s=int(time.time()) - 3600)
    assert exit_code("rollback") == 0
    assert (stack.live.release, stack.live.canary) == ("r-2", None)
    assert history().rolled_back.keys() == {"r-3"}


NEEDED = [Needed(key="0002-drop-names@abc", irreversible="the names are gone")]


def without_live_containers(stack: FakeStack) -> None:
    """Somebody has removed those of r-3."""
    for container in stack.engine.containers.found:
        if container.labels.get("runbook.release") == "r-3":
            container.removed = True


def test_a_migration_of_a_release_without_containers_is_known_by_the_state(
    stack: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only the live release's manifest tells which it has run."""
    live = record("r-3", manifest=manifest("r-3", migrations=NEEDED))
    workspace.found_outputs = outputs_of(record("r-1"), record("r-2"), live)
    monkeypatch.setattr("runbook.workspace.open_workspace", lambda _stack: workspace)
    without_live_containers(stack)
    assert exit_code("rollback") == 1
    assert "the names are gone" in capsys.readouterr().err
    assert stack.live.release == "r-3"


def test_where_nothing_tells_what_the_live_release_migrated_that_is_said(
    stack: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The way back stays open."""
    monkeypatch.setattr("runbook.workspace.open_workspace", away(RunbookError("no state is here", "")))
    without_live_containers(stack)
    assert exit_code("rollback") == 0
    said = capsys.readouterr().err
    assert "which migrations r-3, whose containers are gone, has run is not known: no state is here" in said
    assert stack.live.release == "r-2"


def test_a_release_that_is_named_comes_back_whatever_went_live_meanwhile(
    stack: FakeStack, workspace: FakeWorkspace, meanwhile: Meanwhile
) -> None:
    """Who names it does not mean "the one before"."""
    stack.add_release("r-4")
    meanwhile(lambda: stack.serve("r-4", *moves_of("r-1", "r-2", "r-3", "r-4")))
    assert exit_code("rollback", "r-2") == 0
    assert stack.live.release == "r-2"


@pytest.mark.parametrize("is_finished", [False, True], ids=["it gave up", "it was at its end"])
def test_an_update_that_is_at_a_step_is_what_is_taken_out(
    stack: FakeStack, workspace: FakeWorkspace, meanwhile: Meanwhile, is_finished: bool
) -> None:
    """Its release had a share when the rollback was typed. r-3 is not blamed: it only has all of it again."""
    stack.add_release("r-4")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"), canary="r-4", canary_until_s=int(time.time()) + 30)
    live = ["r-1", "r-2", "r-3", *(["r-4"] if is_finished else [])]
    meanwhile(lambda: stack.serve(live[-1], *moves_of(*live)))
    assert exit_code("rollback", "--reason", "slow") == 0
    assert stack.live.release == "r-3"
    assert history().rolled_back.keys() == {"r-4"}
    assert history().good == ["r-3", "r-2", "r-1"]


def test_an_update_is_asked_to_give_up_and_that_is_no_wish_of_the_next(
    stack: FakeStack, workspace: FakeWorkspace, meanwhile: Meanwhile
) -> None:
    """The rollback's own update would heed it, too."""
    meanwhile(lambda: None)
    assert exit_code("rollback") == 0
    assert [each for each in stack.proxy.done if "stop" in each] == [
        "touch /routes/stop",
        "rm -f /routes/stop",
    ]


@pytest.mark.parametrize("force", [False, True])
def test_a_kept_release_that_lost_its_worker_is_made_whole_first(
    stack: FakeStack,
    workspace: FakeWorkspace,
    force: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody would be answered. With --force the traffic moves at once all the same."""
    stack.engine.containers.get("runbook-dev-worker-1-r-2").removed = True
    stack.engine.images.names = {"runbook/service:r-2"}
    assert exit_code("rollback", *(["--force"] if force else [])) == 0
    said = capsys.readouterr().err
    assert ("r-2 has lost containers, of worker: 0 of 1 are left" in said) is not force
    assert ("without any check: --force" in said) is force
    assert stack.proxy.put == (["live"] if force else [])
    assert [request.depth for request in workspace.requests] == [Depth.NONE if force else Depth.SHORT]
