"""Names that the benchmarks share with what they start, without importing it."""

from __future__ import annotations

from pathlib import Path
from subprocess import Popen
from typing import Any, cast

from benchmarks.programs import Program
from benchmarks.run import Part
from benchmarks.servers import STREAM, service_environment
from benchmarks.worker_servers import worker_environment
from runbook.verbs.bench import Part as VerbPart
from runbook.verbs.bench import bench_command
from service.lanes import LIVE
from service.settings import ENVIRONMENT_NAMES

PROGRAM = Program("any", cast("Popen[bytes]", cast(Any, None)), 1234, Path("log"))


def test_the_stream_is_the_services() -> None:
    """Else memory would be measured with a stream that only grows."""
    assert LIVE.stream == STREAM


def test_the_service_knows_every_setting_that_it_is_given() -> None:
    """A limit under a name that is no more would be at its default, and be met."""
    given = service_environment(PROGRAM, 80).keys() | worker_environment(PROGRAM, PROGRAM, Path(), 80).keys()
    assert given <= ENVIRONMENT_NAMES


def test_the_verb_knows_the_same_parts() -> None:
    """It passes their names on."""
    assert [part.value for part in VerbPart] == [part.value for part in Part]


def test_the_verb_runs_the_benchmarks(tmp_path: Path) -> None:
    """With the parts and switches that were asked for, and a place for the report."""
    command = bench_command(tmp_path / "r.json", [VerbPart.MEMORY], ["--short"])
    assert command[1:] == ["-m", "benchmarks", "memory", "--short", "--report", str(tmp_path / "r.json")]
