"""How Redis keeps what was accepted: the stack's settings, on which tests and benchmarks run too."""

from __future__ import annotations

from collections.abc import Mapping

DURABLE: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "always",
    # The file is written anew when it has doubled, but not below this size. At 64mb, the default, a stack
    # under load forks every few seconds, and some webhooks wait 20 ms each time. 256 MB load in 2 s.
    "auto-aof-rewrite-min-size": "256mb",
    "save": "",
    # What is known of answered messages stands in hashes: 25 bytes a message while they are this small, 85
    # when they are not, which with 512, the default, most are above 36 messages a second.
    "hash-max-listpack-entries": "1024",
}
"""Options of `redis-server` by name."""


_EMPTY = '""'


def as_arguments(options: Mapping[str, str]) -> list[str]:
    """*options* as arguments of `redis-server`."""
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def as_file(options: Mapping[str, str]) -> str:
    """*options* as lines of `redis.conf`."""
    return "".join(f"{name} {value or _EMPTY}\n" for name, value in options.items())
