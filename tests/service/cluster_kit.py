"""A Redis Cluster of two nodes, one of which has all the keys."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as blocking_redis
from debian_programs import need
from service_kit import wait_until

from contracts.durability import DURABLE, as_arguments
from contracts.free_ports import free_port

SLOTS = 16384


@dataclass
class Node:
    """One of the cluster's servers."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *command: object) -> Any:
        """Its own answer to *command*."""
        with blocking_redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*command)

    def answers(self) -> bool:
        """Whether it takes commands."""
        with suppress(blocking_redis.RedisError):
            return bool(self.ask("PING"))
        return False

    def agrees(self) -> bool:
        """Whether it knows who has each slot."""
        return bool(self.ask("CLUSTER INFO")["cluster_state"] == "ok")


@dataclass
class Cluster:
    """`owner` has all the slots, and `other` knows it."""

    owner: Node
    other: Node

    def move(self, key: str) -> None:
        """Have `other` own the slot of *key*, of which there may be nothing yet."""
        slot, new = self.other.ask("CLUSTER KEYSLOT", key), self.other.ask("CLUSTER MYID")
        for node in (self.other, self.owner):
            node.ask("CLUSTER SETSLOT", slot, "NODE", new)
        self.other.ask("CLUSTER BUMPEPOCH")


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster with its data in *folder*."""
    need("redis-server")
    with ExitStack() as stack:
        owner, other = (stack.enter_context(_running_node(folder / name)) for name in ("owner", "other"))
        owner.ask("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
        bus = owner.ask("CONFIG GET", "cluster-port")["cluster-port"]
        other.ask("CLUSTER MEET", "127.0.0.1", owner.port, bus)
        for node in (owner, other):
            wait_until(node.agrees, "the nodes agree")
        yield Cluster(owner, other)


@contextmanager
def _running_node(folder: Path) -> Iterator[Node]:
    folder.mkdir()
    node = _started(folder)

    def answers() -> bool:
        nonlocal node
        if node.process.poll() is not None:  # somebody else took one of its ports meanwhile
            node = _started(folder)
        return node.answers()

    try:
        wait_until(answers, f"{folder.name} answers")
        yield node
    finally:
        node.process.kill()
        node.process.wait()


def _started(folder: Path) -> Node:
    port = free_port()
    options = {"port": str(port), "cluster-port": str(free_port()), "cluster-enabled": "yes"}
    place = {"bind": "127.0.0.1", "dir": str(folder), "logfile": str(folder / "redis.log")}
    command = ["redis-server", *as_arguments({**DURABLE, **options, **place})]
    return Node(port, subprocess.Popen(command))
