import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.address import Address
from loadtests.webhooks import NoAnswerError, Wire


@contextmanager
def answering(raw: bytes) -> Iterator[Wire]:
    """A sender to a target that answers one request with *raw* and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=answer)
        thread.start()
        address = Address(False, "127.0.0.1", listener.getsockname()[1], "")
        yield Wire(address, at_once=1, timeout_s=30)
        thread.join(10)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 202 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 202 OK\r\nX-\xff: \xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 202 OK\r\nContent-Length: 10\r\n\r\nshort",
    ],
)
def test_broken_answer_is_no_answer(raw: bytes) -> None:
    """An answer that is not whole HTTP is none, even where its first line says 202."""
    with answering(raw) as wire, pytest.raises(NoAnswerError, match="closed or not HTTP"):
        wire.post("/", b"{}", {}, within_s=30)


@pytest.mark.parametrize("status", [202, 302, 429, 500])
def test_status_is_returned_as_it_came(status: int) -> None:
    """Every status is the answer's own: no redirect is followed and no request repeated."""
    with answering(b"HTTP/1.1 %d X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n" % status) as wire:
        assert wire.post("/", b"{}", {}, within_s=30) == status
