"""The end of a log, as it can be shown anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_page_hostile import HOSTILE
from release_page_kit import load_log

from infra.release_page.log_tail import SHOWN_COLUMNS, SHOWN_LINES, log_tail


def tail_of(folder: Path, content: str | bytes) -> list[str]:
    """What is shown of a log with that content."""
    file = folder / "load.log"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return log_tail(file)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        ("one\ntwo", ["one", "two"]),
        ("one\n\ntwo\n", ["one", "", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\x1b[1;31mfail\x1b[0m \x1b[2Kdone\x1b(B\x1b=", ["fail done"]),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\ \x1b]0;title\x07x", ["link x"]),
        ("10 %\r50 %\r100 %\nend", ["100 %", "end"]),
        (b"caf\xe9\n", ["caf\ufffd"]),
    ],
)
def test_a_log_is_shown_as_a_terminal_would(tmp_path: Path, content: str | bytes, lines: list[str]) -> None:
    """Without colours and titles, the last state of a line that was written over."""
    assert tail_of(tmp_path, content) == lines


def test_only_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    """Lines are cut too, and what is far before the end is not even read."""
    lines = tail_of(tmp_path, "".join(f"line {n} {'x' * 3000}\n" for n in range(1000)))
    assert 100 < len(lines) <= SHOWN_LINES
    assert all(line.startswith("line ") for line in lines)
    assert lines[-1].startswith("line 999 xxx")
    assert {len(line) for line in lines} == {SHOWN_COLUMNS + 2}
    assert len(tail_of(tmp_path, "x\n" * 1000)) == SHOWN_LINES
    assert len(tail_of(tmp_path, "x" * 10_000_000)) == 1


@given(text=st.text(max_size=300) | st.text("\x1b[]0;m\x07\\\r\nP ", max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_log_can_be_shown(tmp_path: Path, text: str) -> None:
    """Also one of escape codes that are cut off."""
    assert all("\n" not in line for line in tail_of(tmp_path, text.encode("utf-8", "surrogatepass")))


def test_colours_of_a_real_log_are_gone(tmp_path: Path) -> None:
    """As pytest and Locust print them."""
    assert "\x1b[" in load_log()
    assert not any("\x1b" in line for line in tail_of(tmp_path, load_log() + HOSTILE))
