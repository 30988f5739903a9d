"""TLS handshakes with the release's address: as a client of today makes them, and as one of yesterday."""

from __future__ import annotations

import socket
import ssl
import time
import warnings

import httpx

from smoke.target import NoAnswerError

TIMEOUT_S = 5.0
BETWEEN_ATTEMPTS_S = 0.25


def old_context() -> ssl.SSLContext:
    """A client that knows nothing newer than TLS 1.1; who the other side is does not matter to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL has no other for them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old is what is meant
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def handshake(url: str, context: ssl.SSLContext, within_s: float) -> str:
    """The version of TLS that was agreed on. Connections that are refused are tried again *within_s*.

    Raises:
        ssl.SSLError, ConnectionError: the connection was taken, and the handshake refused by either side.
        NoAnswerError: there was no connection, or silence on it.
    """
    address = httpx.URL(url)
    with (
        _connection(address, within_s) as connection,
        context.wrap_socket(connection, server_hostname=address.host, do_handshake_on_connect=False) as tls,
    ):
        try:
            tls.do_handshake()
        except TimeoutError as error:
            reason = f"no handshake within {TIMEOUT_S:g} s"
            raise NoAnswerError(f"TLS with {address.host}: {reason}", timed_out=True) from error
        return str(tls.version())


def _connection(address: httpx.URL, within_s: float) -> socket.socket:
    deadline, port = time.monotonic() + within_s, address.port or 443
    while True:
        try:
            return socket.create_connection((address.host, port), TIMEOUT_S)
        except OSError as error:
            if time.monotonic() > deadline:
                reason = f"no connection to {address.host}:{port}: {error}"
                raise NoAnswerError(reason, timed_out=isinstance(error, TimeoutError)) from error
        time.sleep(BETWEEN_ATTEMPTS_S)
