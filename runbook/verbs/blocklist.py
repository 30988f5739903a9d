"""`blocklist`: whose webhooks are refused, changed while the service runs."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from infra.provenance import provenance
from runbook.console import print_json, say
from runbook.live_service import live_service
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.tables import moment, show_table

HEAD = ("network", "since (UTC)", "by", "reason")

_NETWORK = re.compile(r"[0-9A-Fa-f:.]{2,45}(/[0-9.]{1,15})?")


def _network(given: str) -> str:
    """Refuse what cannot be one; the service looks closer."""
    if not _NETWORK.fullmatch(given):
        raise typer.BadParameter(f"{given!r} is no IP address or network, like 203.0.113.7 or 2001:db8::/32")
    return given


blocklist = typer.Typer(
    help="List, add and remove addresses whose webhooks are refused.", no_args_is_help=True
)
Network = Annotated[
    str, typer.Argument(help="An IP address, or a network like 203.0.113.0/24.", callback=_network)
]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; shown by `list`.")]
Force = Annotated[bool, typer.Option("--force", help="Block it although its webhooks are correctly signed.")]


@blocklist.command("list")
def list_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List what is blocked, since when, by whom and why."""
    networks = live_service(stack).ask("blocklist", "list")["networks"]
    if as_json:
        print_json(networks)
    elif networks:
        show_table(HEAD, [_row(entry) for entry in networks])
    else:
        say(f"nothing is blocked in stack {stack}")


@blocklist.command("add")
def add(
    network: Network,
    reason: Reason = "",
    force: Force = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Refuse webhooks from an address or network.

    They are answered 403 within seconds. WAHA tries a refused webhook again some times and then loses the
    message: its own address is refused here, if signed webhooks came from it lately, unless --force is given.
    """
    options = [f"--reason={reason}", f"--by={provenance()['by']}", *(["--force"] if force else [])]
    done = live_service(stack).ask("blocklist", "add", *options, about=[network])
    _tell(done, "is blocked", as_json=as_json)


@blocklist.command("remove")
def remove(network: Network, stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Let an address or network in again."""
    done = live_service(stack).ask("blocklist", "remove", about=[network])
    _tell(done, "is not blocked any more", as_json=as_json)


def _tell(done: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    say(f"{done['network']} {what}; every web process knows within {done['takes_effect_within_s']:g} s")


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    return entry["network"], moment(entry["since"]), entry["by"], entry["reason"]
