"""One JSON object a line on stdout, for our own lines and for those of every library.

Fields: `level`, `msg`, `time` (ms since the epoch), and whatever the line adds: `requestId`, `webhook`,
`event` (`received`, `verified`, `processed`, `failed`), `security`, `action`. Code gives `event` as `_event`,
because structlog calls the message itself `event`. Values are escaped to ASCII: nothing that a client sends
can end a line.

Never logged: message texts, chat ids and phone numbers (see `Pseudonyms`), signatures, tokens. Exceptions are
logged by type and place without their message, which may quote any of these.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, BinaryIO, cast

import orjson
import structlog

Log = structlog.typing.FilteringBoundLogger

_TOO_CHATTY = ("httpx", "httpcore", "asyncio")
"""httpx logs each URL at INFO."""


class Pseudonyms:
    """Stand-ins for chat ids in logs and keys: equal for equal ids, and of no use without the secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()
        self.of = lru_cache(maxsize=4096)(self._of)
        """Sixteen hex digits that stand for a chat's id."""

    def _of(self, chat_id: str) -> str:
        return hashlib.blake2b(chat_id.encode(), key=self._key, digest_size=8, person=b"chat").hexdigest()


class Output:
    """Stdout, written to once a turn of the event loop: the write costs more than all else about a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: list[bytes] = []
        self._due = False
        atexit.register(self._write_out)

    def write(self, line: bytes) -> None:
        """Take a line, its end included."""
        self._lines.append(line)

    def flush(self) -> None:
        """Have what was taken written soon; at once where no event loop runs."""
        if self._due:
            return
        try:
            asyncio.get_running_loop().call_soon(self._write_out)
            self._due = True
        except RuntimeError:
            self._write_out()

    def _write_out(self) -> None:
        lines, self._lines, self._due = self._lines, [], False
        if lines:
            self._file.write(b"".join(lines))
            self._file.flush()


class OutputHandler(logging.Handler):
    """Sends the lines of `logging` the same way as ours."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        self._output.write(self.format(record).encode() + b"\n")
        self._output.flush()


Tell = Callable[[dict[str, Any]], None]
"""Writes one line of level INFO, given its fields in order."""


def plain_lines(output: Output, level: str) -> Tell:
    """The same form without structlog's steps, at a tenth of the cost: for lines of every webhook."""

    def tell(fields: dict[str, Any]) -> None:
        fields["level"], fields["time"] = "info", time.time_ns() // 1_000_000
        output.write(_to_json(fields) + b"\n")
        output.flush()

    return tell if logging.getLevelName(level) <= logging.INFO else lambda _fields: None


def configure_logs(level: str) -> Tell:
    """Send our lines and those of `logging` through one chain to stdout; gives `plain_lines` to it."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _add_time,
        _describe_exception,
        structlog.processors.EventRenamer("msg", "_event"),
    ]
    output = Output(sys.stdout.buffer)
    render = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, output)),  # it uses these two
        cache_logger_on_first_use=True,
    )
    handler = OutputHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=()), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _TOO_CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return plain_lines(output, level)


def _to_json(line: MutableMapping[str, Any], **options: Any) -> bytes:
    r"""One line; what is not ASCII is escaped, so that no reader takes a part of it for a line's end."""
    try:
        rendered = orjson.dumps(line, **options)
    except TypeError:  # it knows no lone surrogates
        return json.dumps(line, **options).encode()
    return rendered if rendered.isascii() else json.dumps(line, **options).encode()


def _add_time(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line["time"] = time.time_ns() // 1_000_000
    return line


def _describe_exception(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the exception's type and the places it came through, innermost last."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        if isinstance(error, BaseExceptionGroup):  # of a task group: what went wrong is inside
            error = error.exceptions[0]
        line["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return line
