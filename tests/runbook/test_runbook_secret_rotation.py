from __future__ import annotations

import datetime
import io

import pytest
from fake_service import exit_code
from fake_workspace import FakeWorkspace

from infra.manifest import Secrets
from infra.stack_config import REDIS_PASSWORD, RELEASE_KEY
from runbook.errors import RunbookError
from runbook.rotation import rotate
from runbook.signed_with import Signer
from runbook.verbs import secret_rotation
from runbook.verbs.secret_rotation import begin, end

NAME, PREVIOUS = "WAHA_WEBHOOK_SECRET", "WAHA_WEBHOOK_SECRET_PREVIOUS"
OLD, NEW, KEY = "hunter2", "hunter3", "the key"
UNTIL = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
BEFORE, AFTER = UNTIL - datetime.timedelta(days=1), UNTIL + datetime.timedelta(days=1)


def stack_with(**current: str) -> FakeWorkspace:
    """A stack that has the generated secrets and those given, and nothing deployed."""
    workspace = FakeWorkspace()
    workspace.keep_secrets({"current": {RELEASE_KEY: KEY, REDIS_PASSWORD: "pw", **current}, "retired": {}})
    return workspace


def deployed(workspace: FakeWorkspace) -> None:
    """Let the live release have the secrets as they are."""
    digests = Secrets(workspace.secrets()["current"], {}, KEY).digests([NAME, PREVIOUS])
    workspace.found_outputs = {
        "release": "r-1",
        "releases": [{"manifest": {"id": "r-1", "secrets": digests}}],
    }


@pytest.fixture
def workspace() -> FakeWorkspace:
    """A stack that is being rotated, whose live release takes both."""
    workspace = stack_with(**{NAME: OLD})
    rotate(workspace, NAME, NEW, UNTIL)
    deployed(workspace)
    return workspace


def sees(signer: Signer) -> secret_rotation.SignerOf:
    """What the live release's web processes count."""

    def of(stack: str, release: str) -> Signer:
        assert (stack, release) == ("dev", "r-1")
        return signer

    return of


def test_what_follows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which it is done; no value is shown."""
    workspace = stack_with(**{NAME: OLD})
    begin(workspace, NAME, NEW, 7)
    said = capsys.readouterr()
    steps = [line for line in said.err.splitlines() if line.startswith("  ")]
    assert [step[2:4] for step in steps[:3]] == ["1.", "2.", "3."]
    assert "bin/runbook up" in steps[0]
    assert "WAHA" in steps[1]
    assert "--finish" in steps[2]
    assert OLD not in said.out + said.err
    assert NEW not in said.out + said.err


def test_a_secret_of_which_one_is_taken_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The old one ends with the next update, and nobody is let believe otherwise."""
    begin(stack_with(RESEND_API_KEY=OLD), "RESEND_API_KEY", NEW, 7)
    assert "takes one value only: the old one ends with `bin/runbook up`" in capsys.readouterr().err


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
    live = workspace.found_outputs["releases"][0]
    rotate(workspace, NAME, "a third", UNTIL)
    deployed(workspace)
    refused = workspace.found_outputs["releases"][0]
    refused["manifest"]["id"] = "r-2"
    workspace.found_outputs["releases"] = [live, refused]
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
    rotate(workspace, "INNGEST_SIGNING_KEY", NEW, UNTIL)
    if not ends:
        with pytest.raises(RunbookError, match="is to be taken until"):
            end(workspace, "INNGEST_SIGNING_KEY", force=False, now=now)
    else:
        end(workspace, "INNGEST_SIGNING_KEY", force=False, now=now)
    assert ("INNGEST_SIGNING_KEY_FALLBACK" in workspace.secrets()["current"]) is not ends


def test_nothing_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """No rotation is no error; a secret that has no overlap is."""
    end(stack_with(**{NAME: OLD}), NAME, force=False)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(RunbookError, match="no old RESEND_API_KEY is taken beside"):
        end(stack_with(), "RESEND_API_KEY", force=False)


def test_typed_as_a_person_would(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The value comes by standard input, or is made; it stands in the configuration alone."""
    workspace = stack_with(**{NAME: OLD})
    monkeypatch.setattr(secret_rotation, "open_workspace", lambda _stack: workspace)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NEW}\n"))
    assert exit_code("secrets", "rotate", NAME) == 0
    assert workspace.secrets()["current"][NAME] == NEW
    assert exit_code("secrets", "rotate", NAME, "--generate", "--grace-days", "1") == 0
    made = workspace.secrets()["current"][NAME]
    assert workspace.secrets()["current"][PREVIOUS].splitlines() == [NEW, OLD]
    said = capsys.readouterr()
    assert not [value for value in (OLD, NEW, made) if value in said.out + said.err]
    assert exit_code("secrets", "rotate", NAME, "--finish", "--force") == 0
    assert PREVIOUS not in workspace.secrets()["current"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([PREVIOUS], 1, "is no secret that can be rotated"),
        (["REDIS_PASSWORD"], 1, "is no secret that can be rotated"),
        (["NONSENSE"], 1, "is no secret that can be rotated"),
        ([NAME, "--finish", "--generate"], 2, "begins one"),
        ([NAME, "--grace-days", "0"], 2, "grace-days"),
        (["RESEND_API_KEY", "--generate"], 1, "its service gives it out"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And changes nothing."""
    workspace = stack_with(**{NAME: OLD, "RESEND_API_KEY": OLD})
    before = dict(workspace.config)
    monkeypatch.setattr(secret_rotation, "open_workspace", lambda _stack: workspace)
    monkeypatch.setattr("sys.stdin", io.StringIO(NEW))
    assert exit_code("secrets", "rotate", *arguments) == code
    assert said in capsys.readouterr().err
    assert workspace.config == before
