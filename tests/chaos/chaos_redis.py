"""A Redis server of the test's own, which syncs each write as production's does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as blocking_redis
from chaos_programs import Program
from chaos_waiting import until

from contracts.durability import DURABLE, as_arguments

MESSAGES = "{wa}:messages"
STREAMS = {"waiting": MESSAGES, "dead": "{wa}:dead", "unknown": "{wa}:unknown"}
"""Where an accepted message that is not answered can be found."""

GONE = (blocking_redis.RedisError, OSError)


@dataclass
class RedisServer:
    """The server, its data in `folder`, and a client that looks at it from outside."""

    program: Program
    port: int
    folder: Path

    @classmethod
    def at(cls, port: int, folder: Path, *options: str) -> RedisServer:
        """A server that is not started yet. *options* are further arguments of `redis-server`."""
        folder.mkdir(exist_ok=True)
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += [*as_arguments(DURABLE), *options]
        return cls(Program("redis", command, folder.with_suffix(".log")), port, folder)

    @property
    def url(self) -> str:
        """Its REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *command: str) -> Any:
        """The answer to one command, on a connection of its own: the server may just have been killed."""
        with blocking_redis.Redis(port=self.port, socket_timeout=20, decode_responses=True) as client:
            return client.execute_command(*command)

    def answers(self) -> bool:
        """Whether it has its data loaded and answers."""
        try:
            return bool(self.ask("PING"))
        except GONE:
            return False

    async def ready(self) -> None:
        """Until it answers."""
        await until(self.answers, "Redis answers")

    def waiting(self) -> int:
        """How many accepted messages are not done; -1 while it does not answer."""
        try:
            return int(self.ask("XLEN", MESSAGES))
        except GONE:
            return -1

    def length(self, stream: str) -> int:
        """How many messages stand in one of `STREAMS`."""
        return int(self.ask("XLEN", STREAMS[stream]))

    def payload_ids(self, stream: str) -> list[str]:
        """The ids of the messages in *stream*, in its order."""
        return [_payload_id(fields) for _, fields in self.ask("XRANGE", stream, "-", "+")]


def _payload_id(fields: Any) -> str:
    named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return str(json.loads(named["event"])["payload"]["id"])
