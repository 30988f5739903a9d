"""Names that Pulumi makes up: `<logical name>-<7 hex digits>`, the same for the same seed.

The official provider draws the digits from the ChaCha8 generator of Go's `math/rand/v2`, seeded with the
SHA-256 of the engine's random seed. Drawing them the same way gives a program the same names under both.
"""

from __future__ import annotations

import hashlib
import secrets
import struct

_DIGITS = 7
_MASK = 0xFFFFFFFF
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_DOUBLE_ROUND = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def unique_name(logical_name: str, random_seed: bytes) -> str:
    """A name for the resource *logical_name*; random when the engine sent no seed."""
    seed = hashlib.sha256(random_seed).digest() if random_seed else secrets.token_bytes(32)
    return f"{logical_name}-{_hex_digits(seed)}"


def _hex_digits(seed: bytes) -> str:
    """The low nibbles of the generator's first numbers.

    Go interleaves four blocks word by word, so the numbers' low halves alternate between the first and the
    third block. Only the constant rows are read here: the generator leaves them without the final addition.
    """
    blocks = (_chacha8_block(seed, 0), _chacha8_block(seed, 2))
    return "".join(f"{blocks[index % 2][index // 2] & 0xF:x}" for index in range(_DIGITS))


def _chacha8_block(seed: bytes, counter: int) -> list[int]:
    words = [*_CONSTANTS, *struct.unpack("<8I", seed), counter, 0, 0, 0]
    for _ in range(4):
        for a, b, c, d in _DOUBLE_ROUND:
            _quarter_round(words, a, b, c, d)
    return words


def _quarter_round(words: list[int], a: int, b: int, c: int, d: int) -> None:
    for left, right, into, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        words[left] = (words[left] + words[right]) & _MASK
        mixed = words[into] ^ words[left]
        words[into] = ((mixed << shift) | (mixed >> (32 - shift))) & _MASK
