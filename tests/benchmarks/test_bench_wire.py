"""Where an HTTP message ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.wire import length_of

HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Request-Id: 1\r\n\r\n"
WHOLE = HEAD + b"hello"


@given(st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_a_part_of_a_message_is_no_message(length: int) -> None:
    """However many bytes of it are there."""
    assert length_of(WHOLE[:length]) is None


@given(st.binary(max_size=50))
def test_what_follows_belongs_to_the_next(rest: bytes) -> None:
    """The length is that of the first message."""
    assert length_of(WHOLE + rest) == len(WHOLE)


@pytest.mark.parametrize("name", [b"content-length", b"CONTENT-LENGTH"])
def test_a_header_is_found_however_it_is_spelled(name: bytes) -> None:
    """Also as the last of the head."""
    answer = b"HTTP/1.1 200 OK\r\n" + name + b":2\r\n\r\nok"
    assert length_of(answer + b"more") == len(answer)


def test_a_message_without_a_length_has_no_body() -> None:
    """As a GET."""
    request = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    assert length_of(request) == len(request)


def test_chunks_are_refused() -> None:
    """Taken for a message without a body, its chunks would pass for the next message."""
    with pytest.raises(ValueError, match="chunked"):
        length_of(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
