"""Runs that have no figures: they are refused and say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_kit import load, samples

from benchmarks import drain, memory
from benchmarks.errors import BenchError
from benchmarks.load import follow, require_all_accepted
from benchmarks.machine import file_system_of, read_machine
from benchmarks.processor_time import ProcessorTime
from benchmarks.report import ReplyCounts


def lines(*events: dict[str, Any]) -> list[bytes]:
    """As the generator prints them."""
    return [json.dumps(event).encode() for event in events]


def test_a_run_counts_only_if_every_answer_was_202() -> None:
    """What there was instead is named, with how often; a lost answer too."""
    require_all_accepted({"202": 1000})
    with pytest.raises(BenchError, match=r"none \(1\), 503 \(7\)"):
        require_all_accepted({"202": 1000, "0": 1, "503": 7})


def test_a_generator_that_failed_says_why() -> None:
    """In its own words."""
    told = lines({"event": "measuring"}, {"event": "failed", "reason": "Connection refused"})
    with pytest.raises(BenchError, match="Connection refused"):
        follow(told, ProcessorTime([]), lambda _: None)


def test_a_generator_that_died_gives_no_result() -> None:
    """Its progress is none."""
    with pytest.raises(BenchError, match="without a result"):
        follow(lines({"event": "measuring"}, {"event": "progress", "answered": 5}), ProcessorTime([]), print)


def test_progress_and_result_are_handed_on() -> None:
    """The generator's share of the processor is reported with the others."""
    heard: list[int] = []
    told = lines(
        {"event": "measuring"},
        {"event": "progress", "answered": 5},
        {"event": "measured"},
        {"event": "result", "answered": 9, "cpu_share": 0.25},
    )
    result = follow(told, ProcessorTime([]), heard.append)
    assert (heard, result["answered"], result["cpu"]["generator"]) == ([5], 9, 0.25)
    assert "cpu_share" not in result


@pytest.mark.parametrize(("answered", "sent"), [(99, 99), (100, 101), (99, 100)])
def test_a_worker_that_loses_or_doubles_has_no_speed(answered: int, sent: int) -> None:
    """Each message that waited must be answered exactly once."""
    counts = ReplyCounts(answered=answered, sent=sent, requests=400, first_at=1, last_at=2)
    with pytest.raises(
        BenchError, match=f"100 messages waited, {answered} were answered, with {sent} replies"
    ):
        drain.summary(100, counts, {})


def test_the_drain_is_timed_from_reply_to_reply() -> None:
    """The first one starts the clock, and is not counted."""
    counts = ReplyCounts(answered=101, sent=101, requests=404, first_at=10, last_at=10.5)
    assert drain.summary(101, counts, {}).per_second == 200


def test_a_slope_needs_samples() -> None:
    """One after the warm-up is none."""
    with pytest.raises(BenchError, match="seen 1 times"):
        memory.summary(load(1000), samples([80]))


def test_a_disk_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sync there costs nothing, which would flatter the side that syncs more."""
    monkeypatch.setattr("benchmarks.machine.file_system_of", lambda _: "tmpfs")
    with pytest.raises(BenchError, match="tmpfs"):
        read_machine(tmp_path)


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    """/proc lies in its own, not in that of the root."""
    assert file_system_of(Path("/proc/self")) == "proc"
