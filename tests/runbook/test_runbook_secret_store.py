from __future__ import annotations

import datetime
import io
import json
import threading
from collections.abc import Callable

import pytest
from fake_stack import FakeStack
from fake_workspace import KEY, FakeWorkspace, changed_as_a_file, stack_with
from records import manifest, outputs_of, record

from infra.manifest import Secrets
from infra.plan import MADE
from infra.stack_settings import ALERT_SECRETS, GENERATED, RELEASE_KEY
from runbook.console import print_json
from runbook.errors import RunbookError
from runbook.rotation import rotate
from runbook.secret_input import SETTABLE, asked_for, checked, generated, read_value
from runbook.secret_values import change
from runbook.verbs.secret_store import listed, remove, replace, set_, value_of
from service.settings import SECRET_NAMES

VALUE, OTHER = "hunter2", "hunter3"


def test_a_value_is_put_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside those that are there, and without being shown."""
    workspace = stack_with(WAHA_API_KEY="a")
    replace(workspace, "SENTRY_DSN", VALUE)
    assert value_of(workspace, "SENTRY_DSN") == VALUE
    assert value_of(workspace, "WAHA_API_KEY") == "a"
    assert workspace.secrets()["retired"] == {}
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "SENTRY_DSN is set; `bin/runbook up` deploys it\n"


def test_a_value_is_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    """What no stack can do without stays; what is not set is none."""
    workspace = stack_with(ALERT_CHANNEL_URL="https://wrong.example.org/x", WAHA_API_KEY="a")
    remove(workspace, "ALERT_CHANNEL_URL")
    assert "ALERT_CHANNEL_URL" not in workspace.secrets()["current"]
    assert value_of(workspace, "WAHA_API_KEY") == "a"
    assert "`bin/runbook up` deploys without it" in capsys.readouterr().err
    with pytest.raises(RunbookError, match="secret ALERT_CHANNEL_URL is not set"):
        remove(workspace, "ALERT_CHANNEL_URL")
    for name in GENERATED:
        with pytest.raises(RunbookError, match=f"no stack is without {name}"):
            remove(workspace, name)


def test_what_others_sign_with_is_not_taken_away(stack: FakeStack) -> None:
    """The next `up` would make another, which nobody signs with."""
    name = "WAHA_WEBHOOK_SECRET"
    workspace = stack_with(WAHA_WEBHOOK_SECRET=VALUE)
    digest = Secrets({}, {}, KEY).digest(VALUE)
    workspace.found_outputs = outputs_of(record("r-1", manifest=manifest("r-1", secrets={name: digest})))
    stack.deploy("r-1")
    with pytest.raises(RunbookError, match="WAHA signs with the WAHA_WEBHOOK_SECRET"):
        remove(workspace, name)
    assert value_of(workspace, name) == VALUE


def test_the_old_value_is_kept_for_rollbacks(capsys: pytest.CaptureFixture[str]) -> None:
    """Under the keyed hash by which the manifests of earlier releases name it; neither value is shown."""
    workspace = stack_with(WAHA_API_KEY=VALUE)
    before = Secrets(workspace.secrets()["current"], {}, KEY).digests(["WAHA_API_KEY"])
    replace(workspace, "WAHA_API_KEY", OTHER)
    kept = workspace.secrets()
    assert Secrets(kept["current"], kept["retired"], KEY).values(before) == {"WAHA_API_KEY": VALUE}
    said = capsys.readouterr()
    assert VALUE not in said.out + said.err
    assert OTHER not in said.out + said.err


def test_what_others_sign_with_is_rotated_once_a_release_is_live(stack: FakeStack) -> None:
    """Set, it would pass every gate, which signs with it too, and then all that WAHA sends were refused."""
    name = "WAHA_WEBHOOK_SECRET"
    workspace = stack_with()
    replace(workspace, name, OTHER)
    replace(workspace, name, VALUE)  # nothing is live yet
    digest = Secrets({}, {}, KEY).digest(VALUE)
    workspace.found_outputs = outputs_of(record("r-1", manifest=manifest("r-1", secrets={name: digest})))
    stack.deploy("r-1")
    with pytest.raises(
        RunbookError, match="WAHA signs with the WAHA_WEBHOOK_SECRET that release r-1"
    ) as refusal:
        replace(workspace, name, OTHER)
    assert value_of(workspace, name) == VALUE
    assert f"secrets rotate {name} --stack dev" in refusal.value.hint
    replace(workspace, "SENTRY_DSN", OTHER)
    rotate(workspace, name, OTHER, datetime.datetime.now(datetime.UTC))
    replace(workspace, name, VALUE)  # as it was
    assert value_of(workspace, name) == VALUE


def test_two_changes_at_once_do_not_undo_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reads what there is when the first has written."""
    workspace = stack_with()
    is_read = changed_as_a_file(workspace, monkeypatch)
    first = threading.Thread(target=change, args=(workspace, {"WAHA_API_KEY": "a"}))
    first.start()
    assert is_read.wait(60)
    change(workspace, {"SENTRY_DSN": "b"})
    first.join()
    assert {"WAHA_API_KEY": "a", "SENTRY_DSN": "b"}.items() <= workspace.secrets()["current"].items()


def test_two_changes_keep_two_values() -> None:
    """Each release can be brought back with its own."""
    workspace = stack_with(WAHA_API_KEY="a")
    replace(workspace, "WAHA_API_KEY", "b")
    replace(workspace, "WAHA_API_KEY", "c")
    assert sorted(workspace.secrets()["retired"].values()) == ["a", "b"]


def test_another_key_of_the_hashes_keeps_every_value_under_the_old_one() -> None:
    """Earlier manifests name all values by hashes of the old key."""
    workspace = stack_with(WAHA_API_KEY=VALUE, SENTRY_DSN="dsn")
    before = Secrets(workspace.secrets()["current"], {}, KEY).digests(["WAHA_API_KEY", "SENTRY_DSN"])
    replace(workspace, RELEASE_KEY, "another key")
    kept = workspace.secrets()
    found = Secrets(kept["current"], kept["retired"], "another key").values(before)
    assert found == {"WAHA_API_KEY": VALUE, "SENTRY_DSN": "dsn"}


def test_the_same_value_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No new release comes of it."""
    workspace = stack_with(WAHA_API_KEY=VALUE)
    before = workspace.config["secrets"]
    replace(workspace, "WAHA_API_KEY", VALUE)
    assert workspace.config["secrets"] == before
    assert "has that value already" in capsys.readouterr().err


def test_the_first_secret_of_a_stack_comes_with_the_generated_ones() -> None:
    """A stack that `bin/pulumi stack init` made has none yet, and `up` generates only into an empty set."""
    workspace = FakeWorkspace("not-deployed-anywhere")
    replace(workspace, "WAHA_API_KEY", VALUE)
    assert workspace.secrets()["current"].keys() == {"WAHA_API_KEY", *GENERATED}


def test_without_the_key_of_the_hashes_nothing_is_replaced() -> None:
    """A configuration mended by hand may lack it: the old value could not be found again."""
    workspace = FakeWorkspace()
    workspace.keep_secrets({"current": {"WAHA_API_KEY": VALUE}, "retired": {}})
    with pytest.raises(RunbookError, match=RELEASE_KEY) as refusal:
        replace(workspace, "WAHA_API_KEY", OTHER)
    assert f"secrets set {RELEASE_KEY}" in refusal.value.hint
    replace(workspace, RELEASE_KEY, KEY)
    replace(workspace, "WAHA_API_KEY", OTHER)
    assert value_of(workspace, "WAHA_API_KEY") == OTHER


def test_the_password_of_a_running_redis_cannot_be_set() -> None:
    """It would reach the releases and not Redis; said before a value is asked for, and by no list offered."""
    with pytest.raises(RunbookError, match="REDIS_PASSWORD cannot be set: Redis and all releases"):
        set_("REDIS_PASSWORD", "dev")
    assert "REDIS_PASSWORD" not in listed(stack_with())
    with pytest.raises(RunbookError, match="'HOME' is no secret that can be set") as refusal:
        set_("HOME", "dev")
    assert "REDIS_PASSWORD" not in refusal.value.hint


def test_a_secret_that_is_not_set_is_an_error() -> None:
    """It says how it is set."""
    with pytest.raises(RunbookError, match="SENTRY_DSN is not set") as refusal:
        value_of(stack_with(), "SENTRY_DSN")
    assert "secrets set SENTRY_DSN" in refusal.value.hint


@pytest.mark.parametrize("name", ["NOPE", "sentry_dsn", "PORT"])
def test_what_is_no_secret_at_all_is_told_as_such(name: str) -> None:
    """With the names that are: `secrets set` would refuse it."""
    with pytest.raises(RunbookError, match=f"'{name}' is no secret") as refusal:
        value_of(stack_with(), name)
    assert "SENTRY_DSN, " in refusal.value.hint


def test_the_list_has_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    """All that can be set, and whether they are; never a value, in text or in JSON."""
    found = listed(stack_with(WAHA_API_KEY=VALUE))
    print_json(found)
    assert found.keys() == {*SETTABLE, RELEASE_KEY}
    assert {name for name, state in found.items() if state["set"]} == {RELEASE_KEY, "WAHA_API_KEY"}
    assert {state["old_taken_until"] for state in found.values()} == {None}
    assert VALUE not in capsys.readouterr().out


def test_the_list_tells_of_rotations() -> None:
    """Until when the old value is taken too."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET=VALUE)
    until = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
    rotate(workspace, "WAHA_WEBHOOK_SECRET", OTHER, until)
    found = listed(workspace)
    assert found["WAHA_WEBHOOK_SECRET"] == {"set": True, "old_taken_until": "2026-12-01T12:00:00+00:00"}
    assert found["WAHA_WEBHOOK_SECRET_PREVIOUS"] == {"set": True, "old_taken_until": None}


def test_what_is_ours_to_choose_can_be_generated() -> None:
    """Long and another each time; what its service gives out cannot."""
    assert len(generated("WAHA_WEBHOOK_SECRET")) >= 43
    assert generated("WAHA_API_KEY") != generated("WAHA_API_KEY")
    with pytest.raises(RunbookError, match="a generated RESEND_API_KEY would be known to nobody"):
        generated("RESEND_API_KEY")


def test_what_the_infrastructure_makes_cannot_be_set() -> None:
    """The program refuses it: better here than at the next `up`."""
    assert SETTABLE == SECRET_NAMES - MADE | ALERT_SECRETS


@pytest.mark.parametrize("text", [VALUE, f"{VALUE}\n", f"{VALUE}\r\n"])
def test_a_line_is_a_value_without_its_end(text: str) -> None:
    """As `echo` and files have it."""
    assert checked("X", read_value(io.BytesIO(text.encode()))) == VALUE


@pytest.mark.parametrize(
    "text", ["", "\n", f"{VALUE}\n{OTHER}", f"{VALUE}\n\n", f"{VALUE}\0", f"{VALUE}\r{OTHER}"]
)
def test_a_value_is_one_line(text: str) -> None:
    """Files of secrets hold one; what was given is not repeated."""
    with pytest.raises(RunbookError, match="WAHA_API_KEY is empty or has several lines") as refusal:
        checked("WAHA_API_KEY", read_value(io.BytesIO(text.encode())))
    assert VALUE not in refusal.value.message + refusal.value.hint


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_value_is_text(errors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key file in some binary form is refused, without a word of it; in UTF-8 mode, too, as we run."""
    binary = io.TextIOWrapper(io.BytesIO(b"\xff\xfehunter2"), encoding="utf-8", errors=errors)
    monkeypatch.setattr("sys.stdin", binary)
    with pytest.raises(RunbookError, match="given for WAHA_API_KEY is not UTF-8 text") as refusal:
        asked_for("WAHA_API_KEY")
    assert refusal.value.__suppress_context__


def undecoded(*_asked: object, **_more: object) -> str:
    """As a terminal is read, strictly."""
    return b"\xff\xfehunter2".decode()


@pytest.mark.parametrize("prompt", [undecoded, lambda *_asked, **_more: "\udcff\udcfehunter2"])
def test_a_value_that_is_typed_is_text(prompt: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in another encoding sends other bytes."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", prompt)
    with pytest.raises(RunbookError, match="given for WAHA_API_KEY is not UTF-8 text"):
        asked_for("WAHA_API_KEY")


def test_a_value_that_is_no_text_and_was_kept_can_be_replaced() -> None:
    """An older version took what was piped in as it was."""
    workspace = stack_with(WAHA_API_KEY="\udcff\udcfe")
    replace(workspace, "WAHA_API_KEY", VALUE)
    assert value_of(workspace, "WAHA_API_KEY") == VALUE
    assert list(workspace.secrets()["retired"].values()) == ["\udcff\udcfe"]


def test_the_form_is_the_one_that_the_program_reads() -> None:
    """`current` and `retired`, in one key."""
    workspace = stack_with()
    replace(workspace, "WAHA_API_KEY", VALUE)
    assert json.loads(workspace.config["secrets"]).keys() == {"current", "retired"}
