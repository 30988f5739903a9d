"""`targets.toml` is complete, and a wrong one is refused as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.targets import TARGETS_FILE, TargetsError, read_targets


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of the project's targets with one line changed."""
    text = TARGETS_FILE.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "targets.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def test_the_projects_own_targets_are_valid() -> None:
    """The runbook's defaults hold: 1 % errors, 500 ms to the answer, 3 s to the reply and for any answer."""
    load, compare = read_targets().load, read_targets().compare
    assert (load.error_rate, load.webhook_p95_ms, load.reply_p95_ms) == (0.01, 500, 3000)
    assert (load.slowest_ms, load.max_generator_cpu) == (3000, 0.85)
    assert (compare.max_slowdown, compare.confidence) == (1.25, 0.99)


def test_every_problem_is_named_with_key_and_value(tmp_path: Path) -> None:
    """An operator mends the file in one go."""
    file = changed(tmp_path, "error_rate = 0.01", 'error_rate = 7\nspeed = "fast"')
    with pytest.raises(TargetsError) as refused:
        read_targets(file)
    message = str(refused.value)
    assert "load.error_rate" in message
    assert "got 7" in message
    assert "load.speed" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[load", "is not TOML"), (b"\xff\xfe", "is not TOML"), (b"", "load: Field required")],
)
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    """Neither bad syntax, bad bytes nor an empty file ends in a traceback."""
    file = tmp_path / "targets.toml"
    file.write_bytes(content)
    with pytest.raises(TargetsError, match=said):
        read_targets(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The message says that it cannot be read."""
    with pytest.raises(TargetsError, match="cannot be read"):
        read_targets(tmp_path / "targets.toml")


def test_a_gate_that_could_never_end_is_refused(tmp_path: Path) -> None:
    """A longer load is more than the suite is given: said here, not after each trial."""
    with pytest.raises(
        TargetsError, match=r"gate: .*within_s should be at least 634, which \[load\] may take"
    ):
        read_targets(changed(tmp_path, "duration_s = 20", "duration_s = 300"))
    both = changed(tmp_path, "within_s = 300 ", "within_s = 700 ")
    both.write_text(both.read_text().replace("duration_s = 20", "duration_s = 300"))
    assert read_targets(both).gate.within_s == 700


@pytest.mark.parametrize("name", ["after_up_s", "after_hotfix_s"])
def test_a_watch_that_could_find_nothing_is_refused(tmp_path: Path, name: str) -> None:
    """A queue has to stand still for 40 s, and be seen so twice, five seconds apart."""
    value = {"after_up_s": "60 ", "after_hotfix_s": "900"}[name]
    with pytest.raises(TargetsError) as refused:
        read_targets(changed(tmp_path, f"{name} = {value}", f"{name} = 49"))
    assert f"{name} should be 0 or at least 50 (queue_stuck_s, and 2 times each_s), got 49" in str(
        refused.value
    )
    for enough in (0, 50):
        watch = read_targets(changed(tmp_path, f"{name} = {value}", f"{name} = {enough}")).watch
        assert getattr(watch, name) == enough


def test_the_projects_own_watch_is_long_enough() -> None:
    """For each check that it makes; nobody has to wait longer than a minute after `up`."""
    watch = read_targets().watch
    assert watch.queue_stuck_s + watch.failures * watch.each_s <= watch.after_up_s <= 60


def test_a_step_that_may_outlast_a_minute_is_refused(tmp_path: Path) -> None:
    """A canary whose deployer died has its share for as long as a step may take."""
    with pytest.raises(TargetsError, match=r"rollout\.within_s: .*should be at most 45.*, got 46"):
        read_targets(changed(tmp_path, "within_s = 20", "within_s = 46"))
    assert read_targets(changed(tmp_path, "within_s = 20", "within_s = 45")).rollout.within_s == 45


@pytest.mark.parametrize("steps", ["[]", "[5, 25]", "[25, 5, 100]", "[0, 100]", "[50, 50, 100]"])
def test_steps_that_do_not_ascend_to_all_are_refused(tmp_path: Path, steps: str) -> None:
    """Else some of the traffic would never move, or back in between."""
    with pytest.raises(TargetsError, match=r"rollout\.steps"):
        read_targets(changed(tmp_path, "steps = [5, 25, 100]", f"steps = {steps}"))
