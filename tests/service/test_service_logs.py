"""Logs: one JSON object a line, whoever speaks and whatever is said."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from service.telemetry.logs import Output, Pseudonyms, configure_logs, plain_lines

Lines = Callable[[], list[dict[str, Any]]]

EVIL = 'a"b\n{"level": "critical"}\r\u2028\x1b[31m\ud800'


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What was written to stdout after the logs were configured."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    out = io.BytesIO()
    stdout = io.TextIOWrapper(out)  # held here: without it the bytes would be closed too
    monkeypatch.setattr(sys, "stdout", stdout)
    configure_logs("INFO")
    yield out
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.fixture
def logs(written: io.BytesIO) -> Lines:
    """Reads the lines logged so far."""
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def test_line_has_the_runbooks_fields(logs: Lines) -> None:
    """Level, message, time in ms, the event's name, and what the line adds."""
    structlog.get_logger().info("Webhook received", webhook=True, _event="received", requestId="r")
    (line,) = logs()
    assert (line["level"], line["msg"], line["event"], line["webhook"]) == (
        "info",
        "Webhook received",
        "received",
        True,
    )
    assert line["time"] > 1_700_000_000_000


def test_libraries_speak_the_same_way(logs: Lines) -> None:
    """A line of `logging`, as uvicorn writes them, has the same shape."""
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", EVIL, extra={"color_message": "x"})
    (line,) = logs()
    assert (line["level"], line["msg"]) == ("warning", f"Invalid HTTP request {EVIL}")
    assert "color_message" not in line


@pytest.mark.parametrize("speak", ["ours", "a library's"])
def test_nothing_ends_a_line_early(written: io.BytesIO, speak: str) -> None:
    """Whatever a value holds, it stays inside its JSON string, in ASCII."""
    if speak == "ours":
        structlog.get_logger().info(EVIL, reason=EVIL, **{EVIL: 1})
    else:
        logging.getLogger("any").warning(EVIL)
    line = written.getvalue().decode("ascii")
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["msg"] == EVIL


def test_exception_is_its_type_and_places_only(logs: Lines) -> None:
    """What an exception says may quote a message: only its type and the places it came through are logged."""
    for log in (structlog.get_logger().error, logging.getLogger("any").error):
        try:
            raise ValueError("a very private text")
        except ValueError:
            log("It failed", exc_info=True)
    first, second = logs()
    assert first["error"] == second["error"] == "ValueError"
    assert "test_exception_is_its_type" in first["at"][0]
    assert "private" not in str((first, second))


def test_debug_lines_are_left_out_at_info(logs: Lines) -> None:
    """The level is a threshold for ours and the libraries', and httpx's lines with each URL need more."""
    structlog.get_logger().debug("no")
    logging.getLogger("any").debug("no")
    logging.getLogger("httpx").info("HTTP Request: POST http://waha/secret")
    assert logs() == []


def test_pseudonyms_are_stable_and_keyed() -> None:
    """Equal for equal ids under one secret, different otherwise, and short."""
    here, there = Pseudonyms("one"), Pseudonyms("two")
    assert here.of("1@c.us") == Pseudonyms("one").of("1@c.us")
    assert len({here.of("1@c.us"), here.of("2@c.us"), there.of("1@c.us")}) == 3
    assert len(here.of("x" * 10_000)) == 16


class Counted(io.BytesIO):
    """Counts how often it is written to."""

    writes = 0

    def write(self, data: Any) -> int:
        self.writes += 1
        return super().write(data)


async def test_lines_of_one_turn_are_written_together() -> None:
    """What a turn of the event loop says costs one write, each line whole, in order."""
    file = Counted()
    tell = plain_lines(Output(file), "INFO")
    for number in range(3):
        tell({"msg": "Webhook received", "requestId": f"r-{number}"})
    await asyncio.sleep(0)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [(line["requestId"], line["level"]) for line in lines] == [(f"r-{it}", "info") for it in range(3)]
    assert file.writes == 1


def test_lines_without_an_event_loop_are_written_at_once() -> None:
    """Before the loop starts and after it has ended nothing waits for its next turn."""
    file = io.BytesIO()
    plain_lines(Output(file), "INFO")({"msg": "hello"})
    assert json.loads(file.getvalue())["msg"] == "hello"


def test_plain_lines_obey_the_level() -> None:
    """They are of level INFO."""
    file = io.BytesIO()
    plain_lines(Output(file), "WARNING")({"msg": "hello"})
    assert file.getvalue() == b""
