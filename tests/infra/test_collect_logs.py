"""The collector of log lines: what becomes of a line, of the space, and of a collector that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgpack
import pytest
from collector_kit import SECONDS, collector, lines_in, record
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from waiting import wait_until

from infra.collect_logs import SHARES, Collector, Segments, class_of, line_of, show_metrics, take_records

RECORD = {
    "container_name": "/runbook-dev-web-1-r-1",
    "source": "stdout",
    "runbook.role": "web",
    "runbook.release": "r-1",
}
ADDED = {"container": "runbook-dev-web-1-r-1", "role": "web", "release": "r-1", "stream": "stdout"}
NOW_MS = time.time_ns() // 1_000_000
WEBHOOK = {"webhook": True, "level": "info", "time": 1_796_000_000_123}


def kept(text: str, **more: object) -> dict[str, Any]:
    """What a line of a container becomes."""
    line = line_of(text, {**RECORD, **more}, SECONDS * 1000)[2]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_line_of_the_service_keeps_its_fields() -> None:
    """Whose it is is added."""
    assert kept('{"msg": "hi", "time": 1796000000123}\r') == {"msg": "hi", "time": 1796000000123, **ADDED}


def test_a_field_of_the_service_is_not_overwritten() -> None:
    """Such as the release that it speaks of."""
    assert kept('{"msg": "Live release", "time": 1, "release": "r-2"}')["release"] == "r-2"


@pytest.mark.parametrize("its", ['"now"', "null", "true", "-1", "0", "0.5", "1e300", "[]"])
def test_without_a_time_of_its_own_the_engine_s_counts(its: str) -> None:
    """In ms, also where the line has something else there."""
    assert kept(f'{{"msg": "hi", "time": {its}}}')["time"] == SECONDS * 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{",
        "[1]",
        "null",
        '{"a": NaN}',
        '{"a": 1} {"b": 2}',
        "[" * 9000,
        '{"a":' * 9000,
        "\x1b[31m",
        "�",
    ],
)
def test_what_is_no_object_is_plain(text: str) -> None:
    """Redis, HAProxy, tracebacks, anything."""
    assert kept(text) == {"time": SECONDS * 1000, "msg": text, "plain": True, **ADDED}


@pytest.mark.parametrize("write", [str, str.upper])
def test_half_a_character_does_not_make_a_line_unreadable(write: Callable[[str], str]) -> None:
    """Python takes a lone surrogate, JSON's other readers do not."""
    half, pair = (rf"\u{write(digits)}" for digits in ("d83d", "de00"))
    assert kept(f'{{"msg": "{half}", "other": "{half}{pair}", "time": 1}}') == {
        "msg": "?", "other": "😀", "time": 1, **ADDED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Traceback (most recent call last):", "error"),
        ("ValueError: bad", "error"),
        ("redis.exceptions.ConnectionError: gone", "error"),
        ("1:M 01 Dec 2026 01:00:00.123 # Out of memory", "warning"),
        ("1:M 01 Dec 2026 01:00:00.123 * Ready to accept connections", "info"),
        ("[WARNING]  (8) : Server live/a is DOWN", "warning"),
        ("[ALERT]    (1) : config", "critical"),
        ("[NOTICE]   (1) : haproxy version is 2.8", "info"),
        ("nothing that tells", None),
        ("  logo", None),
    ],
)
def test_the_level_of_plain_text_is_said_where_it_is_obvious(text: str, level: str | None) -> None:
    """Else there is none."""
    assert kept(text).get("level") == level


def test_the_middle_of_a_traceback_is_an_error() -> None:
    """Its lines are indented, on standard error."""
    assert kept('  File "x.py", line 1', source="stderr")["level"] == "error"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({**WEBHOOK, "event": "received"}, "received"),
        ({**WEBHOOK, "event": "verified"}, "webhooks"),
        ({**WEBHOOK, "event": "processed"}, "webhooks"),
        ({**WEBHOOK, "level": "warning", "event": "failed", "outcome": "no_credit"}, "webhooks"),
        (
            {**WEBHOOK, "level": "warning", "event": "failed", "security": True, "action": "blocked"},
            "refusals",
        ),
        ({**WEBHOOK, "level": "warning", "event": "failed", "code": "malformed"}, "refusals"),
        ({**WEBHOOK, "level": "warning", "event": "failed", "code": "too_large"}, "refusals"),
        ({**WEBHOOK, "level": "warning", "event": "failed", "code": "memory"}, "rest"),
        ({**WEBHOOK, "level": "warning", "event": "failed", "code": "internal"}, "rest"),
        ({**WEBHOOK, "level": "error", "event": "failed", "reason": "WAHA"}, "rest"),
        ({"level": "warning", "security": True, "action": "invalid_signature"}, "refusals"),
        ({"level": "warning", "security": True, "msg": "INNGEST_DEV is set"}, "rest"),
        ({"level": "warning", "msg": "Slow request detected", "status": 202}, "rest"),
        ({"level": "warning", "msg": "Slow request detected", "status": 503}, "rest"),
        ({"level": "warning", "msg": "Slow request detected", "status": 408}, "refusals"),
        ({"level": "warning", "msg": "Slow request detected", "status": 0}, "refusals"),
        ({"level": "warning", "msg": "Invalid HTTP request received."}, "refusals"),
        ({"level": "info", "msg": "Worker started"}, "rest"),
    ],
)
def test_what_anybody_can_cause_is_a_class_of_its_own(fields: dict[str, object], name: str) -> None:
    """However many of them there are, errors stay."""
    assert class_of(fields) == name


def test_all_that_is_sent_is_there_at_once(tmp_path: Path) -> None:
    """From many connections, each line once, whole."""
    with collector(tmp_path) as running:
        for number in range(20):
            running.send(*(record({"msg": f"{number}-{each}", "time": 1}) for each in range(200)))
        found = [line["msg"] for line in running.lines()]
    assert sorted(found) == sorted(f"{number}-{each}" for number in range(20) for each in range(200))


def test_a_record_may_come_in_any_pieces(tmp_path: Path) -> None:
    """A connection is a stream of bytes."""
    with collector(tmp_path) as running, running.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in record({"msg": "slowly", "time": 1}):
            connection.sendall(bytes([byte]))
        wait_until(lambda: len(running.lines()) == 1)


def test_a_long_line_is_put_together(tmp_path: Path) -> None:
    """The engine sends one of more than 16 kB in parts; two containers' parts may alternate."""
    text = json.dumps({"msg": "x" * 40_000, "time": 1})
    parts = [text[:16_384], text[16_384:32_768], text[32_768:]]
    with collector(tmp_path) as running:
        running.send(
            *(
                record(
                    part,
                    name,
                    partial_message="true",
                    partial_id="1",
                    partial_last=str(part is parts[-1]).lower(),
                )
                for part in parts
                for name in ("a", "b")
            )
        )
        assert [(line["container"], len(line["msg"])) for line in running.lines()] == [
            ("a", 40_000),
            ("b", 40_000),
        ]


def test_plain_lines_of_a_second_keep_their_order(tmp_path: Path) -> None:
    """The engine tells whole seconds only."""
    texts = ["Traceback (most recent call last):", "  File", "ValueError: bad"]
    with collector(tmp_path) as running:
        running.send(*map(record, texts))
        found = running.lines("rest")[1:]
    assert [(line["time"], line["msg"]) for line in found] == [
        (SECONDS * 1000 + number, text) for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
        msgpack.packb([1, 2]),
        msgpack.packb(["tag", 1, {"no": "log"}]),
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_a_bad_stream_ends_its_connection_only(tmp_path: Path, bad: bytes) -> None:
    """What came before it is kept, others go on, and it is counted."""
    with collector(tmp_path) as running, running.connect() as other:
        with running.connect() as connection:
            connection.sendall(record({"msg": "before", "time": 1}) + bad)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        other.sendall(record({"msg": "after", "time": 1}))
        wait_until(lambda: [line["msg"] for line in running.lines()] == ["before", "after"])
        wait_until(lambda: any(line.get("badStreams") == 1 for line in running.lines("rest")))


def test_a_record_is_acknowledged_when_it_is_written(tmp_path: Path) -> None:
    """By the name that its sender gave it; who gives none hears nothing."""
    with collector(tmp_path) as running, running.connect() as connection:
        connection.sendall(record({"msg": "unnamed", "time": 1}))
        tag, seconds, fields, _ = msgpack.unpackb(record({"msg": "named", "time": 1}))
        connection.sendall(msgpack.packb([tag, seconds, fields, {"chunk": "its name"}]))
        assert msgpack.unpackb(connection.recv(1000)) == {"ack": "its name"}
        assert [line["msg"] for line in running.lines()] == ["unnamed", "named"]


FIELDS = ["log", "container_id", "container_name", "partial_message", "partial_id", "partial_last"]
ATOMS = st.none() | st.integers(-(2**63), 2**63) | st.text() | st.floats()
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(FIELDS), inner),
    max_leaves=20,
)


@given(st.lists(st.binary(max_size=200) | st.just(b"GET ") | st.builds(msgpack.packb, VALUES)))
def test_no_bytes_end_the_collector(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    """Whatever comes, the connection is cut or the line kept, as JSON."""
    folder = tmp_path_factory.mktemp("logs")
    running = Collector(folder, 1e7, 10**12)

    async def send() -> bool:
        reader, writer = asyncio.StreamReader(), Mock(spec=asyncio.StreamWriter)
        taking = asyncio.create_task(take_records(running, reader, writer))
        for piece in pieces:
            reader.feed_data(piece)
            for _ in range(3):  # until it was read
                await asyncio.sleep(0)
        reader.feed_eof()
        await taking
        return bool(writer.transport.abort.called)

    was_cut = asyncio.run(send())
    counts = {each.name: each.samples[0].value for each in running.collect()}
    assert counts["collector_bad_streams"] == was_cut
    assert counts["collector_lines"] == len(lines_in(folder))
    assert running.connections == 0


def test_sigterm_ends_it_with_all_written(tmp_path: Path) -> None:
    """There is nothing to wait for; connections that stay open do not hold it up."""
    with collector(tmp_path) as running, running.connect() as connection:
        connection.sendall(record({"msg": "last", "time": 1}))
        wait_until(lambda: len(running.lines()) == 1)
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 10
        assert running.lines("rest")[-1]["msg"] == "Collector ended"


def test_what_a_killed_collector_left_is_finished(tmp_path: Path) -> None:
    """Nothing that was taken is lost; half a line goes."""
    with collector(tmp_path) as running:
        times = [NOW_MS + 2, NOW_MS, NOW_MS + 1]
        for ms in times:
            running.send(record({**WEBHOOK, "event": "verified", "msg": str(ms), "time": ms}))
        running.end(signal.SIGKILL)
    (left,) = (tmp_path / "webhooks").glob("*-open.jsonl")
    with left.open("ab") as file:
        file.write(b'{"time": 6000, "msg": "ha')
    (tmp_path / "webhooks" / "1.jsonl.gz.part").write_bytes(b"half")
    with collector(tmp_path) as running:
        packed = tmp_path / "webhooks" / f"{left.name[:13]}-{NOW_MS}-{NOW_MS + 2}.jsonl.gz"
        # Until it is on the disk, the plain one stays beside it.
        wait_until(lambda: packed.exists() and not packed.with_suffix("").exists())
        assert [line["msg"] for line in running.lines()] == list(map(str, times))
    assert not list((tmp_path / "webhooks").glob("*.part"))


def test_it_says_what_it_did(tmp_path: Path) -> None:
    """That the kernel takes a connection does not say that the collector works."""
    with collector(tmp_path) as running:
        running.send(record({"msg": "a", "time": 1}), record("plain"))
        with running.connect() as bad:
            bad.sendall(b"\xc1")
            with suppress(ConnectionResetError):
                assert bad.recv(1) == b""
        for _ in range(2):
            assert running.counts() == {"lines_total": 2, "dropped_total": 0, "bad_streams_total": 1}
        wait_until(lambda: any(line.get("badStreams") == 1 for line in running.lines("rest")))
        assert running.counts()["bad_streams_total"] == 1


def test_a_question_without_end_is_cut(tmp_path: Path) -> None:
    """It takes no memory without bound."""
    with collector(tmp_path) as running:
        connection = socket.create_connection(("127.0.0.1", running.metrics_port), timeout=60)
        with connection, pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"\xff" * 100_000)
        assert running.counts()["lines_total"] == 0


@pytest.mark.parametrize("asked", [b"\xff", b"", b"GET / HTTP/1.1\r\n"])
def test_half_a_question_ends_nothing(tmp_path: Path, asked: bytes) -> None:
    """It is answered by nothing."""
    with collector(tmp_path) as running:
        connection = socket.create_connection(("127.0.0.1", running.metrics_port), timeout=60)
        with connection, suppress(ConnectionError):
            connection.sendall(asked)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        assert running.counts()["lines_total"] == 0


def test_who_asks_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that stay open would be all that a process may have."""
    monkeypatch.setattr("infra.collect_logs.MAX_REQUEST_S", 0.01)
    writer = Mock(spec=asyncio.StreamWriter)

    async def ask_nothing() -> None:
        await show_metrics(CollectorRegistry(), asyncio.StreamReader(), writer)

    asyncio.run(asyncio.wait_for(ask_nothing(), 60))
    writer.close.assert_called_once()
    writer.write.assert_not_called()


ODD = ('["a"]', '{"a": 1}', "null", "true", "1e999", "-1", '""')


@pytest.mark.parametrize(
    "field", ["msg", "event", "code", "status", "security", "action", "webhook", "level"]
)
@pytest.mark.parametrize("its", ODD)
def test_a_field_may_be_of_any_type(field: str, its: str) -> None:
    """It is kept as it is."""
    fields = {"msg": "Slow request detected", "event": "failed", "security": True, "time": 1}
    text = json.dumps(fields)[:-1] + f', "{field}": {its}}}'
    assert kept(text)[field] == json.loads(its)


def test_an_odd_line_ends_no_connection(tmp_path: Path) -> None:
    """Nor is the next one lost."""
    with collector(tmp_path) as running:
        running.send(record({"msg": ["a"], "time": 1}), record({"event": "failed", "code": {}, "time": 1}))
        running.send(record({"msg": "next", "time": ["a"]}))
        assert [line.get("msg") for line in running.lines()] == [["a"], None, "next"]
        assert not any("badStreams" in line for line in running.lines("rest"))


def test_a_flood_of_refusals_pushes_out_no_error(tmp_path: Path) -> None:
    """Five times their share is sent: they stay within it, and what came before is there still."""
    refusal = {**WEBHOOK, "event": "failed", "security": True, "action": "invalid_signature"}
    share = 2e6 * SHARES["refusals"]
    with collector(tmp_path, "--megabytes", "2") as running:
        running.send(record({"msg": "Message failed", "level": "error", "time": 1_796_000_000_000}))
        sent, number = 0.0, 0
        while sent < 5 * share:  # noise that no compression makes small
            some = [record({**refusal, "msg": os.urandom(400).hex()}) for _ in range(50)]
            running.send(*some)
            sent, number = sent + sum(map(len, some)), number + 50

        def size() -> int:
            return sum(path.stat().st_size for path in (tmp_path / "refusals").iterdir())

        wait_until(lambda: size() <= share)
        assert 0 < len(running.lines("refusals")) < number
        assert [line["msg"] for line in running.lines("rest")][1] == "Message failed"
        assert running.peak_memory_mb() < 48


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """By the name alone: its last line is fourteen days older than the newest there is."""
    assert ages_left(tmp_path, 0, 13, 15) == {0, 13}


def test_a_clock_that_is_ahead_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen days of it took all there was; what is too old by the lines themselves goes still."""
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 15 * 86_400)
    assert ages_left(tmp_path, 0, 5, 13, 15) == {0, 5, 13}


def test_a_line_that_is_ahead_removes_nothing(tmp_path: Path) -> None:
    """A time that is not yet is not believed."""
    assert ages_left(tmp_path, -30, 0, 13, 15) == {-30, 0, 13}


def ages_left(folder: Path, *ages: int) -> set[int]:
    """Of segments whose last lines are so many days old, those that stay."""
    now_ms, day_ms = time.time_ns() // 1_000_000, 86_400_000
    for age in ages:
        last = now_ms - age * day_ms
        (folder / f"{last - 10:013d}-{last - 5:013d}-{last:013d}.jsonl.gz").write_bytes(b"")
    Segments(folder, 1e6, 14 * day_ms).prune()
    return {(now_ms - int(path.name[28:41])) // day_ms for path in folder.iterdir()}


def test_what_is_packed_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and its name, while the plain one is there still: a power failure costs none of it."""
    segments = Segments(tmp_path, 1e6, 10**13)
    segments.write([(1000, b'{"time": 1000}\n')])
    segments.close()
    (plain,) = tmp_path.iterdir()
    synced, fsync = [], os.fsync

    def noted(handle: int) -> None:
        fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append((path, (tmp_path / f"{plain.name}.gz").exists(), plain.exists()))

    monkeypatch.setattr("os.fsync", noted)
    assert segments.pack_one()
    assert synced == [(tmp_path / f"{plain.name}.part", False, True), (tmp_path, True, True)]
    assert not plain.exists()


def test_a_segment_is_closed_after_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet stack's lines are compressed, too."""
    segments = Segments(tmp_path, 1e6, 10**13)
    segments.write([(1000, b'{"time": 1000}\n')])
    segments.close(3600)
    assert [path.name[14:] for path in tmp_path.iterdir()] == ["open.jsonl"]
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3601)
    segments.close(3600)
    assert [path.name[14:] for path in tmp_path.iterdir()] == ["0000000001000-0000000001000.jsonl"]
    assert segments.pack_one()
    assert lines_in(tmp_path.parent, tmp_path.name) == [{"time": 1000}]
