"""`python -m service queue|blocklist|tenants …`: look into the running service and change it.

Run in the environment of a web or worker process: `bin/runbook` runs it in a worker's container. A result is
JSON on stdout, with `--json` on one line. Exit 0 done; 1 refused or failed, with `error:` and `hint:` lines
on stderr, or with `--json` an object that has both; 2 usage.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from service.accounts.database import DatabaseFailed
from service.operating.arguments import parser
from service.operating.refusal import OperatorRefused
from service.settings import Settings, SettingsError, read_settings
from service.storage.store import StoreAway, StoreError, StoreFull
from service.wiring.operating import open_tools


@dataclass(frozen=True)
class Failure:
    """Why a command was not done, and what to do about it."""

    error: str
    hint: str


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    asked = parser().parse_args(_with_verb(arguments))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout has the result
    try:
        settings = read_settings(Settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    outcome = asyncio.run(_run(settings, asked))
    _print(outcome, as_json=asked.as_json)
    return 1 if isinstance(outcome, Failure) else 0


def _with_verb(arguments: list[str]) -> list[str]:
    """`queue` alone shows how the lanes stand."""
    noun, *rest = arguments
    asks_for_help = rest[:1] in (["-h"], ["--help"])
    if noun == "queue" and not asks_for_help and (not rest or rest[0].startswith("-")):
        return [noun, "show", *rest]
    return arguments


async def _run(settings: Settings, asked: Namespace) -> Any:
    try:
        async with open_tools(settings) as tools:
            return await asked.command(tools, asked)
    except OperatorRefused as refusal:
        return Failure(refusal.message, refusal.hint)
    except StoreFull as error:
        return Failure(f"Redis takes no writes: {error}", "its memory or its disk is full: give it more")
    except StoreAway as error:
        return _without_redis(error)
    except StoreError as error:
        return Failure(f"Redis refused: {error}", "the message is Redis's own")
    except DatabaseFailed as error:
        if isinstance(error.__cause__, StoreAway):
            return _without_redis(error.__cause__)
        return Failure(f"the database failed: {error}", "run the same command again: it goes on from there")


def _without_redis(error: StoreAway) -> Failure:
    return Failure(str(error), "`docker ps -a` shows whether it runs; then run the same command again")


def _print(outcome: Any, *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(outcome).decode())
    elif isinstance(outcome, Failure):
        print(f"error: {outcome.error}\nhint: {outcome.hint}", file=sys.stderr)
    else:
        print(orjson.dumps(outcome, option=orjson.OPT_INDENT_2).decode())
