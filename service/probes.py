"""How each outside service is probed for the health report: cheaply and without side effects."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from service.health import Check, State


def http_probe(client: httpx.AsyncClient, path: str) -> Check:
    """A check that *path* at *client*'s base URL answers 2xx."""

    async def check() -> None:
        (await client.get(path)).raise_for_status()

    return check


def configured(*values: object) -> State:
    """`configured` if all *values* are given."""
    return State.CONFIGURED if all(values) else State.NOT_CONFIGURED


def sentry_state(dsn: str | None) -> State:
    """`configured` for a DSN like `https://key@host/project`; `down` for any other: nothing would arrive."""
    if not dsn:
        return State.NOT_CONFIGURED
    try:
        parts = urlsplit(dsn)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.username
    except ValueError:
        return State.DOWN
    return State.CONFIGURED if valid and parts.path.rpartition("/")[2].isdecimal() else State.DOWN
