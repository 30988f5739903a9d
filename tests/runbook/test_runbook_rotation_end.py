"""When the old value of a rotated secret ends."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from fake_stack import FakeStack
from fake_workspace import KEY, FakeWorkspace, stack_with
from records import manifest, outputs_of, record

from infra.manifest import Secrets
from infra.release_record import ReleaseRecord
from infra.stack_settings import REDIS_PASSWORD, RELEASE_KEY
from runbook.errors import RunbookError
from runbook.rotation import rotate, rotations
from runbook.rotation_end import SignerOf, end, end_expired
from runbook.webhook_signer import Signer

NAME, PREVIOUS = "WAHA_WEBHOOK_SECRET", "WAHA_WEBHOOK_SECRET_PREVIOUS"
SIGNING, FALLBACK = "INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK"
OLD, NEW = "hunter2", "hunter3"
UNTIL = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
DAY, SECOND = datetime.timedelta(days=1), datetime.timedelta(seconds=1)
BEFORE, AFTER = UNTIL - DAY, UNTIL + DAY


def taking(workspace: FakeWorkspace, release: str = "r-1", **more: Any) -> ReleaseRecord:
    """The record of a release that takes the secrets as they are."""
    digests = Secrets(workspace.secrets()["current"], {}, KEY).digests([NAME, PREVIOUS, SIGNING, FALLBACK])
    return record(release, manifest=manifest(release, secrets=digests), **more)


def deploy(workspace: FakeWorkspace, stack: FakeStack) -> None:
    """Let the live release have the secrets as they are."""
    workspace.found_outputs = outputs_of(taking(workspace))
    stack.serve("r-1")


@pytest.fixture
def workspace(stack: FakeStack) -> FakeWorkspace:
    """A stack that is being rotated, whose live release takes both."""
    workspace = stack_with(**{NAME: OLD})
    rotate(workspace, NAME, NEW, UNTIL)
    deploy(workspace, stack)
    return workspace


def sees(signer: Signer) -> SignerOf:
    """What the live release's web processes count."""

    def of(stack: str, release: str) -> Signer:
        assert (stack, release) == ("dev", "r-1")
        return signer

    return of


@pytest.mark.parametrize("now", [BEFORE, AFTER])
def test_while_the_old_one_is_in_use_it_is_not_ended(
    workspace: FakeWorkspace, now: datetime.datetime
) -> None:
    """Whatever the calendar says: messages would be refused."""
    with pytest.raises(RunbookError, match="still come in that are signed with the old") as refusal:
        end(workspace, NAME, force=False, signer_of=sees(Signer.OLD), now=now)
    assert "--force" in refusal.value.hint
    assert workspace.secrets()["current"][PREVIOUS] == OLD


@pytest.mark.parametrize("now", [BEFORE, AFTER])
def test_once_the_new_one_is_seen_it_is_ended(workspace: FakeWorkspace, now: datetime.datetime) -> None:
    """Before its time too: that is what the webhooks prove."""
    end(workspace, NAME, force=False, signer_of=sees(Signer.NEW), now=now)
    assert PREVIOUS not in workspace.secrets()["current"]


def test_without_evidence_the_time_counts(workspace: FakeWorkspace) -> None:
    """No webhook came: that nobody used the old one is no proof that nobody will."""
    with pytest.raises(RunbookError, match="is to be taken until 2026-12-01 12:00 UTC"):
        end(workspace, NAME, force=False, signer_of=sees(Signer.UNKNOWN), now=BEFORE)
    assert workspace.secrets()["current"][PREVIOUS] == OLD
    end(workspace, NAME, force=False, signer_of=sees(Signer.UNKNOWN), now=AFTER)
    assert PREVIOUS not in workspace.secrets()["current"]


def test_before_the_new_one_is_deployed_nothing_is_ended(workspace: FakeWorkspace) -> None:
    """The live release counts the old secret as its current one: what it sees proves nothing."""
    rotate(workspace, NAME, "a third", UNTIL)
    with pytest.raises(RunbookError, match="r-1 is live, which does not take the new"):
        end(workspace, NAME, force=False, signer_of=sees(Signer.NEW), now=AFTER)


def test_the_live_release_counts_not_the_last_one(workspace: FakeWorkspace) -> None:
    """A release with the new secret was refused since: the one that is live does not take it."""
    live = taking(workspace)
    rotate(workspace, NAME, "a third", UNTIL)
    refused = taking(workspace, "r-2", refusal=["traffic: r-2 did not keep the traffic"])
    workspace.found_outputs = outputs_of(live, refused)
    with pytest.raises(RunbookError, match="r-1 is live, which does not take the new"):
        end(workspace, NAME, force=False, signer_of=sees(Signer.NEW), now=AFTER)


def test_the_live_release_is_what_the_proxy_serves(workspace: FakeWorkspace, stack: FakeStack) -> None:
    """A rollback whose state has not followed: the release that came back does not take the new one."""
    rotate(workspace, NAME, "a third", UNTIL)
    workspace.found_outputs = outputs_of(*(record("r-1"), taking(workspace, "r-2")))
    stack.serve("r-1")
    with pytest.raises(RunbookError, match="r-1 is live, which does not take the new"):
        end(workspace, NAME, force=False, signer_of=sees(Signer.NEW), now=AFTER)


def test_force_ends_it(workspace: FakeWorkspace) -> None:
    """Nobody is asked."""

    def nobody(_stack: str, _release: str) -> Signer:
        pytest.fail("was asked")

    end(workspace, NAME, force=True, signer_of=nobody, now=BEFORE)
    assert PREVIOUS not in workspace.secrets()["current"]


@pytest.mark.parametrize(("now", "ends"), [(BEFORE, False), (AFTER, True)])
def test_inngest_is_not_counted(now: datetime.datetime, ends: bool) -> None:
    """Its calls are not told apart by key: the time counts."""
    workspace = stack_with(INNGEST_SIGNING_KEY=OLD)
    rotate(workspace, SIGNING, NEW, UNTIL)
    if not ends:
        with pytest.raises(RunbookError, match="is to be taken until"):
            end(workspace, SIGNING, force=False, now=now)
    else:
        end(workspace, SIGNING, force=False, now=now)
    assert (FALLBACK in workspace.secrets()["current"]) is not ends


def test_nothing_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """No rotation is no error; a secret that has no overlap is."""
    end(stack_with(**{NAME: OLD}), NAME, force=False)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(RunbookError, match="no old RESEND_API_KEY is taken beside"):
        end(stack_with(), "RESEND_API_KEY", force=False)


def test_what_is_over_is_ended_by_the_next_update(capsys: pytest.CaptureFixture[str]) -> None:
    """To the second, by name, and said; what goes on is left alone. Nothing is deployed yet."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET=OLD, INNGEST_SIGNING_KEY="old key")
    rotate(workspace, NAME, NEW, UNTIL)
    rotate(workspace, SIGNING, "new key", UNTIL + SECOND)
    end_expired(workspace, now=UNTIL - SECOND)
    assert workspace.secrets()["current"][PREVIOUS] == OLD
    end_expired(workspace, now=UNTIL)
    assert PREVIOUS not in workspace.secrets()["current"]
    assert workspace.secrets()["current"][FALLBACK] == "old key"
    end_expired(workspace, now=UNTIL)
    said = capsys.readouterr().err
    assert said == f"the time for the old {NAME} is over: this update ends it; rollbacks still have it\n"


@pytest.mark.parametrize("signer", [Signer.NEW, Signer.UNKNOWN])
def test_an_update_ends_what_nobody_is_seen_to_use(workspace: FakeWorkspace, signer: Signer) -> None:
    """Its time is over: that no webhook came is enough."""
    end_expired(workspace, sees(signer), AFTER)
    assert PREVIOUS not in workspace.secrets()["current"]
    assert rotations(workspace) == {}


def test_an_update_does_not_end_what_is_in_use(
    workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """All messages would be refused. It has another day, also where the next update sees no webhook."""
    end_expired(workspace, sees(Signer.OLD), AFTER)
    assert workspace.secrets()["current"][PREVIOUS] == OLD
    assert rotations(workspace) == {NAME: AFTER + DAY}
    said = capsys.readouterr().err
    assert f"the time for the old {NAME} is over, but webhooks still come in that are signed with" in said
    assert (
        "it is taken until 2026-12-03 12:00 UTC. After this update give WAHA the new one: `bin/runbook"
        in said
    )
    assert OLD not in said
    assert NEW not in said
    end_expired(workspace, sees(Signer.UNKNOWN), AFTER + DAY - SECOND)
    assert workspace.secrets()["current"][PREVIOUS] == OLD
    end_expired(workspace, sees(Signer.UNKNOWN), AFTER + DAY)
    assert PREVIOUS not in workspace.secrets()["current"]


@pytest.mark.parametrize(("name", "previous"), [(NAME, PREVIOUS), (SIGNING, FALLBACK)])
def test_an_update_does_not_end_what_nobody_could_replace_yet(
    name: str, previous: str, stack: FakeStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rotated, and never deployed: until now the sender can only have had the old one."""
    workspace = stack_with(**{name: OLD})
    deploy(workspace, stack)
    rotate(workspace, name, NEW, UNTIL)
    end_expired(workspace, sees(Signer.NEW), AFTER)
    assert workspace.secrets()["current"][previous] == OLD
    assert rotations(workspace) == {name: AFTER + DAY}
    assert (
        f"is over, but release r-1 is live, which does not take the new {name} yet" in capsys.readouterr().err
    )


def test_killed_in_between_no_old_value_is_taken_without_an_end(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is written first: without the secrets it means nothing, and the next update drops it."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET=OLD)
    deploy(workspace, stack)

    def killed(_kept: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workspace, "keep_secrets", killed)
        rotate(workspace, NAME, NEW, UNTIL)
    assert workspace.secrets()["current"] == {RELEASE_KEY: KEY, REDIS_PASSWORD: "pw", NAME: OLD}
    end_expired(workspace, now=UNTIL)
    assert rotations(workspace) == {}
    assert workspace.secrets()["current"][NAME] == OLD
