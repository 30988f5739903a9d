"""One copy of the project with one stack, for all tests here: deploying from nothing is one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from abandoned import OURS, remove_abandoned
from on_demand import FULL
from project import Project

CHANGED = {"after_up_s = 30": "after_up_s = 0", "after_hotfix_s = 900": "after_hotfix_s = 10"}
SHORTER = {
    'scenarios = ["steady", "burst"]': 'scenarios = ["steady"]',
    "rate_per_s = 50 ": "rate_per_s = 100 ",
    "warmup_s = 2 ": "warmup_s = 1 ",
    "duration_s = 20": "duration_s = 5",
    "block_s = 1 ": "block_s = 0.5 ",
    "min_blocks = 15": "min_blocks = 8",
    "within_s = 45": "within_s = 20",
    "step_s = 2 ": "step_s = 1 ",
    # Other tests run beside, on the same two cores.
    "webhook_p95_ms = 500": "webhook_p95_ms = 2000",
    "reply_p95_ms = 3000": "reply_p95_ms = 12000",
    "reply_within_s = 15      # a": "reply_within_s = 20      # a",
}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy whose gates take less time, yet have more samples than a verdict needs."""
    remove_abandoned()
    project = Project.copy(tmp_path_factory.mktemp("project"), OURS)
    targets = project.root / "targets.toml"
    text = targets.read_text()
    for old, new in {**CHANGED, **({} if FULL else SHORTER)}.items():
        assert old in text
        text = text.replace(old, new)
    targets.write_text(text)
    yield project
    project.runbook("destroy")
    assert project.leftovers() == []


@pytest.fixture
def live(project: Project) -> Project:
    """The project with its sources as they are there now, deployed."""
    project.deploy("--force")  # a test that failed may have left what was rolled back
    return project
