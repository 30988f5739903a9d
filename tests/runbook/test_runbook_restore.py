"""An earlier release instead of the live one: which, what speaks against it, and the move of the traffic."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from fake_stack import SECRETS, FakeStack, backend, moves_of
from fake_suite import Smoke
from records import deployed, history_of, manifest, outputs_of, record, route

from infra.haproxy_config import route_config
from infra.history import History
from infra.live_route import LiveRoute
from infra.manifest import MANIFEST_LABEL, Needed
from infra.observed import Observed, observe_stack
from infra.proxy_control import ProxyControl
from runbook.errors import RunbookError
from runbook.restore import Restore, choose, kept_target, shift_to_kept
from runbook.restore_checks import check_passable, check_signed, read_secret
from runbook.webhook_signer import Signer

ROLLED_BACK = [record("r-1"), record("r-2"), record("r-3"), record("r-2", "rollback", "slow")]
SOON, PAST = int(time.time()) + 3600, int(time.time()) - 1


@pytest.mark.parametrize(
    ("outputs", "asked", "chosen"),
    [
        (deployed("r-1", "r-2"), None, "r-1"),
        (deployed("r-1", "r-2", "r-3"), None, "r-2"),
        (deployed("r-1", "r-2", "r-1"), None, "r-2"),
        (deployed("r-1", "r-2", "r-2"), None, "r-1"),
        (deployed("r-1", "r-2", "r-3"), "r-1", "r-1"),
        (outputs_of(*ROLLED_BACK), None, "r-1"),
        (outputs_of(*ROLLED_BACK), "r-3", "r-3"),
    ],
)
def test_the_release_named_or_the_last_good_one(
    outputs: dict[str, Any], asked: str | None, chosen: str
) -> None:
    """The last good one is the last that was live, is not live, and was not rolled back; any can be named."""
    assert choose(history_of(outputs), asked) == chosen


def test_a_release_that_was_live_twice_comes_back_as_it_was_last() -> None:
    """The same id is the same content, and the later manifest is the one to trust."""
    later = record("r-1", manifest=manifest("r-1").model_copy(update={"image": "the later one"}))
    history = history_of(outputs_of(record("r-1"), record("r-2"), later, record("r-2")))
    assert history.manifests[choose(history, None)].image == "the later one"


NONE = "there is no earlier release that was good"


@pytest.mark.parametrize(
    ("outputs", "asked", "message", "hint"),
    [
        (deployed("r-1", "r-2"), "r-2", "release r-2 is live already", "others: r-1"),
        (deployed("r-1"), "r-1", "release r-1 is live already", "others: none yet"),
        (deployed("r-1", "r-2", "r-3"), "r-9", "release 'r-9' is not known", "can be brought back: r-2, r-1"),
        (deployed("r-1", "r-2", kept=("r-1",)), "r-9", "release 'r-9' is not known", "r-1 (at once)"),
        (outputs_of(*ROLLED_BACK[1:]), None, NONE, "name one: r-3 (rolled back)"),
        (deployed("r-1"), None, NONE, "bin/runbook up"),
        (deployed(), None, NONE, "bin/runbook up"),
        ({}, None, NONE, "bin/runbook up"),
        ({}, "r-1", "release 'r-1' is not known", "can be brought back: none yet"),
    ],
)
def test_what_cannot_be_brought_back(
    outputs: dict[str, Any], asked: str | None, message: str, hint: str
) -> None:
    """The refusal says why, and what there is instead, the latest first."""
    with pytest.raises(RunbookError) as refusal:
        choose(history_of(outputs), asked)
    assert refusal.value.message == message
    assert hint in refusal.value.hint


def test_the_routes_moves_tell_which_it_is() -> None:
    """Without any state: another machine, a backend that is away."""
    history = History.of({}, Observed(route("r-3", *moves_of("r-1", "r-2", "r-3"))))
    assert choose(history, None) == "r-2"
    assert choose(history, "r-1") == "r-1"


def test_what_the_state_has_not_heard_of_counts() -> None:
    """An update was interrupted after the traffic had moved: the state still calls r-2, a good one, live."""
    moved = route("r-3", *moves_of("r-1", "r-2", "r-3")[2:])
    history = history_of(deployed("r-1", "r-2"), moved)
    assert choose(history, None) == "r-2"
    with pytest.raises(RunbookError, match="release r-3 is live already"):
        choose(history, "r-3")


def running(*releases: str, live: LiveRoute) -> Observed:
    """A stack in which *releases* have containers."""
    stack = FakeStack()
    for release in releases:
        stack.add_release(release)
    return Observed(live, tuple(stack.engine.containers.found))  # type: ignore[arg-type]


THREE = route("r-3", *moves_of("r-1", "r-2", "r-3"))
BACK = route("r-1", *moves_of("r-1", "r-2"), moves_of("r-2", "r-1", verb="rollback")[1])
CANARY = route("r-2", *moves_of("r-1", "r-2"), canary="r-3", until_s=SOON)
LEFT = route("r-2", *moves_of("r-1", "r-2"), canary="r-3", until_s=PAST)


@pytest.mark.parametrize(
    ("live", "running_too", "asked", "target"),
    [
        (THREE, ["r-1", "r-2"], None, "r-2"),
        (THREE, ["r-1", "r-2"], "r-1", "r-1"),
        (THREE, ["r-1"], None, None),
        (THREE, ["r-2"], "r-1", None),
        (THREE, ["r-1", "r-2"], "r-3", None),
        (THREE, ["r-1", "r-2", "r-9"], "r-9", None),
        (BACK, ["r-2"], None, None),
        (BACK, ["r-2"], "r-2", "r-2"),
        (route("r-1", *moves_of("r-1")), ["r-0"], None, None),
        (route("r-1"), ["r-0"], None, None),
        (CANARY, ["r-1", "r-3"], None, "r-2"),
        (CANARY, ["r-1", "r-3"], "r-2", "r-2"),
        (CANARY, ["r-1", "r-3"], "r-1", "r-1"),
        (LEFT, ["r-1", "r-3"], None, "r-2"),
        (LEFT, ["r-1", "r-3"], "r-2", "r-2"),
        (LEFT, ["r-1", "r-3"], "r-1", "r-1"),
    ],
    ids=[
        "the last good one",
        "one that is named",
        "its containers are gone",
        "those of the one named are gone",
        "it is live",
        "one that never was live: its gate refused it",
        "all others were rolled back",
        "one that was rolled back, by its name",
        "the first release",
        "a route that an older version wrote",
        "a canary has a share",
        "the one beside a canary",
        "another than the two",
        "a canary's lease is over",
        "the one beside what is left of a canary",
        "another than what is left of a canary and the one beside it",
    ],
)
def test_what_the_engine_alone_can_bring_back(
    live: LiveRoute, running_too: list[str], asked: str | None, target: str | None
) -> None:
    """Else the state has to be asked."""
    observed = running(live.release, *running_too, live=live)
    assert kept_target(History.of({}, observed), observed, asked) == target


def test_without_a_live_route_the_state_has_to_be_asked() -> None:
    """The proxy is gone, or nothing was live yet."""
    observed = Observed(None, running("r-1", live=THREE).containers)
    assert kept_target(History.of({}, observed), observed, "r-1") is None


DROPPED = [Needed(key="0002-drop-names@abc", irreversible="the names are gone")]


def test_a_release_from_before_what_cannot_be_undone_stays_where_it_is() -> None:
    """With the reason, before anything moves; one that knows the migration may come back."""
    history = history_of(
        outputs_of(
            record("r-1"),
            record("r-2", manifest=manifest("r-2", migrations=DROPPED)),
            record("r-3", manifest=manifest("r-3", migrations=DROPPED)),
        )
    )
    check_passable(history, history.manifests["r-2"])
    with pytest.raises(RunbookError, match="0002-drop-names@abc: the names are gone") as refusal:
        check_passable(history, history.manifests["r-1"])
    assert "--force" in refusal.value.hint


OLD, NEW, BOTH = ["old"], ["new"], ["new", "old", "older"]


@pytest.mark.parametrize(
    ("to", "now", "signer"),
    [
        (OLD, OLD, Signer.UNKNOWN),
        (BOTH, NEW, Signer.NEW),
        (NEW, BOTH, Signer.OLD),
        (OLD, BOTH, Signer.OLD),
        (OLD, BOTH, Signer.UNKNOWN),
        (OLD, NEW, Signer.UNKNOWN),
    ],
    ids=["no rotation", "after it", "back into it", "WAHA has the old one", "nothing comes", "none is taken"],
)
def test_a_release_that_knows_the_secret_in_use_may_come_back(
    to: list[str], now: list[str], signer: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is doubt that stays, it is said."""
    check_signed("r-1", to, now, signer)
    doubt = now is not to and to is OLD and signer is Signer.UNKNOWN
    assert ("does WAHA sign with that one?" in capsys.readouterr().err) is doubt


@pytest.mark.parametrize(("now", "signer"), [(BOTH, Signer.NEW), (NEW, Signer.NEW), (NEW, Signer.OLD)])
def test_a_release_that_would_refuse_every_webhook_stays_where_it_is(now: list[str], signer: Signer) -> None:
    """WAHA signs with the new secret, or the live release takes no other: the old one knows neither."""
    with pytest.raises(RunbookError, match="r-1 does not know the WAHA_WEBHOOK_SECRET") as refusal:
        check_signed("r-1", OLD, now, signer)
    assert "--force" in refusal.value.hint


def shift(release: str, *, force: bool = False, reason: str = "slow") -> None:
    """Give *release* the traffic of stack dev."""
    observed = observe_stack("dev")
    request = Restore("acme/runbook/dev", release, "rollback", reason, force)
    shift_to_kept(request, History.of({}, observed), observed, release)


def test_the_traffic_goes_to_the_release_and_the_route_says_so(stack: FakeStack, smoke: Smoke) -> None:
    """By whom, why and instead of what; the moves of before are kept."""
    stack.deploy("r-1", "r-2")
    shift("r-1")
    assert stack.live.release == "r-1"
    *before, move = stack.live.moves
    assert tuple(before) == moves_of("r-1", "r-2")
    assert (move.release, move.replaced, move.verb, move.reason) == ("r-1", "r-2", "rollback", "slow")
    assert move.by


def test_the_route_goes_on_telling_the_commit_of_a_release(stack: FakeStack, smoke: Smoke) -> None:
    """A hotfix begins there, also where the state cannot follow: not at the commit of this checkout."""
    stack.deploy("r-1", "r-2")
    first, last = (each.model_copy(update={"commit": each.id, "branch": "main"}) for each in stack.live.moves)
    stack.serve("r-2", first, last)
    shift("r-1")
    assert [(move.commit, move.branch) for move in stack.live.moves] == [
        ("m-0", "main"),
        ("m-1", "main"),
        ("m-0", "main"),
    ]


def test_a_second_of_smoke_comes_first(stack: FakeStack, smoke: Smoke) -> None:
    """Through the candidate frontend, signed with the secret that the release itself has."""
    stack.deploy("r-1", "r-2")
    for container in stack.engine.containers.list({"label": "runbook.release=r-1"}):
        container.files[f"{SECRETS}/WAHA_WEBHOOK_SECRET_PREVIOUS"] = "older"
    shift("r-1")
    (command,) = smoke.ran
    assert command[command.index("--base-url") + 1] == "http://127.0.0.1:18081"
    assert "--short" in command
    assert command[command.index("--baseline") + 1] == "http://127.0.0.1:18083"
    assert smoke.env == {"WAHA_WEBHOOK_SECRET": "hunter2"}
    assert smoke.candidate == "r-1"
    assert stack.proxy.put == ["candidate", "baseline", "live"]
    assert "remove baseline" in stack.proxy.done


def test_what_was_asked_of_another_release_moves_nothing(stack: FakeStack, smoke: Smoke) -> None:
    """Under a freeze nobody holds the lock: another rollback leads the candidate frontend elsewhere."""
    stack.deploy("r-1", "r-2", "r-3")
    proxy = ProxyControl("runbook-dev-proxy", stack.engine)
    smoke.meanwhile = lambda: proxy.put_route("candidate", route_config("candidate", backend("r-2")))
    before = stack.live
    with pytest.raises(RunbookError, match="another rollback tests r-2 where r-1 was tested"):
        shift("r-1")
    assert stack.live == before


def test_a_release_that_smoke_refuses_does_not_get_the_traffic(stack: FakeStack, smoke: Smoke) -> None:
    """Nothing of the live route has changed; it is said how the traffic moves all the same."""
    stack.deploy("r-1", "r-2")
    smoke.refusal = ["gate: smoke refused release r-1 (fail):", "  ready: fail: no answer"]
    before = stack.live
    with pytest.raises(RunbookError, match="ready: fail: no answer") as refusal:
        shift("r-1")
    assert stack.live == before
    assert stack.proxy.put == ["candidate", "baseline"]
    assert "remove baseline" in stack.proxy.done
    assert "nothing was moved" in refusal.value.hint
    assert "--force" in refusal.value.hint


@pytest.mark.parametrize("release", ["r-1", "r-2"])
def test_a_secret_is_read_where_the_release_has_it(stack: FakeStack, release: str) -> None:
    """In its own container, which need not run: not from the state, whose secrets may be newer."""
    stack.add_release("r-1", secrets={"WAHA_WEBHOOK_SECRET": "of r-1"})
    for container in stack.add_release("r-2", secrets={"WAHA_WEBHOOK_SECRET": "of r-2"}):
        container.status = "exited"
    stack.serve("r-2")
    assert read_secret(observe_stack("dev"), release, "WAHA_WEBHOOK_SECRET") == f"of {release}"


def test_a_secret_that_is_not_there_is_none(stack: FakeStack) -> None:
    """The containers are gone, or went while they were asked, or have no such file."""
    assert read_secret(observe_stack("dev"), "r-1", "WAHA_WEBHOOK_SECRET") is None
    web, _ = stack.add_release("r-1")
    observed = observe_stack("dev")
    assert read_secret(observed, "r-1", "WAHA_API_KEY") is None
    web.removed = True
    assert read_secret(observed, "r-1", "WAHA_WEBHOOK_SECRET") is None


@pytest.fixture
def rotating(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> list[Signer]:
    """r-2 is live and takes two secrets, r-1 the older one alone; WAHA signs as the list's last says."""
    stack.add_release("r-1", secrets={"WAHA_WEBHOOK_SECRET": "hunter2"})
    stack.add_release(
        "r-2", secrets={"WAHA_WEBHOOK_SECRET": "hunter3", "WAHA_WEBHOOK_SECRET_PREVIOUS": "hunter2\nhunter1"}
    )
    stack.serve("r-2", *moves_of("r-1", "r-2"))
    signers = list[Signer]()

    def observe_signer(stack: str, release: str, *, at_first: bool) -> Signer:
        assert (stack, release, at_first) == ("acme/runbook/dev", "r-2", True)
        return signers.pop()

    monkeypatch.setattr("runbook.restore_checks.observe_signer", observe_signer)
    return signers


def test_a_release_that_refuses_what_waha_signs_does_not_get_the_traffic(
    stack: FakeStack, smoke: Smoke, rotating: list[Signer], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its smoke would pass: it is signed with the release's own secret. No secret is shown."""
    rotating.append(Signer.NEW)
    with pytest.raises(RunbookError, match="r-1 does not know the WAHA_WEBHOOK_SECRET") as refusal:
        shift("r-1")
    assert stack.live.release == "r-2"
    assert smoke.ran == []
    said = capsys.readouterr()
    assert "hunter" not in said.out + said.err + str(refusal.value)


@pytest.mark.parametrize("signer", [Signer.OLD, Signer.UNKNOWN])
def test_a_release_that_knows_what_waha_signs_with_gets_the_traffic(
    stack: FakeStack, smoke: Smoke, rotating: list[Signer], signer: Signer
) -> None:
    """As the live release's web processes count it; where they cannot tell, with a warning."""
    rotating.append(signer)
    shift("r-1")
    assert stack.live.release == "r-1"
    assert rotating == []


def test_without_a_rotation_nobody_is_asked(stack: FakeStack, smoke: Smoke, rotating: list[Signer]) -> None:
    """Counting takes time: only where the two differ, and the older one knows the other's."""
    stack.deploy("r-3", "r-4")
    shift("r-3")
    assert stack.live.release == "r-3"
    stack.serve("r-1", *moves_of("r-2", "r-1"))
    shift("r-2")
    assert stack.live.release == "r-2"


def test_secrets_that_cannot_be_seen_are_a_warning(
    stack: FakeStack, smoke: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    """The live release's containers are gone: that is no reason to leave it the traffic."""
    stack.deploy("r-1", "r-2")
    for container in stack.engine.containers.list({"label": "runbook.release=r-2"}):
        container.removed = True
    shift("r-1")
    assert stack.live.release == "r-1"
    assert "whether r-1 knows the WAHA_WEBHOOK_SECRET that WAHA signs with cannot be seen" in (
        capsys.readouterr().err
    )


def test_a_migration_that_cannot_be_undone_leaves_the_traffic(stack: FakeStack, smoke: Smoke) -> None:
    """As the releases' own containers tell, where the state cannot be asked."""
    stack.add_release("r-1")
    stack.add_release("r-2", made_of=manifest("r-2", migrations=DROPPED))
    stack.serve("r-2", *moves_of("r-1", "r-2"))
    with pytest.raises(RunbookError, match="the names are gone"):
        shift("r-1")
    assert stack.live.release == "r-2"
    assert smoke.ran == []


def test_force_asks_nothing(
    stack: FakeStack, smoke: Smoke, rotating: list[Signer], capsys: pytest.CaptureFixture[str]
) -> None:
    """No migration, no signature, no smoke stands in its way, and that is said."""
    smoke.refusal = ["gate: smoke refused release r-1 (fail):"]
    for container in stack.engine.containers.list({"label": "runbook.release=r-2"}):
        container.labels[MANIFEST_LABEL] = manifest("r-2", migrations=DROPPED).model_dump_json()
    shift("r-1", force=True)
    assert stack.live.release == "r-1"
    assert stack.proxy.put == ["live"]
    assert smoke.ran == []
    assert "without any check: --force" in capsys.readouterr().err


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("status", "done"),
    [
        ("exited", ["start", "reload"]),
        ("created", ["start", "reload"]),
        ("paused", ["unpause"]),
        ("running", []),
    ],
)
def test_what_does_not_run_is_started(
    stack: FakeStack,
    smoke: Smoke,
    status: str,
    done: list[str],
    force: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Web and worker of the release, before anything asks them; no other release's."""
    stack.deploy("r-1", "r-2", "r-3")
    for container in stack.engine.containers.found:
        if container is not stack.proxy:
            container.status = status
    shift("r-1", force=force)
    found = stack.engine.containers.list({"label": "runbook.role"}, all=True)
    assert {each.name: each.done for each in found if each.done and each is not stack.proxy} == (
        {f"runbook-dev-{role}-1-r-1": done for role in ("web", "worker")} if done else {}
    )
    said = f"starting runbook-dev-web-1-r-1, which does not run ({status})"
    assert (said in capsys.readouterr().err) is ("start" in done)


@pytest.mark.parametrize("status", ["exited", "paused"])
def test_a_proxy_that_somebody_stopped_runs_again(stack: FakeStack, smoke: Smoke, status: str) -> None:
    """It is what moves the traffic."""
    stack.deploy("r-1", "r-2")
    stack.proxy.status = status
    shift("r-1")
    assert stack.live.release == "r-1"
    assert stack.proxy.status == "running"


def test_without_a_proxy_nothing_is_said_to_move(
    stack: FakeStack, smoke: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --force neither."""
    stack.deploy("r-1", "r-2")
    observed = observe_stack("dev")
    others = tuple(each for each in observed.containers if each is not stack.proxy)
    alone = replace(observed, containers=others)
    for force in (False, True):
        request = Restore("dev", None, "rollback", "", force)
        with pytest.raises(RunbookError, match="proxy is gone: nobody is served, and nothing was moved"):
            shift_to_kept(request, History.of({}, observed), alone, "r-1")
    assert "taking" not in capsys.readouterr().err


def test_a_canary_is_what_is_taken_out(stack: FakeStack, smoke: Smoke) -> None:
    """Its deployer died: the release that the rest of the traffic is left with stays, and is not blamed."""
    stack.deploy("r-1", "r-2")
    stack.add_release("r-3")
    stack.serve("r-2", *moves_of("r-1", "r-2"), canary="r-3", canary_until_s=SOON)
    shift("r-2")
    assert (stack.live.release, stack.live.canary) == ("r-2", None)
    history = History.of({}, observe_stack("dev"))
    assert history.rolled_back.keys() == {"r-3"}
    assert history.good == ["r-2", "r-1"]


def test_with_a_canary_another_release_takes_both_out(stack: FakeStack, smoke: Smoke) -> None:
    """One that is named: nothing is left of the canary's share."""
    stack.deploy("r-1", "r-2")
    stack.add_release("r-3")
    stack.serve("r-2", *moves_of("r-1", "r-2"), canary="r-3", canary_until_s=SOON)
    shift("r-1")
    assert (stack.live.release, stack.live.canary) == ("r-1", None)
    assert History.of({}, observe_stack("dev")).rolled_back.keys() == {"r-2"}


def test_a_proxy_that_is_not_published_is_named(stack: FakeStack, smoke: Smoke) -> None:
    """It does not run: nothing can be asked through it."""
    stack.deploy("r-1", "r-2")
    stack.proxy.ports = {}
    with pytest.raises(RunbookError, match="the stack's proxy does not run"):
        shift("r-1")
    assert stack.live.release == "r-2"
    assert smoke.ran == []


def test_without_a_live_route_there_is_nothing_to_move(stack: FakeStack) -> None:
    """What would make one is named."""
    stack.add_release("r-1")
    with pytest.raises(RunbookError, match="has no live route") as refusal:
        shift("r-1")
    assert refusal.value.hint == "`bin/runbook up --stack acme/runbook/dev`"
