"""The release under test, over HTTP: plain requests, and webhooks as WAHA sends them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import httpx

from contracts.webhook import WEBHOOK_PATH, Algorithm, encode, message_event, signed_headers

SHOWN_CHARS = 200

AnyAlgorithm = Algorithm | Literal["md5", "sha1"]
"""Those that sign a webhook, and weak ones that must not."""


class NoAnswerError(Exception):
    """The request was not answered: the message says which and why, *timed_out* that nothing came at all."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True)
class Webhook:
    """One webhook as sent: posting it again is what WAHA does when it retries."""

    body: bytes
    headers: dict[str, str | bytes]


class Target:
    """The HTTP service at one base URL. Every foreign error ends here as `NoAnswerError`.

    A request unanswered after *answer_timeout_s* is given up, unless it has a limit of its own.
    """

    def __init__(self, client: httpx.Client, secret: str, answer_timeout_s: float) -> None:
        self._client = client
        self._secret = secret
        self._timeout_s = answer_timeout_s

    def get(self, url: str, timeout_s: float | None = None, **params: str | int) -> httpx.Response:
        """GET a path of the target, or a whole URL."""
        return self._request("GET", url, timeout_s or self._timeout_s, params=params)

    def post(self, webhook: Webhook, *, chunked: bool = False) -> httpx.Response:
        """POST a webhook; *chunked* sends its body without saying how long it is."""
        content = _chunks(webhook.body) if chunked else webhook.body
        return self._request(
            "POST", WEBHOOK_PATH, self._timeout_s, content=content, headers=list(webhook.headers.items())
        )

    def signed(self, event: dict[str, Any] | bytes, algorithm: AnyAlgorithm = "sha512") -> Webhook:
        """A correctly signed webhook with *event*, or with these bytes, as its body."""
        body = event if isinstance(event, bytes) else encode(event)
        headers = signed_headers(body, self._secret, algorithm)  # type: ignore[arg-type]  # or a weak one
        return Webhook(body, {**headers})

    def _request(self, method: str, url: str, timeout_s: float, **request: Any) -> httpx.Response:
        try:
            return self._client.request(method, url, timeout=timeout_s, **request)
        except httpx.HTTPError as error:
            timed_out = isinstance(error, httpx.TimeoutException)
            reason = f"within {timeout_s:g} s" if timed_out else f": {error or type(error).__name__}"
            raise NoAnswerError(f"{method} {url}: no answer {reason}", timed_out=timed_out) from error


@cache
def strict_context() -> ssl.SSLContext:
    """Certificates are verified, by those in SSL_CERT_FILE where it is set; reading them takes a moment."""
    return httpx.create_ssl_context()


def open_client(base_url: str) -> httpx.Client:
    """A client for *base_url*.

    A proxy from the environment is never asked for this machine itself, and no connection is used twice: a
    target that closes idle connections must not look as if it dropped a request. It is asked for by header:
    with no connection kept by limit, one thread of a pool can close what another was just given.
    """
    return httpx.Client(
        base_url=base_url,
        verify=strict_context(),
        headers={"Connection": "close"},
        mounts={"all://127.0.0.1": None, "all://localhost": None},
    )


def status_event() -> dict[str, Any]:
    """An event that is accepted and asks for no reply: a session is working."""
    event = message_event("", chat_id="status@broadcast", event="session.status")
    return {**event, "payload": {"name": event["session"], "status": "WORKING"}}


def described(response: httpx.Response) -> str:
    """A response in one line: what was asked, the status, the beginning of the body."""
    request = response.request
    body = " ".join(response.text[:SHOWN_CHARS].split())
    return f"{request.method} {request.url.path} answered {response.status_code} {body}".rstrip()


def _chunks(body: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
