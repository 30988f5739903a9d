"""A PNG as Chromium writes it, read into its colours."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path

_CHANNELS = {2: 3, 6: 4}  # RGB, RGBA
Colour = tuple[int, int, int]


def colours(picture: Path) -> Counter[Colour]:
    """How many pixels of each colour *picture*, a PNG of 8 bits a channel, has."""
    chunks = dict.fromkeys((b"IHDR", b"IDAT"), b"")
    content, at = picture.read_bytes(), 8
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind in chunks:
            chunks[kind] += content[at + 8 : at + 8 + length]
        at += length + 12
    width, _, depth, kind_of_colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert depth == 8
    size, found = _CHANNELS[kind_of_colour], Counter[Colour]()
    for row in _rows(zlib.decompress(chunks[b"IDAT"]), width * size, size):
        found.update(zip(row[0::size], row[1::size], row[2::size], strict=True))
    return found


def _rows(data: bytes, length: int, size: int) -> list[bytearray]:
    """The rows with PNG's filters undone: each byte is a difference from its left, upper or both."""
    rows: list[bytearray] = []
    above = bytearray(length)
    for at in range(0, len(data), length + 1):
        row = bytearray(data[at + 1 : at + 1 + length])
        _undo(data[at], row, above, size)
        rows.append(row)
        above = row
    return rows


def _undo(kind: int, row: bytearray, above: bytearray, size: int) -> None:
    if kind == 0:
        return
    for at, value in enumerate(row):
        left, corner = (row[at - size], above[at - size]) if at >= size else (0, 0)
        up = above[at]
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        row[at] = (value + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    """Of the three neighbours the one nearest to `left + up - corner`."""
    whole = left + up - corner
    return min((left, up, corner), key=lambda neighbour: abs(whole - neighbour))
