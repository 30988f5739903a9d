"""What may be typed after `python -m service`, for an operator's commands."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, _SubParsersAction

from service.messages.kept_messages import Kept
from service.operating import actions

DEFAULT_LIMIT = 20
MOST_LISTED = 1000

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_RELEASE = re.compile(r"[A-Za-z0-9._-]{1,64}")

_Verbs = _SubParsersAction  # argparse names it nowhere else


def parser() -> ArgumentParser:
    """The parser; what it returns has `command`, a function of `actions.py`, and `as_json`."""
    whole = ArgumentParser(
        prog="python -m service", description="Look into the running service and change it."
    )
    nouns = whole.add_subparsers(required=True, metavar="queue|blocklist|tenants")
    _queue(nouns)
    _blocklist(nouns)
    _tenants(nouns)
    return whole


def _queue(nouns: _Verbs[ArgumentParser]) -> None:
    verbs = nouns.add_parser("queue", help="messages that wait or were given up").add_subparsers(
        required=True
    )
    show = _verb(verbs, "show", "how every lane stands", actions.show_queue)
    show.add_argument("--gate", action="append", default=[], type=_release, help="a release with a gate lane")
    for kept, what in ((Kept.DEAD, "messages that were given up"), (Kept.UNKNOWN, "replies perhaps sent")):
        listing = _verb(verbs, kept.value, f"list {what}", actions.list_records, kept=kept)
        listing.add_argument("--limit", type=_limit, default=DEFAULT_LIMIT)
    replay = _chooser(_verb(verbs, "replay", "have messages answered after all", actions.replay_records))
    replay.add_argument("--may-send-twice", action="store_true", help="needed for unknown outcomes")
    _chooser(_verb(verbs, "drop", "delete messages for good", actions.drop_records))


def _chooser(verb: ArgumentParser) -> ArgumentParser:
    """Have *verb* take some records of one kind, or all; `--after` and `--through` go on where one ended."""
    verb.add_argument("--from", dest="kept", choices=[kept.value for kept in Kept], default=Kept.DEAD)
    verb.add_argument("--after", type=_id)
    verb.add_argument("--through", type=_id)
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true")
    which.add_argument("ids", nargs="*", type=_id, default=[])
    return verb


def _blocklist(nouns: _Verbs[ArgumentParser]) -> None:
    verbs = nouns.add_parser("blocklist", help="whose webhooks are refused").add_subparsers(required=True)
    _verb(verbs, "list", "what is blocked", actions.list_blocked)
    add = _verb(verbs, "add", "block an address or network", actions.add_blocked)
    add.add_argument("network")
    add.add_argument("--reason", default="")
    add.add_argument("--by", default="", help="who does it")
    add.add_argument("--force", action="store_true", help="also if it is a sender's")
    _verb(verbs, "remove", "let an address or network in again", actions.remove_blocked).add_argument(
        "network"
    )


def _tenants(nouns: _Verbs[ArgumentParser]) -> None:
    verbs = nouns.add_parser("tenants", help="whose messages are answered").add_subparsers(required=True)
    _verb(verbs, "list", "all accounts", actions.list_tenants)
    _verb(verbs, "show", "one account", actions.show_tenant).add_argument("tenant")
    grant = _verb(verbs, "grant", "set an account's credits", actions.grant_credits)
    grant.add_argument("tenant")
    grant.add_argument("credits", help="in all, used ones included; or `unlimited`")
    owner = _verb(verbs, "owner", "set who is told about an account", actions.set_owner)
    owner.add_argument("tenant")
    owner.add_argument("email")
    owner.add_argument("--invite", action="store_true", help="send them an invitation by mail")


def _verb(
    verbs: _Verbs[ArgumentParser], name: str, what: str, command: object, **defaults: object
) -> ArgumentParser:
    verb = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    verb.add_argument("--json", dest="as_json", action="store_true", help="one line, errors too")
    verb.set_defaults(command=command, **defaults)
    return verb


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no id of a message: they look like 1764000000000-0")
    return text


def _release(text: str) -> str:
    if not _RELEASE.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no release")
    return text


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_LISTED:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_LISTED}")
    return int(text)
