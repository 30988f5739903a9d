"""`logs`: the stack's lines of the last two weeks, by queries that have a name, conditions or SQL."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from runbook.console import say
from runbook.log_lines import show_lines, show_rows
from runbook.log_query import CONDITION, NEWEST, QUERIES, Condition, NamedQuery, listing, parse
from runbook.log_segments import LogFolder, Segment
from runbook.log_table import LogTable
from runbook.options import DEFAULT_STACK, Since, Stack, read_moment, read_text
from runbook.tables import moment

MAX_LINES = 100_000
MAX_MS = 10**13

Until = Annotated[int | None, typer.Option(parser=read_moment, metavar="TIME", help="Up to then.")]


def logs(
    query: Annotated[
        str | None, typer.Argument(parser=read_text, help="A name, or a condition; all lines without.")
    ] = None,
    argument: Annotated[str | None, typer.Argument(parser=read_text, help="Of `request` and `sql`.")] = None,
    since: Since = None,
    until: Until = None,
    release: Annotated[str, typer.Option(parser=read_text, help="Of this release's containers only.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new lines, until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LINES, help="How many, the newest.")] = 100,
    folder: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A copy of a collector's folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    stack: Stack = DEFAULT_STACK,
) -> None:
    """Read what the stack's containers said."""
    chosen, condition = _understand(query, argument)
    if follow and (condition is None or until is not None):
        raise typer.BadParameter("--follow goes with a name or a condition, not with sql or --until")
    until_ms = MAX_MS if until is None else until
    default_ms = (read_moment("0s") if until is None else until) - chosen.hours * 3_600_000
    since_ms = default_ms if since is None else since
    if since_ms > until_ms:
        raise typer.BadParameter("--since is after --until")
    source = LogFolder(folder) if folder else _copy_of(stack)

    def is_wanted(segment: Segment) -> bool:
        return segment.is_in(chosen.classes, since_ms, until_ms)

    there = source.update(is_wanted)
    files = [file for each in there if is_wanted(each) and (file := source.local(each))]
    table = LogTable(files, since_ms, until_ms, release)
    if condition is None:
        show_rows(table, argument or "", limit, as_json=as_json)
    else:
        found = table.select(condition, limit)
        show_lines(found, as_json=as_json)
        mine = [each.first_ms or each.opened_ms for each in there if each.class_name in chosen.classes]
        kept = f"the logs go back to {moment(min(mine))} UTC" if mine else "there are no logs yet"
        say(f"{len(found.lines)} of {found.count} lines since {moment(since_ms)} UTC; {kept}")
    if follow and condition is not None:
        from runbook.log_copy import new_lines  # as in `_copy_of`

        with suppress(KeyboardInterrupt):
            for file in new_lines(source, chosen.classes, there):
                show_lines(LogTable([file], 0, MAX_MS, release).select(condition, MAX_LINES), as_json=as_json)


logs.__doc__ = f"""Read what the stack's containers said in the last two weeks.

\b
{chr(10).join(listing())}

Lines of an hour without --since for all lines and failed-webhooks, of a day for the others, of all days for
request. Conditions know AND, OR, NOT, brackets, = != > < >= <= and ~ for "contains".
"""


def _copy_of(stack: str) -> LogFolder:
    """What this machine has of the stack's log."""
    # Not above: a question to a folder needs no engine, and loading its library takes a tenth of the time.
    from runbook.log_copy import LogCopy

    return LogCopy(stack)


def _understand(query: str | None, argument: str | None) -> tuple[NamedQuery, Condition | None]:
    """What is asked; no condition for SQL.

    Raises:
        RunbookError, BadParameter: the condition is none; the words are not what can be asked.
    """
    named = QUERIES.get(query or "")
    if (argument is not None) != (named is not None and bool(named.example)):
        raise typer.BadParameter(
            "`request` takes an ID and `sql` a SELECT, all else nothing; a condition stands in single quotes"
        )
    if query == "sql":
        return QUERIES["sql"], None
    if named is not None:
        return named, parse(named.condition.format(json.dumps(argument)))
    if query is None:
        return NEWEST, Condition()
    if re.fullmatch(r"[\w-]+", query):
        raise typer.BadParameter(f"{query!r} is no query: {', '.join(QUERIES)}, or a condition")
    if query.split(maxsplit=1)[:1] in (["SELECT"], ["select"]):
        raise typer.BadParameter("SQL comes after the word sql: `bin/runbook logs sql 'SELECT …'`")
    return CONDITION, parse(query)
