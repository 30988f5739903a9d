"""The wire: requests over pooled keep-alive connections, each answered within its time or not at all.

WebhookError
├── NoAnswerError     sent, or tried to, and no HTTP answer came: the target's failure
├── WrongAnswerError  another answer than the right one
└── NotSentError      this machine could not even open a connection: the generator's failure
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping

import gevent
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPParseError

from loadtests.address import Address

# Out of descriptors, ports, buffers or memory: limits of the machine that sends.
_OURS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}


class WebhookError(Exception):
    """A webhook without the right answer; the message is the reason, the same for all of a kind."""


class NoAnswerError(WebhookError):
    """The target did not answer."""


class WrongAnswerError(WebhookError):
    """The target answered, and not as it should."""


class NotSentError(WebhookError):
    """The generator could not send."""


class _OverdueError(Exception):
    """The time is up."""


def connect(address: Address, *, at_once: int, timeout_s: float) -> HTTPClient:
    """Up to *at_once* connections, opened as they are needed; certificates and host names are verified."""
    return HTTPClient(
        address.host,
        address.port,
        ssl=address.secure,
        insecure=False,
        concurrency=at_once,
        connection_timeout=timeout_s,
        network_timeout=timeout_s,
    )


class Wire:
    """Requests to one address, as many at once as are due: waiting for a connection would close the model."""

    def __init__(self, address: Address, *, at_once: int, timeout_s: float) -> None:
        self._client = connect(address, at_once=at_once, timeout_s=timeout_s)
        self._prefix = address.path
        self._timeout_s = timeout_s

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, within_s: float) -> int:
        """Post *body* and return the answer's status once it is read to its end.

        Raises:
            NoAnswerError: none within *within_s*, or none that is HTTP.
            NotSentError: this machine is at its limits.
        """
        return self._request("POST", path, body, headers, within_s)

    def get(self, path: str, *, within_s: float) -> int:
        """Get *path* and return the answer's status; raises as `post` does."""
        return self._request("GET", path, b"", {}, within_s)

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], within_s: float
    ) -> int:
        try:
            with gevent.Timeout(within_s, _OverdueError):
                response = self._client.request(method, self._prefix + path, body, dict(headers))
                response.read()
                return response.status_code
        except (_OverdueError, TimeoutError) as error:
            raise NoAnswerError(f"no answer within {self._timeout_s:g} s") from error
        except OSError as error:
            if error.errno in _OURS:
                raise NotSentError(f"generator: {error.strerror}") from error
            raise NoAnswerError(_reason(error)) from error
        except (HTTPParseError, RuntimeError) as error:
            raise NoAnswerError("connection closed or not HTTP") from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return error.strerror or type(error).__name__
