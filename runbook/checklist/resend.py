"""Resend: whether it takes our key, and whether our sender's domain is verified there."""

from __future__ import annotations

import httpx

from runbook.checklist.asking import Http, bearer, object_of, place_of, refused
from runbook.checklist.given import Given
from runbook.checklist.line import Failed, Skipped

API_URL = "https://api.resend.com"
_SEND_ONLY = "restricted_api_key"


async def domains(given: Given, http: Http) -> str:
    """Which domains are verified.

    Raises:
        Failed: the key is not taken, or the domain of EMAIL_FROM is none of them.
    """
    key = given.get("RESEND_API_KEY")
    if key is None:
        raise Skipped("RESEND_API_KEY is made by `bin/runbook up`")
    url = given.reached((given.get("RESEND_API_URL") or API_URL).rstrip("/"))
    answer = await http.ask("GET", f"{url}/domains", bearer(key))
    found = object_of(answer)
    if answer.status_code == httpx.codes.UNAUTHORIZED and found.get("name") == _SEND_ONLY:
        return f"{place_of(answer)} takes RESEND_API_KEY, which may only send"
    if answer.status_code != httpx.codes.OK:
        raise refused(answer, f"Resend does not take RESEND_API_KEY ({str(found.get('name'))[:60]})")
    listed = [domain for domain in found.get("data") or [] if isinstance(domain, dict)]
    verified = [str(domain.get("name")) for domain in listed if domain.get("status") == "verified"]
    return f"{place_of(answer)} takes RESEND_API_KEY; {_sender(given, verified)}"


def _sender(given: Given, verified: list[str]) -> str:
    sender = given.get("EMAIL_FROM")
    if sender is None:
        return "EMAIL_FROM is not set: no mail is sent"
    domain = sender.rpartition("@")[2].rstrip(">").lower()
    if domain not in verified:
        known = ", ".join(verified) or "none"
        raise Failed(f"EMAIL_FROM is of {domain}, which is not verified at Resend (verified: {known})")
    return f"{domain} is verified"
