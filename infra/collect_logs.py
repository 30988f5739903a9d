"""The collector of a stack's logs: takes what Docker's `fluentd` log driver sends, keeps it as JSON lines.

One file that runs alone in a container: msgpack and prometheus_client. Each record becomes one line, written
at once, in the folder of its class. Each class has a share of the space, so that lines which anybody
outside can cause in any amount push out no others. A folder has one open segment, `OPENED-open.jsonl`, and
finished ones, `OPENED-FIRST-LAST.jsonl`, soon `.jsonl.gz`: times in ms, of its lines too, so that a reader
knows by the name whether he needs it. The oldest goes first.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn

import msgpack
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

SHARES = {"rest": 0.4, "webhooks": 0.3, "refusals": 0.2, "received": 0.1}
"""Of the space, by class. `rest` is few lines, and those an incident is understood by: they last longest.

`webhooks`: what became of each. `refusals`: those of outsiders say little that the last thousand do not.
`received`: the one line that each webhook has before anybody knows whose it is, good or bad.
"""
# Tuples: a line may have anything in these fields, and what cannot be hashed cannot be looked for in a set.
OUTSIDERS_CODES = ("malformed", "too_large", "body_timeout", "not_found")
OUTSIDERS_LINES = ("Invalid HTTP request received.",)  # uvicorn's

MAX_SEGMENT_BYTES = 8_000_000
MAX_SEGMENT_S = 3600
MAX_CONNECTIONS = 256
MAX_REQUEST_S = 10
MAX_LINE = 256 * 1024
MAX_UNFINISHED_LINES = 16
_READ_BYTES = 32 * 1024
_MAX_MS = 10**13
_MAINTAIN_EACH_S = 5
_ADDED = ("container", "role", "release", "stream")
_OPEN = "-open.jsonl"
_LEVELS = (
    ("critical", re.compile(r"\[ALERT\]")),  # HAProxy's
    ("warning", re.compile(r"\[WARNING\]|\d+:[A-Z] .{20,28} # ")),  # ... and Redis's
    ("info", re.compile(r"\[NOTICE\]|\d+:[A-Z] .{20,28} \* ")),
    ("error", re.compile(r"Traceback \(most recent|[A-Za-z_][\w.]*(Error|Exception)\b")),
)

_HALF = re.compile(r"\\u[dD]")
"""How half a character begins."""

Line = tuple[str, int, bytes]
"""A line's class, its time, and itself with its end."""


class NoRecord(ValueError):
    """What came is not what the log driver sends."""


def class_of(fields: Mapping[str, Any]) -> str:
    """The class of one of the service's lines: whose doing it is, and how many of its kind there may be."""
    event, status, msg = fields.get("event"), fields.get("status"), fields.get("msg")
    if event == "received":
        return "received"
    is_refusal = event == "failed" and fields.get("code") in OUTSIDERS_CODES
    is_refusal |= fields.get("security") is True and "action" in fields
    if msg == "Slow request detected" and isinstance(status, int):
        is_refusal |= status == 0 or 400 <= status < 500  # 0: the client went away
    if is_refusal or msg in OUTSIDERS_LINES:
        return "refusals"
    is_good = fields.get("level") == "info" or fields.get("outcome") == "no_credit"
    return "webhooks" if fields.get("webhook") is True and is_good else "rest"


def line_of(text: str, record: Mapping[str, Any], engine_ms: int) -> Line:
    """One line of a container as it is kept: the service's own object and whose it is, or `plain` text."""
    added = {
        "container": str(record.get("container_name", "")).lstrip("/"),
        "role": record.get("runbook.role", ""),
        "release": record.get("runbook.release", ""),
        "stream": record.get("source", ""),
    }
    fields = _object(text)
    if fields is None:
        level = _level_of(text, str(added["stream"]))
        known = {"level": level} if level else {}
        return "rest", engine_ms, _encoded({"time": engine_ms, **known, "msg": text, "plain": True, **added})
    its_ms: Any = fields.get("time")
    if type(its_ms) not in (int, float) or not 1 <= its_ms < _MAX_MS:
        fields["time"] = its_ms = engine_ms
    elif fields.keys().isdisjoint(_ADDED) and "\n" not in text and not _HALF.search(text):
        # Most lines: they need not be written anew.
        return class_of(fields), int(its_ms), f"{text.rstrip()[:-1]},{_ending(*added.values())}\n".encode()
    return class_of(fields), int(its_ms), _encoded({**added, **fields})


@lru_cache(maxsize=256)
def _ending(*values: str) -> str:
    return json.dumps(dict(zip(_ADDED, values, strict=True)), separators=(",", ":"))[1:]


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        fields = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return fields or None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _level_of(text: str, stream: str) -> str | None:
    if stream == "stderr" and text.startswith("  "):
        return "error"  # the middle of a traceback
    return next((level for level, pattern in _LEVELS if pattern.match(text)), None)


def _encoded(fields: Mapping[str, Any]) -> bytes:
    """As JSON that every reader takes: half a character, which only Python does, becomes `?`."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


class Segments:
    """The lines of one class, within *max_bytes*: one open segment, and finished ones."""

    def __init__(self, folder: Path, max_bytes: float, max_age_ms: int) -> None:
        self._folder, self._max_bytes, self._max_age_ms = folder, max_bytes, max_age_ms
        self._segment_bytes = min(MAX_SEGMENT_BYTES, max_bytes / 8)
        self._file: FileIO | None = None
        self._bytes, self._opened_ms, self._first_ms, self._last_ms = 0, 0, _MAX_MS, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._recover()

    def write(self, lines: list[tuple[int, bytes]]) -> None:
        """Write *lines*, all or none.

        Raises:
            OSError: there is no space; what was there is whole still.
        """
        if self._file is None or self._bytes > self._segment_bytes:
            self.close()
            self._open()
        assert self._file is not None
        content = b"".join(line for _, line in lines)
        try:
            if self._file.write(content) != len(content):
                raise OSError("a part was written")
        except OSError:
            self._file.seek(self._bytes)
            self._file.truncate()
            raise
        self._bytes += len(content)
        times = [ms for ms, _ in lines]
        self._first_ms, self._last_ms = min(self._first_ms, *times), max(self._last_ms, *times)

    def close(self, older_than_s: float = 0) -> None:
        """Finish the open segment, if it was opened so long ago."""
        if self._file is not None and time.time() - self._opened_ms / 1000 >= older_than_s:
            self._file.close()
            self._file = None
            _finish(self._path, [self._first_ms, self._last_ms] if self._bytes else [])
            self.prune()

    def prune(self) -> None:
        """Remove finished segments, the oldest first: those that are too old, and too many.

        Too old is by the newest line of the finished segments here, or by the clock where that is earlier: a
        clock that is ahead removes nothing by itself, nor does a line that is. Both at once do.
        """
        finished = sorted(self._folder.glob("*-*-*.jsonl*"), reverse=True)
        newest_ms = max(map(_last_ms, finished), default=0)
        oldest_ms = min(newest_ms, time.time() * 1000) - self._max_age_ms
        left = self._max_bytes - self._segment_bytes  # the open one's
        for segment in finished:
            with suppress(FileNotFoundError):  # packed meanwhile: it is seen the next time
                left -= segment.stat().st_size
                if left < 0 or _last_ms(segment) < oldest_ms:
                    segment.unlink()

    def pack_one(self) -> bool:
        """Compress a finished segment; whether there was one. On a full disk it stays as it is.

        It goes when what it became is on the disk, with its name: a machine may lose its power at any time.
        """
        plain = min(self._folder.glob("*-*-*.jsonl"), default=None)
        if plain is None:
            return False
        part = plain.with_name(f"{plain.name}.part")
        try:
            with plain.open("rb") as source, gzip.open(part, "wb", compresslevel=6) as packed:
                shutil.copyfileobj(source, packed, _READ_BYTES)
            _sync(part)
            part.rename(plain.with_name(f"{plain.name}.gz"))
            _sync(self._folder)
            plain.unlink()
        except OSError:  # or it was pruned meanwhile
            part.unlink(missing_ok=True)
            return False
        return True

    def _open(self) -> None:
        self._opened_ms = max(self._opened_ms + 1, time.time_ns() // 1_000_000)
        self._path = self._folder / f"{self._opened_ms:013d}{_OPEN}"
        self._file, self._bytes = FileIO(self._path, "x"), 0
        self._first_ms, self._last_ms = _MAX_MS, 0

    def _recover(self) -> None:
        """Finish what a collector that was killed left behind; half a line at its end goes."""
        for part in self._folder.glob("*.part"):
            part.unlink()
        for path in self._folder.glob(f"*{_OPEN}"):
            whole, times = 0, []
            with path.open("r+b") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        file.truncate(whole)
                        break
                    whole += len(line)
                    with suppress(ValueError, LookupError, TypeError):  # a disk that lost its power
                        times.append(int(json.loads(line)["time"]))
            _finish(path, times)


def _finish(path: Path, times: list[int]) -> None:
    """Name an open segment by the first and last of *times*; one without any is removed."""
    if not times:
        path.unlink()
        return
    path.rename(path.with_name(f"{path.name[:13]}-{min(times):013d}-{max(times):013d}.jsonl"))


def _last_ms(segment: Path) -> int:
    return int(segment.name[28:41])


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _chunk(entry: Any) -> list[object]:
    """The name under which the driver waits for its record, if it does."""
    options = entry[3] if len(entry) > 3 else None
    return [options["chunk"]] if isinstance(options, dict) and "chunk" in options else []


class Collector:
    """Takes records, puts lines that came in parts together, writes each into its class."""

    def __init__(self, folder: Path, max_bytes: float, max_age_ms: int) -> None:
        self._classes = {
            name: Segments(folder / name, max_bytes * share, max_age_ms) for name, share in SHARES.items()
        }
        self._unfinished: dict[tuple[str, str], str] = {}
        self._plain_lines: dict[str, tuple[int, int]] = {}
        self._lines = self._dropped = self._bad_streams = 0
        self._said = (0, 0)  # of the two last: how many a line has told of
        self.connections = 0

    def take(self, entries: Iterable[object]) -> list[object]:
        """Write all lines of *entries*, in the form `[tag, seconds, record, options]`.

        Returns the names, in the options, of those whose sender waits to hear that they are written.

        Raises:
            NoRecord: an entry is none; those before it are written.
        """
        lines: dict[str, list[tuple[int, bytes]]] = {}
        waited_for: list[object] = []
        try:
            for entry in entries:
                if (made := self._line(entry)) is not None:
                    lines.setdefault(made[0], []).append(made[1:])
                waited_for += _chunk(entry)
        finally:
            for name, some in lines.items():
                try:
                    self._classes[name].write(some)
                    self._lines += len(some)
                except OSError:
                    self._dropped += len(some)
        return waited_for

    def count_bad_stream(self) -> None:
        """A stream was no stream of records, or one too many."""
        self._bad_streams += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What Prometheus asks for, since the collector started."""
        lines, dropped = "Lines of containers, written.", "Lines that had no space, or never ended."
        yield CounterMetricFamily("collector_lines", lines, self._lines)
        yield CounterMetricFamily("collector_dropped", dropped, self._dropped)
        yield CounterMetricFamily("collector_bad_streams", "Connections that were cut.", self._bad_streams)

    def say(self, level: str, msg: str, **fields: object) -> bool:
        """Write a line of our own; whether there was space for it."""
        ms = time.time_ns() // 1_000_000
        added = {"container": socket.gethostname(), "role": "logs", "release": "", "stream": "collector"}
        line = _encoded({"time": ms, "level": level, "msg": msg, **fields, **added})
        try:
            self._classes["rest"].write([(ms, line)])
        except OSError:
            return False
        return True

    async def maintain(self) -> NoReturn:
        """See to the segments' age and size, and tell what was lost."""
        while True:
            for segments in self._classes.values():
                with suppress(OSError):
                    segments.close(MAX_SEGMENT_S)
                    while await asyncio.to_thread(segments.pack_one):
                        continue
                    segments.prune()
            total = self._dropped, self._bad_streams
            dropped, bad = total[0] - self._said[0], total[1] - self._said[1]
            if (dropped or bad) and self.say(
                "warning", "Log lines were lost", dropped=dropped, badStreams=bad
            ):
                self._said = total
            await asyncio.sleep(_MAINTAIN_EACH_S)

    def _line(self, entry: Any) -> Line | None:
        """The line that *entry* makes; None where more of it is to come."""
        try:
            _tag, seconds, record, *_ = entry
            text: str = record["log"]
            if "partial_message" in record:
                key = (record["container_id"], record["partial_id"])
                text = (self._unfinished.pop(key, "") + text)[:MAX_LINE]
                if record["partial_last"] != "true":
                    self._unfinished[key] = text
                    if len(self._unfinished) > MAX_UNFINISHED_LINES:  # its end was lost on the way
                        del self._unfinished[next(iter(self._unfinished))]
                        self._dropped += 1
                    return None
            return line_of(text, record, self._engine_ms(text, record, seconds))
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise NoRecord from error

    def _engine_ms(self, text: str, record: Mapping[str, Any], seconds: int) -> int:
        """The engine tells whole seconds: in each, plain lines of a container are numbered, as they came."""
        if not 0 < seconds < _MAX_MS / 1000:
            seconds = int(time.time())
        if text.startswith("{"):
            return seconds * 1000
        if len(self._plain_lines) > MAX_CONNECTIONS:
            self._plain_lines.clear()
        last, count = self._plain_lines.get(record["container_id"], (0, 0))
        count = min(count + 1, 999) if seconds == last else 0
        self._plain_lines[record["container_id"]] = seconds, count
        return seconds * 1000 + count


async def take_records(
    collector: Collector, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Take what one connection sends, until it ends or is no record."""
    unpacker = msgpack.Unpacker(
        unicode_errors="replace",
        read_size=_READ_BYTES,
        max_buffer_size=16 * _READ_BYTES,
        max_array_len=16,
        max_map_len=64,
    )
    collector.connections += 1
    try:
        if collector.connections > MAX_CONNECTIONS:
            raise NoRecord("one too many")
        while content := await reader.read(_READ_BYTES):
            unpacker.feed(content)
            written = collector.take(unpacker)
            writer.write(b"".join(msgpack.packb({"ack": name}) for name in written))
            await writer.drain()
    except (ValueError, msgpack.UnpackException):  # NoRecord among them
        collector.count_bad_stream()
        writer.transport.abort()
    except (OSError, asyncio.CancelledError):
        pass  # it was cut at the other end, or we end
    finally:
        collector.connections -= 1
        writer.close()


async def show_metrics(
    registry: CollectorRegistry, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one HTTP request, whichever. In the thread that takes lines: where that hangs, so does this."""
    with suppress(EOFError, asyncio.LimitOverrunError, OSError, asyncio.CancelledError):
        async with asyncio.timeout(MAX_REQUEST_S):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.0 200 OK\r\nContent-Type: {CONTENT_TYPE_LATEST}\r\n\r\n".encode())
        writer.write(generate_latest(registry))
    writer.close()


async def serve(collector: Collector, port: int, metrics_port: int) -> None:
    """Serve until SIGTERM. What was taken is written: there is nothing to wait for."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    registry = CollectorRegistry()
    registry.register(collector)
    await asyncio.start_server(partial(show_metrics, registry), port=metrics_port)
    server = await asyncio.start_server(
        partial(take_records, collector), port=port, limit=_READ_BYTES, backlog=MAX_CONNECTIONS
    )
    collector.say("info", "Collector started")
    maintaining = loop.create_task(collector.maintain())
    await stop.wait()
    server.close()
    maintaining.cancel()
    collector.say("info", "Collector ended")


def main() -> None:
    """Collect, with the bounds on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--days", type=float, default=14)
    parser.add_argument("--megabytes", type=float, default=1024)
    given = parser.parse_args()
    max_age_ms = int(given.days * 86_400_000)
    collector = Collector(given.folder, given.megabytes * 1e6, max_age_ms)
    asyncio.run(serve(collector, given.port, given.metrics_port))


if __name__ == "__main__":
    main()
