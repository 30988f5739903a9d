"""What holds for the tests of the runbook."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_engine import FakeEngine
from fake_stack import FakeStack
from fake_suite import Smoke


@pytest.fixture(autouse=True)
def _no_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a test that says so looks at this machine's engine; the others find one that is empty."""
    if not request.node.get_closest_marker("integration") and not request.node.get_closest_marker("stack"):
        engine = FakeEngine()
        monkeypatch.setattr("docker.from_env", lambda: engine)


@pytest.fixture(autouse=True)
def _of_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack that one test has typed is not the one that the next is spoken to about."""
    monkeypatch.setattr("runbook.console._SPOKEN_OF", [], raising=False)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    """Stack dev, on the engine that `docker.from_env` gives."""
    stack = FakeStack()
    monkeypatch.setattr("docker.from_env", lambda: stack.engine)
    return stack


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Smoke:
    """Smoke passes; its reports lie in a folder of the test's."""
    smoke = Smoke()
    monkeypatch.setattr("runbook.restore_checks.run_suite", smoke)
    monkeypatch.setattr("infra.release_record.BUILD", tmp_path)
    return smoke
