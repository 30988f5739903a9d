"""A release whose containers are gone is made again; the state follows a traffic that has moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_events import diagnostic, outputs
from fake_engine import FakeEngine, FakeImages
from fake_stack import FakeStack, moves_of
from fake_suite import Smoke
from fake_workspace import KEY, FakeWorkspace, stack_with
from records import GATE, deployed, manifest, outputs_of, record

from infra.lock_holder import Holder, Kind
from infra.manifest import Manifest, Needed, Secrets
from infra.observed import observe_stack
from infra.suites import Depth
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.restore import Restore
from runbook.restore_by_state import check_whole, follow, restore_by_state, targets_of
from runbook.secret_values import known_secrets
from runbook.webhook_signer import Signer

HOLDER = Holder.here(Kind.PROCESS, "rollback")
SLOW = Restore("dev", None, "rollback", "slow")
SHARED = [
    {"urn": f"urn:pulumi:dev::runbook::docker:index/container:Container::runbook-dev-{part}"}
    for part in (
        *("network", "redis-data", "redis-conf", "redis-conf-seed", "redis"),
        *("proxy-routes", "proxy-routes-seed", "proxy"),
    )
]
STACK_ID = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::stack-id"


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    """The state of stack dev, in which r-1, r-2 and r-3 went live, one after the other."""
    found = stack_with()
    found.state = {"resources": SHARED}
    found.found_outputs = deployed("r-1", "r-2", "r-3")
    found.events = [outputs(found.found_outputs)]
    monkeypatch.setattr("runbook.restore_by_state.open_workspace", lambda _stack: found)
    return found


@pytest.fixture
def only_live(stack: FakeStack) -> FakeStack:
    """r-3 is live, and of the others only the images are left."""
    stack.add_release("r-3")
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"))
    stack.engine.images.names = {f"runbook/service:r-{number}" for number in (1, 2, 3)}
    return stack


def restore(request: Restore = SLOW, holder: Holder = HOLDER) -> str:
    """The release that came back."""
    return restore_by_state(request, observe_stack("dev"), holder)


def test_one_without_containers_is_made_again(
    only_live: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it was, at once, after a second of smoke, by an update of its own resources alone."""
    assert restore() == "r-2"
    (order,) = workspace.requests
    assert order.bring_back == manifest("r-2")
    assert (order.verb, order.reason, order.depth) == ("rollback", "slow", Depth.SHORT)
    assert (order.in_steps, order.force, order.gate) == (False, False, [])
    assert workspace.targets == [targets_of("r-2")]
    assert (
        "release r-2 has no containers any more: they are made again, which takes about 14 s; "
        "until then r-3 has the traffic"
    ) in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("role", ["web", "worker"])
def test_one_that_lost_a_container_is_made_whole_first(
    only_live: FakeStack,
    workspace: FakeWorkspace,
    smoke: Smoke,
    role: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half of it would get all the traffic. The state, which counts on what is gone, is refreshed first."""
    made_of = manifest("r-2", web_replicas=2, worker_replicas=2)
    workspace.found_outputs = outputs_of(record("r-2", manifest=made_of), record("r-3"))
    for number in (1, 2):
        only_live.add_release("r-2", made_of=made_of, number=number)
    lost = only_live.engine.containers.get(f"runbook-dev-{role}-2-r-2")
    lost.removed = True
    resources = [container_of(each.name, each.id) for each in only_live.engine.containers.found]
    workspace.state = {"resources": [*resources, {"urn": STACK_ID, "outputs": {"value": "ours"}}]}
    assert restore() == "r-2"
    assert workspace.calls == ["refresh", "up"]
    assert smoke.ran == []  # the update's own trial is its smoke
    assert (
        f"release r-2 has lost containers, of {role}: 1 of 2 are left: they are made again, which takes "
        "about 23 s; until then r-3 has the traffic; --force moves it to what is left"
    ) in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("by", ["its gate", "its own traffic"])
def test_a_refused_release_is_told_as_such(only_live: FakeStack, workspace: FakeWorkspace, by: str) -> None:
    """`releases` lists it: that it is not known would be no answer."""
    refused = record("r-9", refusal=["gate: load refused release r-9 (fail):"])
    if by == "its gate":
        trial = STACK_ID.replace("stack-id", "trial")
        workspace.state = {"resources": [{"urn": trial, "outputs": {"refused": [refused.as_data()]}}]}
    else:
        workspace.found_outputs = outputs_of(record("r-2"), record("r-3"), refused)
    with pytest.raises(RunbookError, match=r"^release r-9 was refused and never kept the traffic") as refusal:
        restore(Restore("dev", "r-9", "rollback", "slow"))
    assert "`bin/runbook releases`" in refusal.value.hint
    assert workspace.calls == []


def container_of(name: str, id_: str) -> dict[str, str]:
    """A container as the state has it."""
    kind = "docker:index/container:Container"
    return {"urn": f"urn:pulumi:dev::runbook::{kind}::{name}", "type": kind, "id": id_}


def test_what_was_removed_by_hand_is_made_again(only_live: FakeStack, workspace: FakeWorkspace) -> None:
    """All of a release's containers: the state has them still, and would make none."""
    workspace.state = {"resources": [*SHARED, container_of("runbook-dev-web-1-r-2", "gone")]}
    assert restore() == "r-2"
    assert workspace.calls == ["refresh", "up"]
    assert workspace.refreshed == [("**r-2**",)]
    assert workspace.targets == [targets_of("r-2")]


def test_what_the_state_has_lost_of_the_rest_is_made_again(
    only_live: FakeStack, workspace: FakeWorkspace
) -> None:
    """A release needs it. Somebody removed it, and an `up` that took note was refused then."""
    workspace.state = {"resources": [each for each in SHARED if not each["urn"].endswith(("seed", "-redis"))]}
    assert restore() == "r-2"
    lost = ("redis-conf-seed", "redis", "proxy-routes-seed")
    assert workspace.targets == [(*targets_of("r-2"), *(f"**::runbook-dev-{part}" for part in lost))]


def test_the_seconds_are_said_beforehand(
    only_live: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They depend on how many containers it had."""
    sizing = manifest("r-2").sizing.model_copy(update={"web_replicas": 10, "worker_replicas": 5})
    made_of = manifest("r-2").model_copy(update={"sizing": sizing})
    workspace.found_outputs = outputs_of(record("r-2", manifest=made_of), record("r-3"))
    said: list[str] = []
    up = workspace.up
    monkeypatch.setattr(workspace, "up", lambda *more: (said.append(capsys.readouterr().err), up(*more)))
    restore()
    assert "which takes about 40 s" in said[0]


def test_only_the_releases_own_resources_are_touched() -> None:
    """Whatever this checkout would make of network, Redis and proxy now; the four that move the traffic."""
    assert targets_of("r-2") == (
        *("**r-2**", "**::gate-*", "**::promoted-*"),
        *("**::candidate", "**::trial", "**::live", "**::ledger"),
    )


def test_one_that_is_named_comes_back(only_live: FakeStack, workspace: FakeWorkspace) -> None:
    """The watch's verb is noted as such."""
    assert restore(replace(SLOW, release="r-1", verb="watch")) == "r-1"
    assert workspace.requests[0].verb == "watch"


@pytest.mark.parametrize(
    ("release", "message", "hint"),
    [
        ("r-9", "release 'r-9' is not known, as far as", "can be brought back: r-2 (at once), r-1; mend it"),
        ("r-3", "release r-3 is live already, as far as", "others: r-2 (at once), r-1; mend it"),
        (
            "r-2",
            "release r-2 has lost containers, of worker: 0 of 1 are left",
            "`bin/runbook rollback r-2 --f",
        ),
        ("r-1", "there is no stack 'dev'", "mend it"),
    ],
)
def test_without_the_state_what_the_engine_tells_is_said(
    stack: FakeStack, release: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo, or what --force would do: whoever reads only of the state looks for that at 3 a.m."""

    def away(_stack: str) -> FakeWorkspace:
        raise RunbookError("there is no stack 'dev' in this checkout's state", "mend it")

    monkeypatch.setattr("runbook.restore_by_state.open_workspace", away)
    for each in ("r-2", "r-3"):
        stack.add_release(each)
    stack.serve("r-3", *moves_of("r-1", "r-2", "r-3"))
    stack.engine.containers.get("runbook-dev-worker-1-r-2").removed = True
    with pytest.raises(RunbookError) as refusal:
        restore(replace(SLOW, release=release))
    assert refusal.value.message.startswith(message)
    assert refusal.value.message.endswith("there is no stack 'dev' in this checkout's state")
    assert refusal.value.hint.startswith(hint)


def test_what_a_killed_update_left_is_cleared_first(only_live: FakeStack, workspace: FakeWorkspace) -> None:
    """Locks of machines whose deploy lock ran out too."""
    workspace.state = {"resources": [{"urn": STACK_ID, "outputs": {"value": "ours"}}]}
    orphan = only_live.engine.containers.add("half-made", state="ours")
    restore(holder=replace(HOLDER, took_over=("ci-1",)))
    assert orphan.removed
    assert workspace.calls == ["cancel", "up"]


@pytest.mark.parametrize(
    ("take", "refusal"),
    [
        ("image", "its image runbook/service:r-2 is gone from the engine"),
        ("secret", "the WAHA_API_KEY that it had is not known any more"),
        ("migration", "is from before a migration that cannot be undone"),
        ("manifest", "nothing is known of what release r-2 consists of"),
    ],
)
def test_one_that_is_not_whole_stays_where_it_is(
    only_live: FakeStack, workspace: FakeWorkspace, take: str, refusal: str
) -> None:
    """Before anything moves."""
    made_of: Manifest | None = manifest("r-2")
    live = record("r-3")
    if take == "image":
        only_live.engine.images.names.discard("runbook/service:r-2")
    elif take == "secret":
        made_of = manifest("r-2", secrets={"WAHA_API_KEY": "another digest"})
    elif take == "migration":
        needed = [Needed(key="0002-drop@abc", irreversible="the names are gone")]
        live = record("r-3", manifest=manifest("r-3", migrations=needed))
    else:
        made_of = None
    workspace.found_outputs = outputs_of(record("r-2", manifest=made_of), live)
    with pytest.raises(RunbookError, match=refusal):
        restore()
    assert (workspace.calls, only_live.live.release) == ([], "r-3")


def test_force_tries_nothing(only_live: FakeStack, workspace: FakeWorkspace) -> None:
    """No gate, and no migration stands in its way; what is not there cannot come back all the same."""
    needed = [Needed(key="0002-drop@abc", irreversible="the names are gone")]
    live = record("r-3", manifest=manifest("r-3", migrations=needed))
    workspace.found_outputs = outputs_of(record("r-2"), live)
    assert restore(replace(SLOW, force=True)) == "r-2"
    assert (workspace.requests[0].depth, workspace.requests[0].force) == (Depth.NONE, True)
    only_live.engine.images.names.clear()
    with pytest.raises(RunbookError, match="is gone from the engine"):
        restore(replace(SLOW, force=True))


def test_a_gate_that_refuses_it_leaves_the_traffic(only_live: FakeStack, workspace: FakeWorkspace) -> None:
    """With the gate's words."""
    workspace.events = [diagnostic("error", "gate: smoke refused release r-2 (fail):\n  ready: fail")]
    workspace.failure = OperationFailed("update failed")
    with pytest.raises(RunbookError, match="ready: fail"):
        restore()
    assert only_live.live.release == "r-3"


def test_one_that_the_state_knows_and_that_still_runs_is_not_made_again(
    only_live: FakeStack, workspace: FakeWorkspace, smoke: Smoke
) -> None:
    """The route's moves did not tell of it: an older version wrote the route. The traffic moves first."""
    only_live.add_release("r-2")
    only_live.serve("r-3")
    assert restore() == "r-2"
    assert only_live.live.release == "r-2"
    assert [order.depth for order in workspace.requests] == [Depth.NONE]


def test_without_a_proxy_nothing_is_made(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """Somebody removed it: there is no traffic to move. `up` makes it again."""
    stack.add_release("r-3")
    stack.proxy.removed = True
    with pytest.raises(RunbookError, match="the stack's proxy is gone: nobody is served") as refusal:
        restore()
    assert refusal.value.hint.startswith("`bin/runbook up` makes it again, and deploys what is checked out")
    assert workspace.calls == []


def test_a_stack_that_is_nowhere_is_not_said_to_have_lost_its_proxy(
    stack: FakeStack, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name was mistyped: `up` would make one."""
    stack.engine.containers.found.clear()

    def opened(_stack: str) -> FakeWorkspace:
        raise RunbookError("there is no stack 'dev'", "")

    monkeypatch.setattr("runbook.restore_by_state.open_workspace", opened)
    with pytest.raises(RunbookError, match="there is no stack 'dev'"):
        restore()


def test_the_state_follows_the_traffic(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """By an update that tries nothing again, with what the smoke before found; forced or not."""
    for force in (False, True):
        follow(replace(SLOW, force=force), "r-2", observe_stack("dev"), GATE[0], HOLDER)
        order, targets = workspace.requests.pop(), workspace.targets.pop()
        assert (order.depth, order.in_steps, order.force) == (Depth.NONE, False, force)
        assert (order.bring_back, order.gate, targets) == (manifest("r-2"), [GATE[0]], targets_of("r-2"))


def test_what_a_forced_rollback_went_past_is_made_again(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """The release has the traffic with what is left of it; the rest comes back with the state."""
    left, _ = stack.add_release("r-2")
    gone = container_of("runbook-dev-worker-1-r-2", "gone")
    workspace.state = {"resources": [container_of(left.name, left.id), gone]}
    follow(replace(SLOW, force=True), "r-2", observe_stack("dev"), None, HOLDER)
    assert workspace.calls == ["refresh", "up"]


def test_what_its_containers_do_not_tell_is_in_the_state(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """They were made by an older version, without a label. A report there may be none."""
    follow(SLOW, "r-2", observe_stack("dev"), None, HOLDER)
    assert workspace.requests[0].bring_back == manifest("r-2")
    assert workspace.requests[0].gate == []


def test_what_the_state_has_not_heard_of_is_in_its_containers(
    stack: FakeStack, workspace: FakeWorkspace
) -> None:
    """It went live by an update that was interrupted."""
    stack.add_release("r-9")
    follow(SLOW, "r-9", observe_stack("dev"), None, HOLDER)
    assert workspace.requests[0].bring_back == manifest("r-9")


def test_what_has_just_lost_the_traffic_ends_what_it_has(stack: FakeStack, workspace: FakeWorkspace) -> None:
    """A restored state knows nothing of it; what a killed update left half made goes, as ever."""
    workspace.state = {"resources": [{"urn": STACK_ID, "outputs": {"value": "ours"}}]}
    stack.deploy("r-2", "r-3")
    web = stack.engine.containers.get("runbook-dev-web-1-r-3")
    half_made = stack.engine.containers.add("half-made", state="ours", release="r-4")
    web.labels["runbook.state"] = "ours"
    before = observe_stack("dev")
    stack.serve("r-2", *moves_of("r-2", "r-3", "r-2"))
    follow(SLOW, "r-2", before, None, HOLDER)
    assert (web.removed, half_made.removed) == (False, True)


def test_what_nobody_tells_is_a_warning(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The traffic has moved all the same."""
    follow(SLOW, "r-9", observe_stack("dev"), None, HOLDER)
    assert workspace.requests == []
    assert "could not follow: nothing is known of what release r-9 consists of" in capsys.readouterr().err


def test_where_the_state_has_another_release_that_is_said(
    only_live: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both where the traffic has moved already, and where containers have to be made first."""
    workspace.found_outputs = deployed("r-1", "r-2")
    warning = "warning: the proxy serves r-3, the state says that r-2 is live: this goes by the proxy"
    follow(SLOW, "r-2", observe_stack("dev"), None, HOLDER)
    assert warning in capsys.readouterr().err
    assert restore() == "r-2"
    assert warning in capsys.readouterr().err
    workspace.found_outputs = deployed("r-1", "r-2", "r-3")
    assert restore() == "r-2"
    assert "goes by the proxy" not in capsys.readouterr().err


@pytest.mark.parametrize("force", [False, True])
def test_one_that_would_refuse_every_webhook_stays_where_it_is(
    only_live: FakeStack, workspace: FakeWorkspace, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was gated before a rotation that is over. Its own smoke, signed with its own secret, would pass."""
    workspace.keep_secrets(
        {
            "current": {**workspace.secrets()["current"], "WAHA_WEBHOOK_SECRET": "hunter2"},
            "retired": {Secrets({}, {}, KEY).digest("hunter1"): "hunter1"},
        }
    )
    made_of = manifest("r-2", secrets={"WAHA_WEBHOOK_SECRET": Secrets({}, {}, KEY).digest("hunter1")})
    workspace.found_outputs = outputs_of(record("r-2", manifest=made_of), record("r-3"))
    monkeypatch.setattr("runbook.restore_checks.observe_signer", lambda *_, **_more: Signer.NEW)
    if force:
        assert restore(replace(SLOW, force=True)) == "r-2"
        return
    with pytest.raises(RunbookError, match="r-2 does not know the WAHA_WEBHOOK_SECRET that WAHA signs with"):
        restore()
    assert (workspace.calls, only_live.live.release) == ([], "r-3")


def known(**retired: str) -> Secrets:
    """Those of a stack whose secret is `new` now, and that knows those *retired* (by digest)."""
    made = stack_with(WAHA_API_KEY="new")
    made.keep_secrets({"current": made.secrets()["current"], "retired": retired})
    return known_secrets(made)


def gated_with(secret: str) -> Manifest:
    """The manifest of a release that was gated with *secret*."""
    return manifest("r-1", secrets={"WAHA_API_KEY": Secrets({}, {}, KEY).digest(secret)})


THERE = FakeEngine(images=FakeImages({"runbook/service:r-1"}))


def test_a_whole_release_may_come_back() -> None:
    """Its image is there, its secrets are known: the current ones, or those that were."""
    check_whole(known(), gated_with("new"), THERE)  # type: ignore[arg-type]
    old = {Secrets({}, {}, KEY).digest("old"): "old"}
    check_whole(known(**old), gated_with("old"), THERE)  # type: ignore[arg-type]


def test_a_release_without_its_image_is_refused_before_anything_moves() -> None:
    """By the image's name, with what to do instead."""
    with pytest.raises(RunbookError, match="its image runbook/service:r-1 is gone") as refusal:
        check_whole(known(), gated_with("new"), FakeEngine())  # type: ignore[arg-type]
    assert "`bin/runbook releases`" in refusal.value.hint


def test_a_release_whose_secret_is_no_longer_known_is_refused() -> None:
    """By the secret's name, never a value."""
    with pytest.raises(RunbookError, match="the WAHA_API_KEY that it had is not known any more") as refusal:
        check_whole(known(), gated_with("old"), THERE)  # type: ignore[arg-type]
    assert "secrets set WAHA_API_KEY" in refusal.value.hint
    assert "old" not in str(refusal.value)
