"""As much of HTTP/1.1 as the generator and the instant WAHA need: where a message ends."""

from __future__ import annotations

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


def length_of(data: bytes) -> int | None:
    """How many bytes the message has that *data* begins with; None while a part of it is missing.

    Raises:
        ValueError: it is sent in chunks, which short messages are not.
    """
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    length = end + len(_HEAD_END) + _body_length(data[:end].lower())
    return length if len(data) >= length else None


def _body_length(head: bytes) -> int:
    start = head.find(_LENGTH)
    if start < 0:
        if b"\r\ntransfer-encoding:" in head:
            raise ValueError("a chunked body")
        return 0
    start += len(_LENGTH)
    end = head.find(b"\r\n", start)
    return int(head[start:] if end < 0 else head[start:end])
