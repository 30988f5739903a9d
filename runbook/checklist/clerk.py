"""Clerk: whether its secret key is taken, and whether the publishable key is of the same instance."""

from __future__ import annotations

import httpx

from runbook.checklist.asking import Http, bearer, json_of, place_of, refused, unanswered
from runbook.checklist.given import Given
from runbook.checklist.keys import frontend_api, mask
from runbook.checklist.line import Failed, Skipped

API_URL = "https://api.clerk.com"
_TURNED_AWAY = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


async def backend(given: Given, http: Http) -> str:
    """That the backend API takes the secret key."""
    keys = await _backend_keys(given, http)
    return f"takes CLERK_SECRET_KEY; its instance signs with {', '.join(sorted(keys))}"


async def instance(given: Given, http: Http) -> str:
    """That the publishable key and the secret one are of one instance: both sides have the same signing keys.

    Raises:
        Skipped: one side cannot be asked from here.
        Failed: they have others.
    """
    publishable = given.get("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY")
    if publishable is None:
        raise Skipped("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY is not set")
    host = frontend_api(publishable)
    try:
        of_secret = await _backend_keys(given, http)
        of_publishable = await _keys(http, f"https://{host}/.well-known/jwks.json", {})
    except httpx.HTTPError as error:
        raise Skipped(unanswered(error)) from error
    if of_secret != of_publishable:
        raise Failed(
            f"two instances: {mask(publishable)} is for {host}, which signs with {_named(of_publishable)}; "
            f"the instance of CLERK_SECRET_KEY signs with {_named(of_secret)}"
        )
    return f"both keys are for {host}"


async def _backend_keys(given: Given, http: Http) -> frozenset[str]:
    secret = given.get("CLERK_SECRET_KEY")
    if secret is None:
        raise Skipped("CLERK_SECRET_KEY is not set")
    url = (given.get("CLERK_API_URL") or API_URL).rstrip("/")
    return await _keys(http, f"{given.reached(url)}/v1/jwks", bearer(secret))


async def _keys(http: Http, url: str, headers: dict[str, str]) -> frozenset[str]:
    """The ids of the signing keys at *url*."""
    answer = await http.ask("GET", url, headers)
    if answer.status_code in _TURNED_AWAY:
        raise refused(answer, "Clerk does not take CLERK_SECRET_KEY")
    if answer.status_code != httpx.codes.OK:
        raise refused(answer, "are that Clerk's keys?")
    found = json_of(answer)
    try:
        ids = frozenset(str(key["kid"]) for key in found["keys"])
    except (LookupError, TypeError):
        ids = frozenset()
    if not ids:
        raise Failed(f"{place_of(answer)} lists no signing keys")
    return ids


def _named(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids))
