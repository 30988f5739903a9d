"""The procedures around a release, on a live stack: migrations, a hotfix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from on_demand import on_demand
from project import Project
from repository import git

pytestmark = pytest.mark.stack

FILE = "service/webhooks/webhook.py"
OTHER_FILE = "service/messages/writer.py"
DROPPED = """
[[migration]]
name = "0001-drop-names"
command = ["sh", "-c", "echo dropped with $RESEND_API_KEY; echo once >> .build/ran"]
secrets = ["RESEND_API_KEY"]
irreversible = "the names are gone"
"""
FAILING = """
[[migration]]
name = "0002-fails"
command = ["sh", "-c", "echo no such table; exit 3"]
"""


@pytest.fixture
def migrations(live: Project) -> Iterator[Project]:
    """The project with an irreversible migration; after it without one, and its release live."""
    (live.root / "migrations.toml").write_text(DROPPED)
    (live.root / ".build/ran").unlink(missing_ok=True)
    yield live
    (live.root / "migrations.toml").unlink()
    live.append(FILE, "\n# after the migrations\n")


@on_demand
def test_a_migration_runs_once_and_cannot_be_passed_back(migrations: Project) -> None:
    """Before the candidate, recorded without its secret; a rollback past it is refused with its reason."""
    project, before = migrations, migrations.outputs()["release"]
    after = project.deploy()
    assert after != before
    (ran,) = project.outputs()["migrations"]
    assert ran["key"].startswith("0001-drop-names@")
    assert ran["output"] == "dropped with [RESEND_API_KEY]\n"
    assert ran["release"] == after
    project.append(FILE, "\n# a release more\n")
    project.deploy()
    assert (project.root / ".build/ran").read_text() == "once\n"

    refused = project.runbook("rollback", before)
    assert refused.returncode == 1
    assert "the names are gone" in refused.stderr
    assert project.outputs()["release"] not in (before, after)
    assert project.runbook("rollback").returncode == 0
    assert project.outputs()["release"] == after
    forced = project.runbook("rollback", before, "--force")
    assert forced.returncode == 0, forced.stderr
    assert project.outputs()["release"] == before


@on_demand
def test_a_migration_that_fails_ends_the_update(migrations: Project) -> None:
    """With what it said; the live release stays, and one that is mended runs."""
    project, before = migrations, migrations.deploy()
    file = project.root / "migrations.toml"
    file.write_text(DROPPED + FAILING)
    failed = project.runbook("up")
    assert failed.returncode == 1
    assert "0002-fails@" in failed.stderr
    assert "it ended with exit code 3" in failed.stderr
    assert "no such table" in failed.stderr
    assert project.outputs()["release"] == before
    file.write_text(DROPPED + FAILING.replace("exit 3", "exit 0"))
    project.deploy()
    assert [ran["key"].partition("@")[0] for ran in project.outputs()["migrations"]][-1] == "0002-fails"


@on_demand
def test_a_hotfix_is_the_live_commit_and_the_fix(live: Project) -> None:
    """Not what was rolled back; through smoke alone, watched, with the commands that merge it back."""
    git(live.root, "init", "--quiet", "--initial-branch=main")
    live.append(FILE, "\n# committed\n")
    git(live.root, "add", "--all")
    git(live.root, "commit", "--quiet", "-m", "live")
    live.deploy()
    commit = git(live.root, "rev-parse", "HEAD")
    live.append(OTHER_FILE, "\n# found to be bad when it was live\n")
    git(live.root, "commit", "--quiet", "-a", "-m", "newer")
    live.deploy()
    assert live.runbook("rollback").returncode == 0

    begun = live.runbook("hotfix", "mend-it")
    assert begun.returncode == 0, begun.stderr
    assert git(live.root, "branch", "--show-current") == "hotfix/mend-it"
    assert git(live.root, "rev-parse", "HEAD") == commit
    assert "there is no fix on it yet" in live.runbook("hotfix", "mend-it").stderr
    live.append(FILE, "\n# the fix\n")
    git(live.root, "commit", "--quiet", "-a", "-m", "fix")
    done = live.runbook("hotfix", "mend-it")
    assert done.returncode == 0, done.stderr
    assert "gate: smoke on" in done.stderr
    assert "gate: load on" not in done.stderr
    assert "git merge --no-ff hotfix/mend-it" in done.stderr
    assert "has done well" in done.stderr
    entry = live.outputs()["releases"][-1]
    assert (entry["verb"], entry["reason"], entry["depth"]) == ("hotfix", "mend-it", "smoke")
    assert (entry["branch"], entry["dirty"]) == ("hotfix/mend-it", False)
    git(live.root, "switch", "--quiet", "main")
    git(live.root, "merge", "--quiet", "--no-ff", "hotfix/mend-it")
    live.deploy()
