"""The proxy's live route as a file: which release has the traffic, who gave it to it, and a canary's share.

This file is the truth about what is live: HAProxy serves what it says, also after a restart, and it changes
by one rename. The state, the ledger and the workers follow it.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.errors import encodable
from infra.haproxy_config import LIVE_RELEASE_PORT, Backend, backend_in, backend_lines, frontend_lines

MAX_MOVES = 20
"""So many of the last moves stay in the file; the ledger keeps what is older."""

LEASE_END = "@LEASE_END@"
"""Where the proxy's own clock puts the end of a canary's lease when the file is written."""

_MAX_REASON, _MAX_NAME, _MAX_BRANCH = 1000, 400, 200  # bytes as written: HAProxy reads lines of up to 2 kB
_MOVE = "# move "
_MOVE_ID = re.compile(r'# move \{"id": "([^"]*)"')
"""As `change_routes.sh` takes it: both have to find the same last move."""

_CANARY_LINE = re.compile(rf"^  use_backend canary if {{ date\(\) lt (\d+|{LEASE_END}) }} .*$", re.MULTILINE)
_SERVER_LINE = re.compile(r"^  server (\S+) ")


class Move(BaseModel):
    """All live traffic came to `release`, from `replaced` (None: there was none before).

    `verb` as typed, `reason` and `by` (user@host) for other people, `at` ISO 8601 in UTC by that host's
    clock: which move came first only their order in the file says. `id` is the same here and in the ledger.
    `commit` and `branch` are what the release was made from, as `Sources` has them.
    Where its line in the file is damaged, `release` is empty and nothing but the id is known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    release: str
    replaced: str | None = None
    verb: str = "up"
    reason: str = ""
    by: str = ""
    at: str = ""
    commit: str = ""
    branch: str = ""

    @classmethod
    def now(
        cls,
        release: str,
        replaced: str | None,
        *,
        verb: str,
        reason: str,
        by: str,
        commit: str = "",
        branch: str = "",
    ) -> Self:
        """A move at this moment."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(
            id=secrets.token_hex(6),
            release=release,
            replaced=replaced,
            verb=verb,
            reason=_bounded(reason, _MAX_REASON),
            by=_bounded(by, _MAX_NAME),
            at=at,
            commit=commit,
            branch=_bounded(branch, _MAX_BRANCH),
        )


@dataclass(frozen=True)
class Canary:
    """`percent` (1 to 99) of the live requests, chosen at random, go to another release until its lease ends.

    Then they go back by themselves, whatever became of who gave them.
    """

    backend: Backend
    percent: int


@dataclass(frozen=True)
class LiveRoute:
    """What the file says. `canary`: a release that has, or had until `canary_until_s` (epoch), a share."""

    to: Backend
    moves: tuple[Move, ...] = ()
    canary: Backend | None = None
    canary_until_s: int = 0

    @property
    def release(self) -> str:
        """The release that the traffic is left with."""
        return self.to.release


def read_live_route(config: str | None) -> LiveRoute | None:
    """What *config* says; None where there is none, or it leads nowhere."""
    to = backend_in(config or "")
    if config is None or to is None:
        return None
    until = _CANARY_LINE.search(config)
    canary = backend_in(config.partition("\nbackend canary")[2]) if until else None
    ends_s = int(until[1]) if until and until[1].isdecimal() else 0
    return LiveRoute(to, _moves_in(config), canary, ends_s)


def live_config(to: Backend, moves: Sequence[Move] = (), canary: Canary | None = None) -> str:
    """The file for a route that leads *to* a release, after these *moves*; for a while also to a canary."""
    share = []
    if canary:
        share = [f"  use_backend canary if {{ date() lt {LEASE_END} }} {{ rand(100) lt {canary.percent} }}"]
    lines = [
        *frontend_lines("live"),
        *share,
        "  default_backend live",
        *backend_lines("live", to),
        *_live_release_lines(to.release),
        *(backend_lines("canary", canary.backend) if canary else ()),
        *_move_lines(moves),
    ]
    return "\n".join(lines) + "\n"


def redirected(config: str, to: Backend, moves: Sequence[Move]) -> str:
    """The route of *config* as it is, leading *to* another release.

    A rollback changes nothing else, whatever this checkout would write today.
    """
    sections = routing_of(config).split("\n\n")
    found = read_live_route(config)
    if found is None:
        return live_config(to, moves)
    lines = [_redirected(section, found.to, to) for section in sections]
    return "\n\n".join(lines) + "\n" + "\n".join(_move_lines(moves)) + "\n"


def routing_of(config: str) -> str:
    """*config* without its moves and without a canary: what makes two routes the same."""
    lines = [line for line in config.splitlines() if not line.startswith(_MOVE)]
    sections = "\n".join(line for line in lines if not _CANARY_LINE.match(line)).strip("\n").split("\n\n")
    return "\n\n".join(section for section in sections if not section.startswith("backend canary\n"))


def _redirected(section: str, old: Backend, to: Backend) -> str:
    """*section* with the servers and the name of *to* in the place of those of *old*."""
    if section.startswith("frontend live-release\n"):
        return section.replace(f'"{old.release}"', f'"{to.release}"')
    if not section.startswith("backend live\n"):
        return section
    lines = section.replace(f"  # release {old.release}\n", f"  # release {to.release}\n").splitlines()
    pattern = next(line for line in lines if _SERVER_LINE.match(line))
    others = [line for line in lines if not _SERVER_LINE.match(line)]
    return "\n".join([*others, *(pattern.replace(old.servers[0], server) for server in to.servers)])


def _live_release_lines(release: str) -> list[str]:
    """Where the workers ask, on the stack's network, whose turn it is to answer live messages."""
    return [
        "",
        "frontend live-release",
        f"  bind :{LIVE_RELEASE_PORT}",
        f'  http-request return status 200 content-type text/plain string "{release}" hdr Connection close',
    ]


def _move_lines(moves: Sequence[Move]) -> list[str]:
    return ["", *(f"{_MOVE}{json.dumps(move.model_dump())}" for move in moves[-MAX_MOVES:])]


def _bounded(text: str, max_bytes: int) -> str:
    text = encodable(text)  # JSON can write what was no UTF-8, and nobody reads it again
    while len(json.dumps(text)) > max_bytes:
        text = text[: len(text) * 9 // 10]
    return text


def _moves_in(config: str) -> tuple[Move, ...]:
    """A line without an id, changed by hand perhaps, is passed over: the traffic matters more."""
    found = []
    for line in config.splitlines():
        if id_ := _MOVE_ID.match(line):
            try:
                found.append(Move.model_validate_json(line.removeprefix(_MOVE)))
            except ValidationError:  # not passed over: no other move could ever come after it
                found.append(Move(id=id_[1], release=""))
    return tuple(found)
