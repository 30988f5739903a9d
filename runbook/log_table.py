"""Segments of log lines as a table: DuckDB reads the files as they are, and nothing else.

A line that is no JSON is counted, not fatal; so is a compressed segment that is cut off. What an operator
gives as SQL can only read: one SELECT, no other file, no network, no setting.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from infra.errors import printable
from runbook.errors import RunbookError
from runbook.log_query import Condition

_TEXTS = ("level", "msg", "event", "requestId", "action", "code", "lane", "ip", "reason", "outcome", "chat",
          "error", "method", "path", "container", "role", "release", "stream")  # fmt: skip
_NUMBERS = ("status", "durationMs", "waitedMs", "attempt")
_FLAGS = ("webhook", "security", "plain")
_COLUMNS = ", ".join((
    "TRY_CAST(line->>'time' AS BIGINT) AS time", "make_timestamp(time * 1000) AS utc",
    *(f"line->>'{name}' AS {name}" for name in _TEXTS),
    *(f"TRY_CAST(line->>'{name}' AS DOUBLE) AS {name}" for name in _NUMBERS),
    *(f"line->>'{name}' = 'true' AS {name}" for name in _FLAGS),
    "line",
))  # fmt: skip
"""Of `logs`; read from a line only where they are asked for. All else is in `line`: `line->>'tenant'`."""
_MAX_MEMORY = "1GB"
_CHUNK = 256 * 1024
_NOTHING = "(SELECT NULL::JSON AS json LIMIT 0)"


Rows = tuple[list[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Found:
    """The newest lines that fit, as JSON; how many fit in all; how many could not be read.

    `broken` names the segments that were left out.
    """

    lines: list[str]
    count: int
    unreadable: int
    broken: tuple[str, ...] = ()


class LogTable:
    """The lines of *files* from *since_ms* to *until_ms*, of *release* or all.

    `broken` names those that cannot be read, as far as anything was asked: they are left out.
    """

    def __init__(self, files: Sequence[Path], since_ms: int, until_ms: int, release: str = "") -> None:
        self._connection = duckdb.connect(
            config={
                "python_enable_replacements": "false",
                "memory_limit": _MAX_MEMORY,
                "temp_directory": "",  # else what needs more fills the folder that we are in
                "preserve_insertion_order": "false",  # a file's is none that anybody asks for
            }
        )
        paths = ", ".join(_quoted(str(file)) for file in files)
        self._connection.execute(f"SET allowed_paths = [{paths}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._release, self._times = release, f"BETWEEN {since_ms} AND {until_ms}"
        self.broken: tuple[str, ...] = ()
        self._see(files)

    def _see(self, files: Sequence[Path]) -> None:
        """Make the views, of *files*."""
        self._files, release = files, self._release
        paths = ", ".join(_quoted(str(file)) for file in files)
        lines = f"read_ndjson_objects([{paths}], ignore_errors = true)" if files else _NOTHING
        if release:  # a line may speak of another release than its container's
            lines += f" WHERE json IS NULL OR ends_with(json->>'container', {_quoted(f'-{release}')})"
        self._connection.execute(f"CREATE OR REPLACE VIEW lines AS SELECT json AS line FROM {lines}")  # noqa: S608
        view = f"SELECT {_COLUMNS} FROM lines WHERE time {self._times}"  # noqa: S608 - of quoted texts
        self._connection.execute(f"CREATE OR REPLACE VIEW logs AS {view}")

    def select(self, condition: Condition, limit: int) -> Found:
        """The newest *limit* lines that fit, in no order. One pass over the files."""
        rarest = max(condition.texts, key=len, default="")  # one look costs as much as another saves
        has = f"contains(line::VARCHAR, {_quoted(rarest)})" if rarest else "true"
        time = "TRY_CAST(line->>'time' AS BIGINT)"
        sql = (
            f"SELECT count(line), count(*) - count(line), arg_max(line, {time}, {limit}) "  # noqa: S608
            f"FROM lines WHERE line IS NULL OR ({has} AND ({condition.sql}) AND {time} {self._times})"
        )
        _, [(count, unreadable, lines)] = self._read(sql, 1, condition.values)
        return Found(lines or [], count, unreadable, self.broken)

    def query(self, sql: str, limit: int) -> Rows:
        """The columns and the first *limit* rows of an operator's own SELECT.

        Raises:
            RunbookError: it is no SELECT, or DuckDB has something against it.
        """
        with _errors():
            kinds = [each.type for each in duckdb.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise RunbookError("the SQL is not one SELECT", "the view `logs` can be read, nothing be changed")
        return self._read(sql, limit)

    def count_unreadable(self) -> int:
        """How many lines of the files are no JSON."""
        return int(self._read("SELECT count(*) - count(line) FROM lines", 1)[1][0][0])

    def _read(self, sql: str, limit: int, values: Sequence[object] = ()) -> Rows:
        """What *sql* gives; where DuckDB cannot read a file, without the segments that are broken."""
        with _errors():
            try:
                return self._run(sql, limit, values)
            except duckdb.IOException:
                broken = [file for file in self._files if file.suffix == ".gz" and not _is_whole(file)]
                if not broken:
                    raise
                self.broken += tuple(file.name for file in broken)
                self._see([file for file in self._files if file not in broken])
                return self._run(sql, limit, values)

    def _run(self, sql: str, limit: int, values: Sequence[object]) -> Rows:
        """What *sql* gives, from another thread: where DuckDB works in the main one, Ctrl-C may be lost."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            found = pool.submit(lambda: self._connection.execute(sql, values).fetchmany(limit))
            try:
                rows = found.result()
            except KeyboardInterrupt:
                self._connection.interrupt()
                raise
        return [column[0] for column in self._connection.description or ()], rows


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        said = "\n".join(map(printable, str(error).splitlines()))  # it may quote a line
        raise RunbookError(f"the query failed: {said}", "docs/logs.md has the columns") from error


def _is_whole(file: Path) -> bool:
    """Whether a compressed segment can be read to its end; Python takes an empty file for one."""
    try:
        with gzip.open(file) as content:
            while content.read(_CHUNK):
                continue
        return file.stat().st_size > 0
    except (OSError, EOFError, zlib.error):
        return False


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
