"""`logs`: what an operator types, and what comes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from log_kit import NOW_MS, line, type_logs, write_segment
from waiting import wait_until

from runbook.options import read_moment

Capture = pytest.CaptureFixture[str]


def test_the_newest_lines_come_oldest_first(tmp_path: Path, capsys: Capture) -> None:
    """As many as asked for; how many there are, and since when, is said beside."""
    write_segment(tmp_path, "rest", *(line(f"m{number}", NOW_MS + number) for number in range(10)))
    assert type_logs("--folder", str(tmp_path), "--since", "2026-11-29", "--limit", "2") == 0
    said = capsys.readouterr()
    assert [row.split()[:5] for row in said.out.splitlines()] == [
        ["2026-11-30", f"00:53:20.{number:03d}", "info", "web-1-r-1234567", f"m{number}"] for number in (8, 9)
    ]
    assert (
        "2 of 10 lines since 2026-11-29 00:00:00 UTC; the logs go back to 2026-11-30 00:53:20 UTC" in said.err
    )


def test_json_is_one_object_a_line(tmp_path: Path, capsys: Capture) -> None:
    """As it was written, with whose it is."""
    write_segment(tmp_path, "refusals", line("no", action="rate_limit", security=True, ip="::1"), packed=True)
    assert type_logs("rate-limit", "--folder", str(tmp_path), "--since", "2026-11-29", "--json") == 0
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (found["msg"], found["ip"], found["role"]) == ("no", "::1", "web")


def test_nothing_in_a_line_steers_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    """Neither as text nor as JSON: colours, titles, line ends, and text that runs backwards."""
    evil = "\x1b]0;x\x07\n\r\x9b31m\u202e\u2028"
    write_segment(
        tmp_path, "rest", line(evil, level=evil, **{evil: evil, "container": evil, "requestId": evil})
    )
    write_segment(tmp_path, "webhooks", line("raw").replace("raw", "\u202e\u2028\x9b"))  # not escaped
    for more in ([], ["--json"]):
        type_logs("--folder", str(tmp_path), "--since", "2026-11-29", *more)
        out = capsys.readouterr().out
        assert out.count("\n") == 2
        assert out.replace("\n", "").isprintable()
    type_logs("sql", "SELECT msg, line FROM logs", "--folder", str(tmp_path), "--since", "2026-11-29")
    assert all(row.isprintable() for row in capsys.readouterr().out.split("\n"))


def test_everything_about_one_request_is_in_order(tmp_path: Path, capsys: Capture) -> None:
    """Over classes, replicas and releases; of lines of one ms the one that was received comes first."""
    write_segment(tmp_path, "rest", line("Message failed", NOW_MS + 5, requestId="a", container="w-r-2"))
    write_segment(
        tmp_path,
        "webhooks",
        line("Webhook verified", event="verified", requestId="a"),
        line("no", requestId="b"),
    )
    write_segment(tmp_path, "received", line("Webhook received", event="received", requestId="a"))
    type_logs("request", "a", "--since", "2026-11-29", "--folder", str(tmp_path), "--json")
    found = [json.loads(row)["msg"] for row in capsys.readouterr().out.splitlines()]
    assert found == ["Webhook received", "Webhook verified", "Message failed"]


def test_a_request_s_id_is_no_condition(tmp_path: Path, capsys: Capture) -> None:
    """Whatever stands in it."""
    write_segment(tmp_path, "rest", line("x", requestId='a" OR msg="x'), line("y", requestId="b"))
    assert type_logs("request", 'a" OR msg="x', "--since", "2026-11-29", "--folder", str(tmp_path)) == 0
    assert "1 of 1 lines" in capsys.readouterr().err
    assert type_logs("request", '{"', "--since", "2026-11-29", "--folder", str(tmp_path)) == 0


def test_a_release_is_that_of_the_container(tmp_path: Path, capsys: Capture) -> None:
    """Also where the line speaks of another."""
    write_segment(
        tmp_path,
        "rest",
        line("a"),
        line("Live release", NOW_MS + 1, release="r-2"),
        line("b", container="c-r-2", release="r-2"),
        line("Live release", NOW_MS + 1, container="c-r-2", release="r-1234567"),
    )
    type_logs("--release", "r-1234567", "--since", "2026-11-29", "--folder", str(tmp_path), "--json")
    assert [json.loads(row)["msg"] for row in capsys.readouterr().out.splitlines()] == ["a", "Live release"]


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path, capsys: Capture) -> None:
    """A disk that lost its power, or half a line: never fatal."""
    write_segment(tmp_path, "rest", line("a"), "\0\0\0\n", '{"msg": "ha\n', "[\n", line("b"))
    assert type_logs("--since", "2026-11-29", "--folder", str(tmp_path)) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "3 lines cannot be read" in said.err
    assert type_logs("sql", "SELECT msg FROM logs", "--since", "2026-11-29", "--folder", str(tmp_path)) == 0
    assert "3 lines cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no gzip", b"cut", b"cut at its head"])
def test_a_broken_segment_is_left_out(tmp_path: Path, capsys: Capture, content: bytes) -> None:
    """Named; the others are answered, with a query or SQL."""
    broken = write_segment(tmp_path, "rest", line("lost"), packed=True)
    whole = broken.read_bytes()
    broken.write_bytes({b"cut": whole[:-9], b"cut at its head": whole[:5]}.get(content, content))
    options = ("--folder", str(tmp_path), "--since", "2026-11-29")
    said = f"1 segment cannot be read: {broken.name}\n"
    assert type_logs(*options) == 0
    assert said in capsys.readouterr().err
    write_segment(tmp_path, "webhooks", line("whole"), packed=True)
    write_segment(tmp_path, "webhooks", line("plain"), "[\n", opened=NOW_MS + 1)
    assert type_logs("--json", *options) == 0
    told = capsys.readouterr()
    assert {json.loads(row)["msg"] for row in told.out.splitlines()} == {"whole", "plain"}
    assert said in told.err
    assert "1 line cannot be read\n" in told.err
    assert "2 of 2 lines" in told.err
    for sql in ("SELECT msg FROM logs", "SELECT 'plain' UNION ALL SELECT 'whole'"):
        assert type_logs("sql", sql, *options) == 0
        told = capsys.readouterr()
        assert sorted(told.out.split()[-2:]) == ["plain", "whole"]
        assert said in told.err


def test_each_broken_segment_is_named(tmp_path: Path, capsys: Capture) -> None:
    """Where all of them are, nothing is left."""
    names = []
    for opened in (NOW_MS, NOW_MS + 1):
        path = write_segment(tmp_path, "rest", line("lost"), opened=opened, packed=True)
        path.write_bytes(path.read_bytes()[:-9])
        names.append(path.name)
    assert type_logs("--folder", str(tmp_path), "--since", "2026-11-29") == 0
    told = capsys.readouterr().err
    assert f"2 segments cannot be read: {', '.join(names)}\n" in told
    assert "0 of 0 lines" in told


@pytest.mark.parametrize(
    "field", ["event", "level", "msg", "container", "code", "status", "security", "webhook"]
)
def test_a_field_of_any_type_is_shown(tmp_path: Path, capsys: Capture, field: str) -> None:
    """As it is; two lines of one ms, which are put in order by their events."""
    fields = json.loads(line("x"))
    odd = [json.dumps({**fields, field: its}) + "\n" for its in (["a"], {"a": 1}, None, True, 5)]
    write_segment(tmp_path, "rest", *odd, line("y", event="received"))
    assert type_logs("--folder", str(tmp_path), "--since", "2026-11-29") == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_time_in_quotes_is_one(tmp_path: Path, capsys: Capture) -> None:
    """DuckDB takes it for a number."""
    path = write_segment(tmp_path, "rest", line("b"))
    path.write_text(line("b") + line("a").replace(str(NOW_MS), f'"{NOW_MS - 1}"'))
    assert type_logs("--folder", str(tmp_path), "--since", "2026-11-29") == 0
    assert [row.split()[1] for row in capsys.readouterr().out.splitlines()] == [
        "00:53:19.999", "00:53:20.000",
    ]  # fmt: skip


def test_sql_reads_the_columns_and_the_rest(tmp_path: Path, capsys: Capture) -> None:
    """A table; or JSON, one object a row."""
    write_segment(tmp_path, "rest", line("a", durationMs=5, tenant="t"), line("a", durationMs=7), line("b"))
    sql = "SELECT msg, sum(durationMs) AS ms, max(line->>'tenant') AS tenant FROM logs GROUP BY 1 ORDER BY 1"
    options = ("--since", "2026-11-29", "--folder", str(tmp_path))
    assert type_logs("sql", sql, *options) == 0
    assert [row.split() for row in capsys.readouterr().out.splitlines()] == [
        ["msg", "ms", "tenant"], ["a", "12.0", "t"], ["b", "-", "-"],
    ]  # fmt: skip
    assert type_logs("sql", sql, "--json", "--limit", "1", *options) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"msg": "a", "ms": 12, "tenant": "t"}
    assert "the first 1 rows" in said.err


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELCT", "syntax error"),
        ("SELECT nothing FROM logs", "nothing"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("", "not one SELECT"),
        ("DROP VIEW logs", "not one SELECT"),
        ("COPY (SELECT 1) TO 'FOLDER/new'", "not one SELECT"),
        ("COPY (SELECT 1) TO 'FILE'", "not one SELECT"),
        ("ATTACH 'FOLDER/new.db'", "not one SELECT"),
        ("INSTALL httpfs", "not one SELECT"),
        ("SET enable_external_access = true", "not one SELECT"),
        ("PRAGMA database_list", "not one SELECT"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM '/etc/passwd.csv'", "disabled by configuration"),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("SELECT * FROM 'http://127.0.0.1:1/x.csv'", "disabled by configuration"),
        ("SELECT * FROM files", "does not exist"),
        ("SELECT CAST(msg || chr(27) || '[31m' AS INTEGER) FROM logs", "a?[31m"),
    ],
)
def test_sql_can_only_read_the_lines(tmp_path: Path, capsys: Capture, sql: str, said: str) -> None:
    """No other file, no network, no change, no variable of our own; what is wrong is said."""
    file = write_segment(tmp_path, "rest", line("a"))
    before = file.read_bytes()
    sql = sql.replace("FOLDER", str(tmp_path)).replace("FILE", str(file))
    assert type_logs("sql", sql, "--since", "2026-11-29", "--folder", str(tmp_path)) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert said in told
    assert "\x1b" not in told
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "5x"], "'5x' is no time"),
        (["--since", "1h", "--until", "2h"], "--since is after --until"),
        (["--since", "2026-13-01"], "is no time"),
        (["nonsense"], "'nonsense' is no query: failed-webhooks, "),
        (["SELECT msg FROM logs"], "bin/runbook logs sql"),
        (["request"], "`request` takes an ID"),
        (["sql"], "`sql` a SELECT"),
        (["errors", "x"], "all else nothing"),
        (["sql", "SELECT 1", "--follow"], "--follow goes with"),
        (["--limit", "0"], "--limit"),
        (["sql", "SELECT '\udcff'"], "is no UTF-8"),
        (["--release", "\udcff"], "is no UTF-8"),
        (["--since", "999999999d"], "is no time"),
        (["errors", "--follow", "--until", "1m"], "--until"),
    ],
)
def test_what_cannot_be_asked_is_usage(tmp_path: Path, capsys: Capture, words: list[str], said: str) -> None:
    """Exit code 2, with what was wrong."""
    assert type_logs(*words, "--folder", str(tmp_path)) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_is_not_there_is_usage(tmp_path: Path, capsys: Capture) -> None:
    """It is no folder without lines."""
    (tmp_path / "file").touch()
    for name, said in (("nothing", "does not exist"), ("file", "is a file")):
        assert type_logs("--folder", str(tmp_path / name)) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_time_may_be_ago_or_a_date() -> None:
    """UTC, unless it says another zone."""
    now_ms = time.time() * 1000
    for text, ago_s in (("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)):
        assert abs(now_ms - ago_s * 1000 - read_moment(text)) < 60_000
    assert read_moment("2026-11-30T00:53:20") == read_moment("2026-11-30T02:53:20+02:00") == NOW_MS


def test_help_names_each_query(capsys: Capture) -> None:
    """With how it is typed."""
    assert type_logs("--help") == 0
    said = capsys.readouterr().out
    for words in (
        "logs failed-webhooks ",
        "logs request ID ",
        "logs sql 'SELECT",
        'logs \'level="error" AND',
    ):
        assert f"bin/runbook {words}" in said


def test_no_lines_are_no_error(tmp_path: Path, capsys: Capture) -> None:
    """A stack that was just made."""
    assert type_logs("errors", "--folder", str(tmp_path)) == 0
    assert "0 of 0 lines" in capsys.readouterr().err


def test_the_first_moment_is_a_time(tmp_path: Path, capsys: Capture) -> None:
    """It is 0 ms, which is given all the same."""
    write_segment(tmp_path, "rest", line("a"), line("b", 1))
    assert type_logs("--since", "1970-01-01", "--folder", str(tmp_path)) == 0
    assert "2 of 2 lines since 1970-01-01 00:00:00 UTC" in capsys.readouterr().err
    assert type_logs("--until", "1970-01-01", "--folder", str(tmp_path)) == 0
    assert "0 of 0 lines" in capsys.readouterr().err


def test_ctrl_c_ends_a_query_in_words(tmp_path: Path) -> None:
    """DuckDB has an error of its own for it."""
    endless = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
    command = [sys.executable, "-m", "runbook", "logs", "sql", endless, "--folder", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: psutil.Process(process.pid).cpu_times().user > 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.splitlines()[0] == "error: interrupted"
