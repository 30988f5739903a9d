"""Whether the live release was watched to the end: noted beside the routes, for whoever deploys next."""

from __future__ import annotations

from infra.containers import ContainerExec
from infra.errors import Refused
from infra.live_route import LiveRoute
from infra.proxy_control import ROUTES
from infra.release_record import TAKES_OUT
from infra.stack_name import prefix_of
from runbook.console import say
from runbook.liveness import live_route

_NOTE = f"{ROUTES}/watched"
"""The id of the move that was watched. HAProxy reads files that end in `.cfg` only."""


def is_watch_due(stack: str) -> bool:
    """Whether nobody has watched what has the live traffic of *stack* to the end, since it got it.

    A release that was brought back had been good before.
    """
    live = live_route(stack)
    if live is None or not live.moves or live.moves[-1].verb in TAKES_OUT:
        return False
    return _proxy(stack).read_file(_NOTE) != live.moves[-1].id


def note_watched(stack: str, live: LiveRoute) -> None:
    """Note that *live* was watched to the end; where that cannot be done, the next `up` watches it again."""
    write = ["sh", "-c", f'printf %s "$1" > {_NOTE}', "sh", live.moves[-1].id if live.moves else ""]
    try:
        code, output = _proxy(stack).run(write)
    except Refused as error:
        code, output = 1, error.message
    if code != 0:
        say(f"warning: that it was watched could not be noted: {output.strip()}")


def _proxy(stack: str) -> ContainerExec:
    return ContainerExec(f"{prefix_of(stack)}-proxy", user="0")  # the routes are root's
