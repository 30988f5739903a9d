"""Migrations run once each, in order, before the candidate; what cannot be undone holds others back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from records import manifest, record

from infra import plan
from infra.deploy_request import DeployRequest
from infra.dynamic.migrations import MigrationsProvider, migrated
from infra.errors import Refused
from infra.history import History
from infra.manifest import Needed
from infra.migrations import Failed, Migration, read_migrations, run, unpassable

LISTED = """
[[migration]]
name = "functions"
command = ["npx", "convex", "deploy"]
files = ["convex/*.ts"]
secrets = ["CONVEX_DEPLOY_KEY"]

[[migration]]
name = "0002-drop-names"
command = ["python3", "drop.py"]
irreversible = "the names are gone"
"""


def python(name: str, code: str, **more: Any) -> Migration:
    """A migration that runs *code*."""
    return Migration(name=name, command=[sys.executable, "-c", code], **more)


def test_the_file_lists_them_in_order(tmp_path: Path) -> None:
    """No file, no migrations."""
    file = tmp_path / "migrations.toml"
    assert read_migrations(file) == []
    file.write_text(LISTED)
    assert [migration.name for migration in read_migrations(file)] == ["functions", "0002-drop-names"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[migration]", "cannot be read"),
        ('[[migration]]\nname = "x"', "migration.0.command: Field required"),
        ('[[migration]]\nname = "a b"\ncommand = ["x"]', "migration.0.name"),
        ('[[migration]]\nname = "x"\ncommand = []', "migration.0.command"),
        ('[[migration]]\nname = "x"\ncommand = ["x"]\nirreversable = "y"', "migration.0.irreversable"),
        (2 * '[[migration]]\nname = "x"\ncommand = ["x"]\n', "several are named x"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Naming the key and the value."""
    (tmp_path / "migrations.toml").write_text(text)
    with pytest.raises(Refused, match=said):
        read_migrations(tmp_path / "migrations.toml")


def test_other_files_make_it_another_one(tmp_path: Path) -> None:
    """Functions are deployed again when they have changed, and only then."""
    deploying = Migration(name="functions", command=["x"], files=["convex/*.ts"])
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/a.ts").write_text("one")
    first = deploying.key(tmp_path)
    assert deploying.key(tmp_path) == first
    assert first.startswith("functions@")
    (tmp_path / "convex/a.ts").write_text("two")
    assert deploying.key(tmp_path) != first
    assert (
        Migration(name="functions", command=["y"]).key() != Migration(name="functions", command=["x"]).key()
    )


def test_its_output_is_kept_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has those that it names in its environment, and nothing that opens the stack's state."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "open sesame")
    code = "import os; print(os.environ['KEY'], [n for n in os.environ if n == 'OTHER' or 'PULUMI' in n])"
    said = run(python("x", code, secrets=["KEY"]), {"KEY": "hunter2", "OTHER": "no"}, tmp_path)
    assert said == "[KEY] []\n"


@pytest.mark.parametrize(
    ("command", "timeout_s", "said"),
    [
        ([sys.executable, "-c", "print('no table'); raise SystemExit(3)"], 60, "it ended with exit code 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.5, "it did not end within 0.5 s"),
        (["no-such-program"], 60, "'no-such-program' cannot be started: No such file"),
    ],
)
def test_a_failure_says_how(tmp_path: Path, command: list[str], timeout_s: float, said: str) -> None:
    """And what it said last."""
    with pytest.raises(Failed, match=said):
        run(Migration(name="x", command=command, timeout_s=timeout_s), {}, tmp_path)


def props(*wanted: Migration) -> dict[str, Any]:
    """The resource's inputs for the release r-2."""
    listed = [{"key": each.key(), **each.model_dump()} for each in wanted]
    return {"release": "r-2", "wanted": listed, "secrets": {}, "entry": {"by": "kim@host", "at": "now"}}


def test_each_runs_once_in_order(tmp_path: Path) -> None:
    """Recorded with its output, for which release, when and by whom; a later update has nothing to do."""
    log = tmp_path / "log"
    wanted = [python(name, f"open({str(log)!r}, 'a').write('{name} '); print('{name} ran')") for name in "ab"]
    state = migrated(props(*wanted), [])
    assert log.read_text() == "a b "
    assert [(each["key"][0], each["output"], each["release"]) for each in state["ran"]] == [
        ("a", "a ran\n", "r-2"),
        ("b", "b ran\n", "r-2"),
    ]
    assert state["ran"][0]["by"] == "kim@host"
    provider = MigrationsProvider()
    assert not provider.diff("migrations", state, props(*wanted)).changes
    assert not provider.diff("migrations", state, props()).changes
    again = provider.update("migrations", state, props(*wanted, python("c", "pass"))).outs or {}
    assert log.read_text() == "a b "
    assert [each["key"][0] for each in again["ran"]] == ["a", "b", "c"]


def test_one_that_fails_ends_it_and_is_run_again() -> None:
    """Those before it ran and are not repeated; those after it did not; the gate has its words."""
    bad = python("b", "print('no such table'); raise SystemExit(1)")
    state = migrated(props(python("a", "pass"), bad, python("c", "pass")), [])
    assert [each["key"][0] for each in state["ran"]] == ["a"]
    assert state["refusal"] == [f"migration {bad.key()} failed: it ended with exit code 1", "  no such table"]
    provider = MigrationsProvider()
    assert provider.diff("migrations", state, props(python("a", "pass"), bad)).changes
    assert provider.diff("migrations", state, props()).changes  # to forget the failure
    assert migrated(props(), state["ran"])["refusal"] == []


DROPPED = Needed(key="0002-drop-names@abc", irreversible="the names are gone")
HARMLESS = Needed(key="functions@abc")


def test_only_what_cannot_be_undone_holds_a_release_back() -> None:
    """And only one that does not know it; other content of the same migration is known."""
    assert unpassable([HARMLESS, DROPPED], [HARMLESS]) == ["0002-drop-names@abc: the names are gone"]
    assert unpassable([HARMLESS, DROPPED], [Needed(key="0002-drop-names@def")]) == []
    assert unpassable([HARMLESS], []) == []


def test_sources_from_before_it_are_refused_unless_forced() -> None:
    """A reverted commit would be a rollback by another name."""
    live = record("r-2", manifest=manifest("r-2", migrations=[DROPPED]))
    history, before = History("r-2", (live,)), manifest("r-1")
    with pytest.raises(Refused, match="0002-drop-names@abc: the names are gone"):
        plan._refuse_unpassable(before, history, DeployRequest())
    plan._refuse_unpassable(before, history, DeployRequest(force=True))
