"""`queue`: what waits, what was given up, and what is to become of that."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from runbook.console import err, print_json, say
from runbook.errors import RunbookError
from runbook.live_service import Service, live_in_route, live_service
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.queue_tables import Kept, show_lanes, show_records

_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


class ShowsByDefault(TyperGroup):
    """`queue --json` is `queue show --json`. Options of the group itself could be for another stack's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before options that stand alone."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def _ids(given: list[str] | None) -> list[str]:
    for text in given or []:
        if not _ID.fullmatch(text):
            raise typer.BadParameter(f"{text!r} is no id of a message: they look like 1764000000000-0")
    return given or []


queue = typer.Typer(cls=ShowsByDefault, help="Show what waits; list, replay and drop what was given up.")
Ids = Annotated[list[str] | None, typer.Argument(help="From `queue dead`.", metavar="ID", callback=_ids)]
All = Annotated[bool, typer.Option("--all", help="All that are there now, instead of ids.")]
From = Annotated[Kept, typer.Option("--from", help="Dead letters, or unknown outcomes.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, newest first.")]
Twice = Annotated[bool, typer.Option("--may-send-twice", help="Needed for unknown outcomes.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@queue.command("show")
def show_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show how every lane stands.

    Depth, oldest age, dead letters, unknown outcomes, workers.
    """
    service = live_service(stack)
    gates = [word for release in service.releases if release for word in ("--gate", release)]
    found = service.ask("queue", "show", *gates)
    # A proxy that is paused or stopped tells the service nothing.
    found["live_release"] = found.get("live_release") or live_in_route(stack)
    if as_json:
        print_json(found)
    else:
        show_lanes(found)


@queue.command("dead")
def dead(limit: Limit = 20, stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List messages that could not be answered."""
    _list(Kept.DEAD, limit, stack, as_json=as_json)


@queue.command("unknown")
def unknown(limit: Limit = 20, stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List messages whose reply may have been sent."""
    _list(Kept.UNKNOWN, limit, stack, as_json=as_json)


@queue.command("replay")
def replay(
    ids: Ids = None,
    every: All = False,
    kept: From = Kept.DEAD,
    may_send_twice: Twice = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Have messages answered after all, oldest first.

    Each goes back to the end of its chat's queue, its attempts begin anew, and a webhook that comes again
    is a duplicate still. A reply whose outcome is unknown may be sent a second time.
    """
    flags = ["--may-send-twice"] if may_send_twice else []
    which = chosen(ids or [], every=every)
    done = work_through(live_service(stack), "replay", kept, which, flags)
    if as_json:
        print_json(done)
    if done["is_full"]:
        raise RunbookError(
            f"replayed {kept.counted(done['count'])}; the queue takes no more now, {done['left']} are left",
            "half of it is kept for new messages: run the same command again when it is shorter",
        )
    say(f"replayed {kept.counted(done['count'])}, {done['left']} left")


@queue.command("drop")
def drop(
    ids: Ids = None,
    every: All = False,
    kept: From = Kept.DEAD,
    yes: Yes = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Delete messages for good.

    Credits that they hold are given back.
    """
    which = chosen(ids or [], every=every)
    service = live_service(stack)
    if not yes:
        confirm(service, kept, which, stack)
    done = work_through(service, "drop", kept, which, [])
    if as_json:
        print_json(done)
    say(f"dropped {kept.counted(done['count'])}, {done['left']} left")


def chosen(ids: list[str], *, every: bool) -> list[str]:
    """The *ids*, none standing for all. Anything else than ids or `--all` is usage."""
    if bool(ids) == every:
        raise typer.BadParameter("give either ids or --all")
    return ids


def work_through(service: Service, verb: str, kept: Kept, ids: list[str], flags: list[str]) -> dict[str, Any]:
    """Have the service replay or drop, again and again until nothing of what was chosen is left.

    Returns `count`, `left` (what is still kept) and `is_full` (the queue took no more).
    """
    count, where = 0, [] if ids else ["--all"]
    while True:
        answer = service.ask("queue", verb, "--from", kept, *flags, *where, about=ids)
        count += answer["count"]
        rest = answer["rest"]
        if rest is None:
            return {"from": kept, "count": count, "left": answer["left"], "is_full": answer["is_full"]}
        say(f"  {count} so far, {answer['left']} left")
        where = ["--all", "--after", rest["after"], "--through", rest["through"]]


def confirm(service: Service, kept: Kept, ids: list[str], stack: str) -> None:
    """Ask whether that many messages are to go.

    Raises:
        RunbookError: there is no terminal to ask at, or the answer is no.
    """
    count = len(ids) or service.ask("queue", kept, "--limit", "1")["total"]
    what = f"{kept.counted(count)} of stack {stack}"
    if not err.is_terminal:
        raise RunbookError(f"dropping deletes {what}", "say --yes to do it without a terminal")
    if not typer.confirm(f"Delete {what} for good?", err=True):
        raise RunbookError("nothing was deleted", "`bin/runbook queue replay` has them answered instead")


def _list(kept: Kept, limit: int, stack: str, *, as_json: bool) -> None:
    found = live_service(stack).ask("queue", kept, "--limit", str(limit))
    if as_json:
        print_json(found)
    else:
        show_records(kept, found)
