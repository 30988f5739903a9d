"""`tenants`: whose messages are answered, how many more, and who is told when no more are."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from runbook.console import print_json, say
from runbook.live_service import live_service
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.tables import cell, show_table

HEAD = ("tenant", "credits", "used", "reserved", "left", "owner")
UNLIMITED = "unlimited"

_TENANT = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_CREDITS = re.compile(r"[0-9]{1,13}|unlimited")


def _tenant(given: str) -> str:
    if not _TENANT.fullmatch(given):
        raise typer.BadParameter(f"{given!r} is no tenant: up to 128 characters on one line make one")
    return given


def _credits(given: str) -> str:
    if not _CREDITS.fullmatch(given):
        raise typer.BadParameter(f"{given!r} is no number of credits, nor the word {UNLIMITED!r}")
    return given


def _email(given: str) -> str:
    if not _EMAIL.fullmatch(given):
        raise typer.BadParameter(f"{given!r} is no e-mail address, like owner@example.org")
    return given


tenants = typer.Typer(help="List tenants, grant credits, say who owns them.", no_args_is_help=True)
Tenant = Annotated[
    str,
    typer.Argument(help="`metadata.tenant` of its webhooks, or its session's name.", callback=_tenant),
]
Credits = Annotated[
    str,
    typer.Argument(help="In all, used ones included; or the word `unlimited`.", callback=_credits),
]
Email = Annotated[str, typer.Argument(help="Where notices go.", callback=_email)]
Invite = Annotated[bool, typer.Option("--invite", help="Send them an invitation by mail too.")]


@tenants.command("list")
def list_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List every tenant that has an account."""
    accounts = live_service(stack).ask("tenants", "list")["tenants"]
    if as_json:
        print_json(accounts)
    elif accounts:
        show_table(HEAD, [_row(account) for account in accounts])
    else:
        say(f"no tenant of stack {stack} has an account yet: its first message opens one")


@tenants.command("show")
def show_(tenant: Tenant, stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show one tenant's account."""
    account = live_service(stack).ask("tenants", "show", about=[tenant])
    if as_json:
        print_json(account)
    else:
        show_table(HEAD, [_row(account)])


@tenants.command("grant")
def grant(
    tenant: Tenant,
    credits: Credits,  # noqa: A002 - the argument's name in the help
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Set how many messages are answered in all.

    One credit is one answered message. What the tenant has used already counts: `grant acme 100` leaves 100
    less that. Opens the tenant's account if need be.
    """
    _tell(live_service(stack).ask("tenants", "grant", about=[tenant, credits]), as_json=as_json)


@tenants.command("owner")
def owner(
    tenant: Tenant,
    email: Email,
    invite: Invite = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Set who is told when credits are used up.

    By mail, once a day at most. Opens the tenant's account if need be.
    """
    options = ["--invite"] if invite else []
    account = live_service(stack).ask("tenants", "owner", *options, about=[tenant, email])
    _tell(account, as_json=as_json)
    if account["invited"]:
        say(f"an invitation is on its way to {cell(email)}")


def _tell(account: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(account)
    left = UNLIMITED if account["left"] is None else f"{account['left']} credits"
    say(f"tenant {cell(account['id'])}: {left} left, owner {cell(account['owner_email'])}")


def _row(account: dict[str, Any]) -> tuple[object, ...]:
    granted, left = (UNLIMITED if account[name] is None else account[name] for name in ("credits", "left"))
    return account["id"], granted, account["used"], account["reserved"], left, account["owner_email"]
