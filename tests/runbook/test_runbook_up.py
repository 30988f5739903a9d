from __future__ import annotations

import pytest
from engine_events import diagnostic, done, outputs, pre
from fake_workspace import FakeWorkspace
from releases_kit import history

from infra.order import Order
from runbook.deployment import answering, deploy
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.up import deploy_sources

UP = Order()
GATED = [pre("create", "gate-r-2"), done("create", "gate-r-2")]


def test_the_gates_figures_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """When it has passed, each check with value, limit and samples."""
    deploy(FakeWorkspace(events=[*GATED, outputs(history("r-1", "r-2"))]), UP)
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
        [pre("same", "gate-r-2"), done("same", "gate-r-2")],
    ],
    ids=["nothing to do", "an old gate goes", "it passed before"],
)
def test_figures_of_a_gate_that_did_not_run_are_not_shown(
    events: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """They would look like evidence of this update."""
    deploy(FakeWorkspace(events=[*events, outputs(history("r-1", "r-2"))]), UP)
    assert "samples" not in capsys.readouterr().err


def test_outputs_that_no_event_told_are_read() -> None:
    """The state has them too."""
    workspace = FakeWorkspace(found_outputs=history("r-1"))
    assert deploy(workspace, UP).outputs["release"] == "r-1"


def test_a_refusal_is_told_with_all_its_reasons() -> None:
    """In the engine's order; and what became of live traffic."""
    events = [
        diagnostic("error", "gate: load refused release r-2 (fail):\n  error rate: fail"),
        diagnostic("error", "and more"),
    ]
    with pytest.raises(RunbookError) as refusal:
        deploy(FakeWorkspace(events=events, failure=OperationFailed("update failed")), UP)
    assert refusal.value.message == "gate: load refused release r-2 (fail):\n  error rate: fail\nand more"
    assert refusal.value.hint == (
        "the live release has the traffic; mend the cause and run the same command again"
    )


def test_a_failure_before_the_first_event_has_the_clis_words() -> None:
    """A configuration that it cannot read, for example."""
    with pytest.raises(RunbookError, match="incorrect passphrase"):
        deploy(FakeWorkspace(failure=OperationFailed("incorrect passphrase")), UP)


@pytest.mark.parametrize(
    "words",
    [
        "Bind for 127.0.0.1:8080 failed: port is already allocated",
        "listen tcp4 127.0.0.1:8080: bind: address already in use",
    ],
)
def test_a_port_that_is_taken_says_how_to_take_another(words: str) -> None:
    """The setting and the command that sets it are named."""
    with pytest.raises(RunbookError, match=words) as refusal:
        deploy(FakeWorkspace("dev-2", events=[diagnostic("error", words)], failure=OperationFailed("")), UP)
    assert "bin/pulumi config set --path runbook:layout.port NUMBER --stack dev-2" in refusal.value.hint


@pytest.mark.parametrize(
    "words",
    [
        "network runbook-dev-2: cannot be created: network with name runbook-dev-2 already exists",
        'The container name "/runbook-dev-2-redis" is already in use by container "4a1f"',
    ],
)
def test_a_stack_of_another_checkout_is_told_as_such(words: str) -> None:
    """What is in the way can be looked at; nothing is live that this checkout knows."""
    with pytest.raises(RunbookError, match=words) as refusal:
        deploy(FakeWorkspace("dev-2", events=[diagnostic("error", words)], failure=OperationFailed("")), UP)
    assert "`docker ps -a --filter label=runbook.stack=dev-2`" in refusal.value.hint
    assert "live release" not in refusal.value.hint


def test_a_bare_stack_is_made_and_deployed() -> None:
    """One command from nothing."""
    workspace = FakeWorkspace(is_made=False, events=[outputs(history("r-1"))])
    assert deploy_sources(workspace, UP).outputs["release"] == "r-1"
    assert workspace.calls == ["create", "up"]
    assert workspace.is_set("secrets")


def test_the_order_reaches_the_update() -> None:
    """What is special about it holds for its repair too."""
    workspace, forced = FakeWorkspace(events=[outputs(history("r-1"))]), Order(force=True)
    problems = iter(["a container does not run", None])
    answering(workspace, forced, deploy(workspace, forced), lambda _expected: next(problems))
    assert workspace.orders == [forced, forced]


def test_what_was_removed_by_hand_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    """The state takes in what the engine has, and another update makes what is missing."""
    workspace = FakeWorkspace(events=[outputs(history("r-1"))])
    problems = iter(["1 of 5 containers do not run", None])
    progress = answering(workspace, UP, deploy(workspace, UP), lambda _expected: next(problems))
    assert workspace.calls == ["up", "refresh", "up"]
    assert progress.outputs["release"] == "r-1"
    assert "1 of 5 containers do not run" in capsys.readouterr().err


def test_a_live_release_is_left_alone() -> None:
    """Looking is all that is done, at its public address."""
    workspace = FakeWorkspace(events=[outputs(history("r-1"))])
    asked: list[str] = []
    answering(workspace, UP, deploy(workspace, UP), lambda expected: asked.append(expected.url))
    assert asked == ["http://127.0.0.1:8080"]
    assert workspace.calls == ["up"]


def test_what_cannot_be_put_right_is_an_error() -> None:
    """It is tried once."""
    workspace = FakeWorkspace(events=[outputs(history("r-1"))])
    with pytest.raises(RunbookError, match="not as it should be: silence") as refusal:
        answering(workspace, UP, deploy(workspace, UP), lambda _expected: "silence")
    assert workspace.calls == ["up", "refresh", "up"]
    assert "bin/runbook rollback" in refusal.value.hint
