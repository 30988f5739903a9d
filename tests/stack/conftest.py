"""Copies of the project with a stack each: with real gates, with instant ones, on an engine of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from abandoned import OURS, remove_abandoned
from instant_gate import InstantGate
from on_demand import FULL
from private_stack import PrivateStack, private_stack
from project import Project

CHANGED = {
    "after_up_s = 60": "after_up_s = 0",
    "after_hotfix_s = 900": "after_hotfix_s = 20",
    "queue_stuck_s = 40 ": "queue_stuck_s = 10 ",
}
SHORTER = {
    'scenarios = ["steady", "burst"]': 'scenarios = ["steady"]',
    "rate_per_s = 50 ": "rate_per_s = 70 ",
    "warmup_s = 2 ": "warmup_s = 1 ",
    "duration_s = 20": "duration_s = 5",
    "block_s = 1 ": "block_s = 0.5 ",
    "min_blocks = 15": "min_blocks = 8",
    "step_s = 2 ": "step_s = 1 ",
    # The machine may be slow, and share its cores: how fast a release answers is not asked here.
    "min_achieved = 0.95": "min_achieved = 0.5",
    "late_ms = 100 ": "late_ms = 2000 ",
    "max_slowdown = 1.25": "max_slowdown = 4",
    "mean_ms = 250 ": "mean_ms = 3000 ",
    "slowest_ms = 3000        # no": "slowest_ms = 15000       # no",
    "slowest_ms = 3000        # ...": "slowest_ms = 15000       # ...",
    "webhook_p95_ms = 500": "webhook_p95_ms = 5000",
    "reply_p95_ms = 3000": "reply_p95_ms = 12000",
    "reply_within_s = 15      # a": "reply_within_s = 20      # a",
}


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateStack]:
    """A stack on an engine that may be killed, and whose disk may be filled."""
    with private_stack(tmp_path_factory.mktemp("private"), tmp_path_factory.mktemp("gate"), OURS) as stack:
        yield stack


@pytest.fixture
def stack(private: PrivateStack) -> PrivateStack:
    """It is well when a test begins."""
    private.seconds_until_well()
    return private


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy whose gates take less time, yet have more samples than a verdict needs."""
    remove_abandoned()
    project = Project.copy(tmp_path_factory.mktemp("gated"), f"{OURS}-gated")
    project.change("targets.toml", {**CHANGED, **({} if FULL else SHORTER)})
    yield project
    project.runbook("destroy")
    assert project.leftovers() == []


@pytest.fixture(scope="session")
def ungated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy whose gates pass everything at once."""
    remove_abandoned()
    project = Project.copy(tmp_path_factory.mktemp("ungated"), f"{OURS}-ungated")
    InstantGate(project, tmp_path_factory.mktemp("gate"))
    # A deployment that another one waits for may take long on a slow machine.
    project.change("runbook/deploy_lock.py", {"WAIT_S = 120.0": "WAIT_S = 600.0"})
    yield project
    project.runbook("destroy")
    assert project.leftovers() == []


@pytest.fixture
def project(request: pytest.FixtureRequest) -> Project:
    """The one with real gates for tests that are marked `gate`."""
    is_gated = request.node.get_closest_marker("gate")
    found: Project = request.getfixturevalue("gated" if is_gated else "ungated")
    return found


@pytest.fixture
def live(project: Project) -> Project:
    """The project with its sources as they are there now, deployed."""
    # A test that failed may have left what was rolled back, or another layout.
    project.deploy("--force", "--replace-infrastructure")
    project.is_untouched = False
    return project


@pytest.fixture
def deployed(project: Project) -> Project:
    """The same for a test that only looks: after it nothing has to be deployed for another such."""
    if not project.is_untouched:
        project.deploy("--force", "--replace-infrastructure")
        project.is_untouched = True
    return project
