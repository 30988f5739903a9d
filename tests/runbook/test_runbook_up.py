"""One update as `up` and the others run it: shown, explained, seen through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from docker.errors import DockerException
from engine_events import diagnostic, done, outputs, pre, urn
from fake_stack import FakeStack
from fake_workspace import FakeWorkspace, stack_with
from records import deployed, outputs_of, record

from infra.deploy_lock import DeployLock
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.lock_holder import Holder, Kind
from runbook.deployment import deploy, ensure_live, hold_for_deployment, rehearse, situation
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.up import deploy_sources

UP = DeployRequest()
DOCKER = "docker:index/container:Container"
LEDGER = "pulumi-python:dynamic:Resource"
MOVED = [pre("update", "ledger", LEDGER), done("update", "ledger", LEDGER)]
HOLDER = Holder.here(Kind.PROCESS, "up")


def labels(release: str) -> dict[str, object]:
    """The inputs of a container of *release*; of what all share, without one."""
    return {"labels": [{"label": "runbook.release", "value": release}] if release else []}


def test_the_figures_of_the_gate_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """When the traffic has moved, each check with value, limit and samples."""
    deploy(FakeWorkspace(events=[*MOVED, outputs(deployed("r-1", "r-2"))]), UP)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  smoke: pass",
        "    webhook answers in time: pass: 12.5 ms, limit 3000 ms, samples 20",
        "  load: pass",
        "    error rate: pass: 0.0012, limit 0.01, samples 1100",
        "    webhook p95: pass: 12.345 ms, limit 500 ms, samples 1100",
        "    reply p95: pass: 87.6 ms, limit 3000 ms, samples 1100",
    ]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [pre("delete", "gate-r-1"), done("delete", "gate-r-1")],
        [pre("update", "live"), done("update", "live")],
    ],
    ids=["nothing to do", "an old gate goes", "a route as it was"],
)
def test_figures_are_not_shown_where_the_traffic_did_not_move(
    events: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """They would look like evidence of this update."""
    deploy(FakeWorkspace(events=[*events, outputs(deployed("r-1", "r-2"))]), UP)
    assert "samples" not in capsys.readouterr().err


def test_figures_of_a_release_that_was_refused_are_not_the_live_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last record is not always that of the release with the traffic."""
    refused = outputs_of(record("r-1"), record("r-2", refusal=["traffic: r-2 did not keep the traffic"]))
    deploy(FakeWorkspace(events=[*MOVED, outputs(refused)]), UP)
    assert "samples" not in capsys.readouterr().err


def test_outputs_that_no_event_told_are_read() -> None:
    """The state has them too."""
    workspace = FakeWorkspace(found_outputs=deployed("r-1"))
    assert deploy(workspace, UP).outputs["release"] == "r-1"


def test_a_refusal_is_told_with_all_its_reasons(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the engine's order; and who has the traffic, as the proxy says."""
    stack.deploy("r-1")
    monkeypatch.setattr("runbook.deployment.why_stack_silent", lambda _stack: None)
    events = [
        diagnostic("error", "gate: load refused release r-2 (fail):\n  error rate: fail"),
        diagnostic("error", "and more"),
    ]
    with pytest.raises(RunbookError) as refusal:
        deploy(FakeWorkspace(events=events, failure=OperationFailed("update failed")), UP)
    assert refusal.value.message == "gate: load refused release r-2 (fail):\n  error rate: fail\nand more"
    assert refusal.value.hint == (
        "release r-1 has the traffic; mend the cause and run the same command again"
    )


def test_a_refusal_with_a_hint_keeps_it() -> None:
    """It came as text through Pulumi's engine, whose frame is around it."""
    text = "creating urn:x: 1 error occurred:\n\t* this engine has a stack dev\nhint: deploy it from there"
    with pytest.raises(RunbookError) as refusal:
        deploy(FakeWorkspace(events=[diagnostic("error", text)], failure=OperationFailed("")), UP)
    assert "this engine has a stack dev" in refusal.value.message
    assert "hint" not in refusal.value.message
    assert refusal.value.hint == "deploy it from there"


def test_a_failure_before_the_first_event_has_the_clis_words() -> None:
    """A configuration that it cannot read, for example."""
    with pytest.raises(RunbookError, match="incorrect passphrase"):
        deploy(FakeWorkspace(failure=OperationFailed("incorrect passphrase")), UP)


def test_who_has_the_traffic_is_what_proxy_and_frontend_say(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody, a release that answers, one that does not; never a release that only the state names."""
    assert situation("dev") == "no release of stack dev has traffic yet"
    stack.deploy("r-1")
    monkeypatch.setattr("runbook.deployment.why_stack_silent", lambda _stack: "GET x answered 503")
    assert situation("dev") == "release r-1 has the traffic, and does not answer: GET x answered 503"


def test_without_the_engine_who_has_the_traffic_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said, and hides no other error."""

    def away() -> object:
        raise DockerException("connection refused")

    monkeypatch.setattr("docker.from_env", away)
    assert situation("dev") == "who has the traffic of stack dev cannot be seen (connection refused)"


def test_a_bare_stack_is_made_and_deployed() -> None:
    """One command from nothing."""
    workspace = FakeWorkspace(is_made=False, events=[outputs(deployed("r-1"))])
    assert deploy_sources(workspace, UP, HOLDER).outputs["release"] == "r-1"
    assert workspace.calls == ["create", "up"]
    assert workspace.is_set("secrets")


def test_anothers_containers_are_left_as_they_are(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is not here: `up` refuses, and starts nothing that somebody has stopped on purpose."""
    monkeypatch.setattr("runbook.repair._SETTLE_S", 0.0)
    stack.deploy("r-1")
    workspace = stack_with()
    workspace.failure = OperationFailed("this engine has a stack dev that is not in this checkout's state")
    ours, (web, worker) = stack.engine.containers.add("ours", role="web"), stack.engine.containers.found[1:3]
    workspace.state = {"resources": [{"urn": urn("ours"), "id": ours.id}]}
    ours.status, web.status, worker.status = "exited", "paused", "exited"
    with pytest.raises(RunbookError, match="not in this checkout's state"):
        deploy_sources(workspace, UP, HOLDER)
    assert (ours.status, web.status, worker.status) == ("running", "paused", "exited")
    assert web.done == worker.done == []


def test_an_update_is_rehearsed_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """What the update would do is no news; why it is refused is."""
    workspace = FakeWorkspace(events=[pre("create", "web-1"), diagnostic("warning", "nothing much")])
    rehearse(workspace, DeployRequest(force=True))
    assert workspace.requests == [DeployRequest(force=True, is_rehearsal=True)]
    assert capsys.readouterr().err == "  warning: nothing much\n"
    workspace.events.append(diagnostic("error", "gate: r-1 was rolled back\nhint: take another"))
    workspace.failure = OperationFailed("preview failed")
    with pytest.raises(RunbookError, match="r-1 was rolled back") as refusal:
        rehearse(workspace, UP)
    assert refusal.value.hint == "take another"
    assert workspace.calls == ["preview", "preview"]


def test_the_order_reaches_the_update() -> None:
    """What is special about it holds for its repair too."""
    workspace, forced = FakeWorkspace(events=[outputs(deployed("r-1"))]), DeployRequest(force=True)
    problems = iter(["a container does not run", None])
    ensure_live(workspace, forced, deploy(workspace, forced), lambda _expected: next(problems))
    assert workspace.requests == [forced, forced]


def test_what_was_removed_by_hand_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    """The state takes in what the engine has, and another update makes what is missing."""
    workspace = FakeWorkspace(events=[outputs(deployed("r-1"))])
    problems = iter(["1 of 5 containers do not run", None])
    progress = ensure_live(workspace, UP, deploy(workspace, UP), lambda _expected: next(problems))
    assert workspace.calls == ["up", "refresh", "up"]
    assert progress.outputs["release"] == "r-1"
    assert "1 of 5 containers do not run" in capsys.readouterr().err


def test_a_live_release_is_left_alone() -> None:
    """Looking is all that is done, at its public address."""
    workspace = FakeWorkspace(events=[outputs(deployed("r-1"))])
    asked: list[str] = []
    ensure_live(workspace, UP, deploy(workspace, UP), lambda expected: asked.append(expected.url))
    assert asked == ["http://127.0.0.1:8080"]
    assert workspace.calls == ["up"]


def test_what_cannot_be_put_right_is_an_error() -> None:
    """It is tried once; what can be gone back to is offered."""
    workspace = FakeWorkspace("dev-2", events=[outputs(deployed("r-0", "r-1"))])
    with pytest.raises(RunbookError, match="not as it should be: silence") as refusal:
        ensure_live(workspace, UP, deploy(workspace, UP), lambda _expected: "silence")
    assert workspace.calls == ["up", "refresh", "up"]
    assert "`bin/runbook rollback --stack dev-2`" in refusal.value.hint


def test_a_kept_release_that_does_not_stay_up_is_no_fault_of_the_live_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may be kept for its being the one before, and crash still: nobody is to go back to it."""
    events = [done("create", of, DOCKER, id=f"web-{of}", inputs=labels(of)) for of in ("r-0", "r-1", "")]
    workspace = FakeWorkspace(events=[*events, outputs(deployed("r-0", "r-1"))])
    up = {"web-r-1", "web-"}
    ensure_live(
        workspace,
        UP,
        deploy(workspace, UP),
        lambda expected: "1 of 3 containers do not run" if expected.containers - up else None,
    )
    said = capsys.readouterr().err
    assert "warning: 1 of 3 containers do not run: those of a release that is kept for a rollback" in said


def test_there_is_no_way_back_from_the_first_release() -> None:
    """So none is offered; one that was refused is none either."""
    outputs_of_first = outputs_of(record("r-0", refusal=["it was slow"]), record("r-1"))
    workspace = FakeWorkspace(events=[outputs(outputs_of_first)])
    with pytest.raises(RunbookError, match="not as it should be") as refusal:
        ensure_live(workspace, UP, deploy(workspace, UP), lambda _expected: "silence")
    assert refusal.value.hint == "see `docker ps -a` and `docker logs NAME`"


def test_alerts_are_silent_only_for_whoever_has_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """One who waits for somebody else's deployment has nothing to silence yet."""
    began: list[str] = []

    @contextmanager
    def silenced(_alertmanager: object, stack: str, *_more: object) -> Iterator[None]:
        began.append(stack)
        yield

    monkeypatch.setattr("runbook.deployment.silenced", silenced)
    with hold_for_deployment("acme/runbook/dev", "up") as holder:
        assert holder.message == "up"
        assert began == ["dev"]
    DeployLock("dev").take(Holder.here(Kind.MANUAL, "incident 42"))
    with pytest.raises(Refused, match="incident 42"), hold_for_deployment("dev", "up"):
        pytest.fail("it is frozen")
    assert began == ["dev"]


def test_who_has_the_traffic_is_told_at_ctrl_c(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a refusal; the lock and the silence are ended by then."""
    stack.deploy("r-1")
    monkeypatch.setattr("runbook.deployment.why_stack_silent", lambda _stack: None)
    with pytest.raises((KeyboardInterrupt, RunbookError)) as refusal, hold_for_deployment("dev", "up"):
        raise KeyboardInterrupt
    assert isinstance(refusal.value, RunbookError)
    assert refusal.value.message == "interrupted"
    assert refusal.value.hint == (
        "release r-1 has the traffic; run the same command again: it goes on from what is there"
    )
    assert DeployLock("dev").read() is None
