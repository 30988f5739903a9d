"""Redis with append-only persistence: where every accepted webhook is kept until it is answered."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from contracts.durability import DURABLE, as_file
from infra.components.hardening import hardened, seed
from infra.components.place import Place

_CONFIG = """\
dir /data
{durable}maxmemory {maxmemory_mb}mb
maxmemory-policy noeviction
protected-mode no
requirepass {password}
"""
_PING = 'REDISCLI_AUTH="$(cat /conf/password)" redis-cli ping | grep -q PONG'
_MEMORY_MB = 384  # a rewrite of the append-only file forks: leave it room beside maxmemory
_MAXMEMORY_MB = 256


@dataclass(frozen=True)
class RedisArgs:
    """What a Redis store needs to know."""

    place: Place
    image: pulumi.Input[str]
    password: pulumi.Output[str]


class RedisStore(pulumi.ComponentResource):
    """One Redis server, reachable as `redis:6379` on the stack's network, password in a file."""

    container: docker.Container
    url: pulumi.Output[str]

    def __init__(self, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:RedisStore", "redis", None, opts)
        place, name = args.place, f"{args.place.prefix}-redis"
        data, conf = place.volume(f"{name}-data", self), place.volume(f"{name}-conf", self)
        config = args.password.apply(
            lambda password: _CONFIG.format(
                durable=as_file(DURABLE), password=password, maxmemory_mb=_MAXMEMORY_MB
            )
        )
        files = {"redis.conf": config, "password": args.password}
        seeded = seed(
            f"{name}-conf",
            place=place,
            image=args.image,
            volume=conf,
            mount="/conf",
            files=files,
            parent=self,
        )
        self.container = docker.Container(
            name,
            name=name,
            image=args.image,
            entrypoints=["redis-server"],
            command=["/conf/redis.conf"],
            networks_advanced=place.joined("redis"),
            volumes=[
                docker.ContainerVolumeArgs(volume_name=data.name, container_path="/data"),
                docker.ContainerVolumeArgs(volume_name=conf.name, container_path="/conf", read_only=True),
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD-SHELL", _PING], interval="2s", timeout="2s", retries=15
            ),
            wait=True,
            wait_timeout=60,
            labels=place.labels(role="redis"),
            **hardened("999:999", _MEMORY_MB, {"/tmp": "size=16m"}),  # noqa: S108 - a tmpfs in the container
            opts=pulumi.ResourceOptions(parent=self, depends_on=[seeded]),
        )
        self.url = args.password.apply(lambda password: f"redis://:{password}@redis:6379/0")
        self.register_outputs({"container": self.container.name})
