"""Where to send: a URL taken apart and checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class AddressError(Exception):
    """Not a URL that can be sent to; the message says why, without repeating credentials."""


@dataclass(frozen=True)
class Address:
    """An HTTP address. `path` begins with a slash or is empty, and carries the query if there is one."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take *url* apart.

        Raises:
            AddressError: no http or https URL with a host, or one that carries credentials.
        """
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise AddressError(f"should be an http or https URL: {error}") from error
        if parts.username is not None or parts.password is not None:
            raise AddressError("should carry no user name or password")
        if scheme not in _PORTS or not host:
            raise AddressError(f"should be an http or https URL such as http://127.0.0.1:8080, got {url!r}")
        path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
        return cls(scheme == "https", host, port or _PORTS[scheme], path)
