"""`watch`: what it says and does about the release that is live, and only about that."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from fake_service import exit_code
from fake_stack import FakeStack, moves_of
from fake_suite import Smoke
from fake_workspace import FakeWorkspace, stack_with
from records import deployed

from contracts.targets import read_targets
from contracts.verdict import Check, Verdict
from infra.deploy_lock import DeployLock
from infra.history import History
from infra.lock_holder import Holder, Kind
from infra.observed import observe_stack
from infra.proxy_control import Counters
from runbook.deploy_lock import Patience
from runbook.errors import RunbookError
from runbook.monitor import Monitor, Observation, Sends, Webhooks
from runbook.verbs.watch import take_out, watch_live
from runbook.watch_note import is_watch_due

NOT_READY = Check(name="ready", verdict=Verdict.FAIL, value="HTTP 503", limit="yes", samples=1)

COUNTERS = Counters(1000, 0, 5, 40)

Watch = Callable[[Monitor], list[Check] | None]
End = Callable[[Watch], list[float]]


class Probe:
    """Observes nothing; what is usual is an earlier release's."""

    def __init__(self, stack: str) -> None:
        assert stack == "dev"

    def usual(self, release: str) -> tuple[Sends, Webhooks, float]:
        assert release == "r-2"
        return Sends(sent=900, refused=9), Webhooks(taken=800), 3600.0

    def observe(self) -> Observation:
        raise AssertionError


@pytest.fixture
def workspace(stack: FakeStack, smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    """r-2 is live, r-1 was before it and has its containers still."""
    for verb in ("watch", "rollback"):
        monkeypatch.setattr(import_module(f"runbook.verbs.{verb}"), "ensure_engine", lambda _say: None)
    monkeypatch.setattr(import_module("runbook.verbs.watch"), "find_cli", lambda _say: None)
    stack.deploy("r-1", "r-2")
    found = stack_with()
    found.found_outputs = deployed("r-1", "r-2")
    monkeypatch.setattr("runbook.restore_by_state.open_workspace", lambda _stack: found)
    return found


@pytest.fixture
def ends(workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> End:
    """Let the watch end so; gives the list of how long each was to last."""

    def end(how: Watch) -> list[float]:
        lasted: list[float] = []

        def watch(monitor: Monitor, _observe: object, for_s: float) -> list[Check] | None:
            lasted.append(for_s)
            return how(monitor)

        verb = import_module("runbook.verbs.watch")
        monkeypatch.setattr(verb, "ReleaseProbe", Probe)
        monkeypatch.setattr(verb, "watch_release", watch)
        return lasted

    return end


def test_what_the_proxy_serves_is_watched_by_the_targets(ends: End) -> None:
    """For as long as they say, or as is typed; by how the releases before it fared with WAHA."""
    watched: list[Monitor] = []

    def well(monitor: Monitor) -> list[Check]:
        watched.append(monitor)
        monitor.add(Observation(at_s=0, counters=COUNTERS))
        return []

    lasted, targets = ends(well), read_targets()
    assert exit_code("watch") == 0
    assert exit_code("watch", "--minutes", "2.5") == 0
    assert lasted == [targets.watch.after_hotfix_s, 150]
    assert {monitor.release for monitor in watched} == {"r-2"}
    limits = watched[0].limits
    assert (limits.watch, limits.rollout) == (targets.watch, targets.rollout)
    assert (limits.usual, limits.usual_webhooks, limits.usual_s) == (Sends(900, 9), Webhooks(800), 3600)


def test_a_state_that_has_another_release_is_said_where_it_can_be_read(
    ends: End, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The watch goes by the proxy; it waits for no CLI to be built, and a state that is away ends nothing."""
    verb = import_module("runbook.verbs.watch")
    workspace.found_outputs = deployed("r-1")
    monkeypatch.setattr(verb, "open_workspace", lambda _stack: workspace)
    ends(well)
    said = "warning: the proxy serves r-2, the state says that r-1 is live"
    for cli, is_said in ((None, False), (Path("pulumi"), True)):
        monkeypatch.setattr(verb, "find_cli", lambda _say, cli=cli: cli)
        assert exit_code("watch") == 0
        assert (said in capsys.readouterr().err) is is_said

    def away(_stack: str) -> FakeWorkspace:
        raise RunbookError("connection refused", "")

    monkeypatch.setattr(verb, "open_workspace", away)
    assert exit_code("watch") == 0


def test_a_release_that_does_well_is_said_to(ends: End, capsys: pytest.CaptureFixture[str]) -> None:
    """With each check at its end."""
    ends(well)
    watch_live("dev", 60)
    said = capsys.readouterr().err
    assert "watching r-2 for 60 s; Ctrl-C ends that and changes nothing" in said
    assert "  ready: pass: yes, limit yes, samples 1\n" in said
    assert "r-2 has done well for 60 s" in said


def test_webhooks_that_were_all_refused_are_told(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few came to tell a stranger's from WAHA's: the release stays, unpraised, and is watched again."""

    def refusing(monitor: Monitor) -> list[Check]:
        for at_s, refused in ((0, 0), (20, 3), (60, 5)):
            monitor.add(Observation(at_s=at_s, counters=COUNTERS, webhooks=Webhooks(0, refused)))
        return []

    ends(refusing)
    assert exit_code("watch") == 0
    said = capsys.readouterr().err
    assert "none was taken: does WAHA sign with r-2's WAHA_WEBHOOK_SECRET?" in said
    assert "has done well" not in said
    assert is_watch_due("dev")


def test_a_release_that_nobody_can_reach_is_not_said_to_do_well(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy is away: no reason to take the release out, and none to be content."""

    def unseen(monitor: Monitor) -> list[Check]:
        monitor.add(Observation(at_s=0, release="r-2", restarts=0))
        return []

    ends(unseen)
    with pytest.raises(RunbookError, match="the proxy of stack dev cannot be asked") as error:
        watch_live("dev", read_targets().watch.after_up_s)
    assert "`bin/runbook up --stack dev` puts that right" in error.value.hint
    assert "ready: no evidence: the proxy cannot be asked" in capsys.readouterr().err
    assert stack.live.release == "r-2"
    assert is_watch_due("dev")


@pytest.mark.parametrize(("untold", "is_known"), [(1, True), (2, True), (3, False)])
def test_a_release_that_was_hardly_seen_is_not_said_to_do_well(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str], untold: int, is_known: bool
) -> None:
    """The proxy told nothing at more than half of the looks, though it does at the end."""

    def seldom_seen(monitor: Monitor) -> list[Check]:
        for number in range(4):
            counters = None if number < untold else COUNTERS
            monitor.add(Observation(at_s=5 * number, release="r-2", restarts=0, counters=counters))
        return []

    ends(seldom_seen)
    assert exit_code("watch") == (0 if is_known else 1)
    said = capsys.readouterr().err
    assert ("r-2 has done well" in said) is is_known
    assert ("cannot be said: the proxy of stack dev told nothing at 3 of 4 looks" in said) is not is_known
    assert ("`bin/runbook watch --stack dev` watches it again" in said) is not is_known
    assert stack.live.release == "r-2"
    assert is_watch_due("dev") is not is_known


def well(monitor: Monitor) -> list[Check]:
    """It is watched, and nothing is found."""
    monitor.add(Observation(at_s=0, release="r-2", restarts=0, counters=COUNTERS))
    return []


def test_what_was_watched_to_the_end_is_noted(stack: FakeStack, ends: End) -> None:
    """For whoever deploys next, from wherever; until another release has the traffic."""
    ends(well)
    assert is_watch_due("dev")
    watch_live("dev", read_targets().watch.after_up_s)
    assert not is_watch_due("dev")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"))
    assert is_watch_due("dev")


def test_a_watch_that_was_interrupted_or_short_is_not_noted(ends: End) -> None:
    """A CI job that is cancelled gets a Ctrl-C, too."""

    def interrupted(_monitor: Monitor) -> list[Check]:
        raise KeyboardInterrupt

    ends(interrupted)
    watch_live("dev", 900)
    ends(well)
    watch_live("dev", 6)
    assert is_watch_due("dev")


def test_a_watch_that_cannot_be_noted_has_ended_well_all_the_same(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next `up` watches again."""
    ends(well)
    stack.proxy.answer = lambda _command: (1, "No space left on device\n")
    watch_live("dev", 900)
    assert "could not be noted: No space left on device" in capsys.readouterr().err
    assert is_watch_due("dev")


def test_a_release_that_failed_is_not_noted_nor_is_the_one_brought_back_watched(ends: End) -> None:
    """That one had been good before."""
    ends(lambda _monitor: [NOT_READY])
    assert exit_code("watch") == 1
    assert not is_watch_due("dev")


def test_before_the_first_release_there_is_nothing_to_watch(stack: FakeStack) -> None:
    """What makes one is said."""
    assert not is_watch_due("dev")
    with pytest.raises(RunbookError, match="no release of stack dev is live yet") as refusal:
        watch_live("dev", 60)
    assert refusal.value.hint == "`bin/runbook up --stack dev`"


def test_ctrl_c_ends_the_watch_and_changes_nothing(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """The release stays."""

    def interrupted(_monitor: Monitor) -> list[Check]:
        raise KeyboardInterrupt

    ends(interrupted)
    assert exit_code("watch") == 0
    assert "not watched any longer: r-2 stays live" in capsys.readouterr().err
    assert stack.live.release == "r-2"


def test_a_release_that_is_not_live_any_longer_is_left_alone(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever moved the traffic watches what they moved it to."""
    ends(lambda _monitor: None)
    assert exit_code("watch") == 0
    assert "r-2 is not live any longer: the watch ends" in capsys.readouterr().err
    assert stack.live.release == "r-2"


def test_a_release_that_fails_is_taken_out(
    stack: FakeStack, ends: End, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, with what was wrong and what is live now; the route notes the reason."""
    ends(lambda _monitor: [NOT_READY])
    assert exit_code("watch") == 1
    said = capsys.readouterr().err
    assert "error: release r-2 failed and was taken out of traffic: ready: fail: HTTP 503" in said
    assert "hint: r-1 is live again; mend the cause" in said
    assert stack.live.release == "r-1"
    move = stack.live.moves[-1]
    assert (move.verb, move.reason) == ("watch", "ready: fail: HTTP 503, limit yes, samples 1")


def test_a_release_that_nothing_can_replace_stays(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """It is said that it fails, and why it stays."""
    stack.serve("r-2", *moves_of("r-2"))
    workspace.found_outputs = deployed("r-2")
    with pytest.raises(
        RunbookError, match=r"r-2 fails \(ready: fail.*\), and was not taken out: there is no earlier release"
    ):
        take_out("dev", "r-2", [NOT_READY])
    assert stack.live.release == "r-2"


def test_a_release_that_came_meanwhile_is_not_taken_out_for_it(
    stack: FakeStack, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mended release is being deployed while the watch finds the bad one failing: it waits, and stops."""
    stack.add_release("r-3")
    theirs = DeployLock("dev").take(Holder.here(Kind.PROCESS, "up"))

    def deploy(_seconds: float) -> None:
        stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"))
        DeployLock("dev").remove(theirs)

    monkeypatch.setattr("runbook.deploy_lock.Patience", lambda: Patience(10, lambda: 0, deploy))
    with pytest.raises(RunbookError, match="r-2 is not live any longer: r-3 is"):
        take_out("dev", "r-2", [NOT_READY])
    assert stack.live.release == "r-3"
    assert History.of({}, observe_stack("dev")).rolled_back == {}


@pytest.mark.parametrize("left_s", [-1, 30])
def test_a_release_that_fails_goes_whatever_canary_was_left_beside_it(
    stack: FakeStack, workspace: FakeWorkspace, left_s: int
) -> None:
    """An update died meanwhile: the release that is watched is what fails, not the one with a share."""
    stack.add_release("r-3")
    stack.serve("r-2", *moves_of("r-1", "r-2"), canary="r-3", canary_until_s=int(time.time()) + left_s)
    with pytest.raises(RunbookError, match="r-2 failed and was taken out of traffic"):
        take_out("dev", "r-2", [NOT_READY])
    assert (stack.live.release, stack.live.canary) == ("r-1", None)
    assert History.of({}, observe_stack("dev")).rolled_back.keys() == {"r-2"}
