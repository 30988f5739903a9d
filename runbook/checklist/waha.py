"""WAHA: whether it is there, takes our key, and has a session that works."""

from __future__ import annotations

from typing import Any

import httpx

from runbook.checklist.asking import Http, json_of, place_of, refused
from runbook.checklist.given import Given
from runbook.checklist.line import Failed

_WORKING = "WORKING"
_TURNED_AWAY = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


async def sessions(given: Given, http: Http) -> str:
    """Which version it is and how its sessions are.

    Raises:
        Failed: it does not take the key, is no WAHA, or none of its sessions works.
    """
    url = given.reached((given.get("WAHA_API_URL") or "").rstrip("/"))
    key = given.get("WAHA_API_KEY")
    headers = {"X-Api-Key": key} if key else {}
    pong = await _asked(http, f"{url}/ping", headers)
    if pong.status_code != httpx.codes.OK or json_of(pong) != {"message": "pong"}:
        raise refused(pong, "no pong: is that WAHA?")
    version = await _asked(http, f"{url}/api/server/version", headers)
    if version.status_code != httpx.codes.OK:
        raise refused(version, "is that WAHA?")
    listed = await _asked(http, f"{url}/api/sessions", headers)
    return f"{_version(json_of(version))} answers at {url}{_states(listed)}"


async def _asked(http: Http, url: str, headers: dict[str, str]) -> httpx.Response:
    answer = await http.ask("GET", url, headers)
    if answer.status_code in _TURNED_AWAY:
        raise refused(answer, "WAHA does not take WAHA_API_KEY" if headers else "WAHA wants WAHA_API_KEY")
    return answer


def _version(found: Any) -> str:
    known = found if isinstance(found, dict) else {}
    return f"WAHA {known.get('version', '(version unknown)')}"


def _states(listed: httpx.Response) -> str:
    """The sessions' states, where they are listed."""
    found = json_of(listed) if listed.status_code == httpx.codes.OK else None
    if not isinstance(found, list):
        return ""
    states = {
        str(session.get("name")): str(session.get("status")) for session in found if isinstance(session, dict)
    }
    if _WORKING not in states.values():
        told = ", ".join(f"{name} {state}" for name, state in states.items()) or "there is none"
        raise Failed(f"no session of {place_of(listed)} works: {told}")
    return "; sessions: " + ", ".join(f"{name} {state}" for name, state in states.items())
