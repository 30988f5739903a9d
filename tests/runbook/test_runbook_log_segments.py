"""Segments that are fetched from a collector: once, only what is asked for, and never for ever."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from log_kit import NOW_MS, FakeCollector, line, type_logs, write_segment

from runbook.errors import RunbookError
from runbook.log_copy import LogCopy, new_lines
from runbook.log_segments import CLASSES, Segment

HOUR_MS = 3_600_000


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCollector:
    """The collector of stack dev."""
    engine = FakeEngine()
    made = FakeCollector("id-of-logs", "runbook-dev-logs", {}, folder=tmp_path / "collector")
    engine.containers.found.append(made)
    monkeypatch.setattr("docker.from_env", lambda: engine)
    monkeypatch.setattr("runbook.log_copy.BUILD", tmp_path / "build")
    monkeypatch.setattr("runbook.log_copy._POLL_INTERVAL_S", 0.01)
    return made


def everything(_segment: Segment) -> bool:
    """All are wanted."""
    return True


def texts(copy: LogCopy) -> str:
    """All that was fetched, in the order of the names."""
    return "".join(
        (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        for path in sorted(copy.folder.rglob("*.jsonl*"))
    )


@pytest.mark.parametrize("status", ["running", "exited"])
def test_only_what_overlaps_is_fetched(collector: FakeCollector, status: str) -> None:
    """By the names, of the classes that were asked for; a collector that is stopped has its files, too."""
    collector.status = status
    for hour in range(4):
        at = NOW_MS + hour * HOUR_MS
        write_segment(collector.folder, "rest", line(f"h{hour}", at), opened=at, packed=hour < 2)
    write_segment(collector.folder, "webhooks", line("other", NOW_MS + HOUR_MS))
    write_segment(collector.folder, "rest", line("open"), opened=NOW_MS + 4 * HOUR_MS, is_open=True)
    copy = LogCopy("dev")
    copy.update(lambda each: each.is_in(("rest",), NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS))
    assert texts(copy) == "".join(
        [line("h1", NOW_MS + HOUR_MS), line("h2", NOW_MS + 2 * HOUR_MS), line("open")]
    )


def test_a_stopped_collector_is_read_once(collector: FakeCollector) -> None:
    """All of it comes each time: nothing is new until it runs again."""
    path = write_segment(collector.folder, "rest", line("a"), is_open=True)
    collector.status = "exited"
    copy = LogCopy("dev")
    assert copy.update(everything) == copy.update(everything) != []
    assert len(collector.done) == 1
    with path.open("a") as file:
        file.write(line("b"))
    collector.status = "running"
    copy.update(everything)
    assert texts(copy) == line("a") + line("b")


def test_what_is_finished_is_fetched_once(collector: FakeCollector) -> None:
    """Also where it was compressed after that."""
    plain = write_segment(collector.folder, "rest", line("a"))
    copy = LogCopy("dev")
    copy.update(everything)
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    copy.update(everything)
    assert len(collector.done) == 1
    assert texts(copy) == line("a")


def test_of_an_open_segment_only_what_is_new_comes(collector: FakeCollector) -> None:
    """In whole lines; it goes when it is finished."""
    path = write_segment(collector.folder, "rest", line("a"), is_open=True)
    copy = LogCopy("dev")
    copy.update(everything)
    with path.open("a") as file:
        file.write(line("bä") + '{"msg": "ha')
    copy.update(everything)
    assert texts(copy) == line("a") + line("bä")
    with path.open("a") as file:
        file.write('lf"}\n')
    path.rename(path.with_name(f"{NOW_MS}-{NOW_MS}-{NOW_MS}.jsonl"))
    copy.update(everything)
    assert texts(copy) == line("a") + line("bä") + '{"msg": "half"}\n'
    assert len(list(copy.folder.rglob("*.jsonl"))) == 1


def test_what_the_collector_removed_goes_here_too(collector: FakeCollector) -> None:
    """This machine keeps no more than it does."""
    path = write_segment(collector.folder, "rest", line("a"))
    copy = LogCopy("dev")
    copy.update(everything)
    path.unlink()
    copy.update(everything)
    assert texts(copy) == ""


def test_a_segment_that_moves_meanwhile_is_looked_for_again(collector: FakeCollector) -> None:
    """It was compressed between the list and the fetch."""
    path = write_segment(collector.folder, "rest", line("a"))
    run = collector._run

    def run_and_pack(command: list[str]) -> tuple[int, str]:
        done = run(command)
        if path.exists():
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        return done

    collector.answer = run_and_pack
    copy = LogCopy("dev")
    copy.update(everything)
    assert texts(copy) == line("a")


def test_a_segment_that_is_just_packed_is_read_once(
    collector: FakeCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a moment it is there plain and compressed."""
    plain = write_segment(collector.folder, "rest", line("a"))
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    for status in ("running", "exited"):
        collector.status = status
        assert type_logs("--since", "2026-11-29") == 0
        assert "1 of 1 lines" in capsys.readouterr().err


def test_a_collector_that_cannot_be_listed_is_not_an_empty_one(collector: FakeCollector) -> None:
    """What was fetched stays, and why is said."""
    write_segment(collector.folder, "rest", line("a"))
    copy = LogCopy("dev")
    copy.update(everything)
    collector.answer = lambda _command: (126, "OCI runtime exec failed: no space left on device\n")
    with pytest.raises(RunbookError, match="cannot be listed: OCI runtime exec failed") as raised:
        copy.update(everything)
    assert "`docker logs runbook-dev-logs`" in raised.value.hint
    assert texts(copy) == line("a")


def test_a_class_without_a_folder_is_an_empty_one(collector: FakeCollector) -> None:
    """A collector that was just started; also where none is there."""
    write_segment(collector.folder, "rest", line("a"))
    (collector.folder / "webhooks").rmdir()
    copy = LogCopy("dev")
    copy.update(everything)
    assert texts(copy) == line("a")
    shutil.rmtree(collector.folder)
    collector.folder.mkdir()
    assert copy.update(everything) == []
    assert texts(copy) == ""


def test_without_a_collector_it_is_said_how_to_have_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One command, in a new checkout."""
    monkeypatch.setattr("runbook.monitor_containers.configuration_file", lambda stack: tmp_path / stack)
    assert type_logs("errors") == 1
    said = capsys.readouterr().err
    assert "there is no stack 'dev'" in said
    assert "bin/runbook up" in said


def following(copy: LogCopy, there: list[Segment]) -> Iterator[str]:
    """The lines of each file that `--follow` gets."""
    return (file.read_text() for file in new_lines(copy, CLASSES, there))


def test_follow_survives_the_end_of_a_segment(collector: FakeCollector) -> None:
    """Each line comes once: the segment is finished and compressed, the next one is opened."""
    path = write_segment(collector.folder, "rest", line("old"), is_open=True)
    write_segment(collector.folder, "webhooks", line("old, too"), opened=NOW_MS - 1)
    copy = LogCopy("dev")
    new = following(copy, copy.update(everything))
    with path.open("a") as file:
        file.write(line("a"))
    assert next(new) == line("a")
    with path.open("a") as file:
        file.write(line("b"))
    finished = path.with_name(f"{NOW_MS}-{NOW_MS}-{NOW_MS}.jsonl.gz")
    finished.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    write_segment(collector.folder, "rest", line("c"), opened=NOW_MS + 1, is_open=True)
    assert sorted(next(new).splitlines(keepends=True)) == [line("b"), line("c")]
    write_segment(collector.folder, "rest", line("d"), opened=NOW_MS + 2, packed=True)
    assert next(new) == line("d")


def test_follow_waits_for_a_collector_that_is_away(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said once; what it has when it is back comes."""
    path = write_segment(collector.folder, "rest", line("old"), is_open=True)
    copy = LogCopy("dev")
    new = following(copy, copy.update(everything))
    away = iter([True, True, False])

    def update(is_wanted: object, fetch: object = copy.update) -> list[Segment]:
        if next(away, False):
            raise RunbookError("there is no container", "")
        with path.open("a") as file:
            file.write(line("back"))
        return fetch(is_wanted)  # type: ignore[operator,no-any-return]

    monkeypatch.setattr(copy, "update", update)
    assert next(new) == line("back")
    assert capsys.readouterr().err.count("waiting for the collector") == 1
