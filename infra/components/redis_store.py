"""Redis with append-only persistence: where every accepted webhook is kept until it is answered."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.hardening import hardened, labels, seed

_CONFIG = """\
dir /data
appendonly yes
appendfsync always
save ""
maxmemory {maxmemory_mb}mb
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

    stack: str
    prefix: str
    image: pulumi.Input[str]
    network: docker.Network
    password: pulumi.Output[str]


class RedisStore(pulumi.ComponentResource):
    """One Redis server, reachable as `redis:6379` on the stack's network, password in a file."""

    container: docker.Container
    url: pulumi.Output[str]

    def __init__(self, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:RedisStore", "redis", None, opts)
        child = pulumi.ResourceOptions(parent=self)
        name = f"{args.prefix}-redis"
        data = docker.Volume(
            f"{name}-data", name=f"{name}-data", labels=_volume_labels(args.stack), opts=child
        )
        conf = docker.Volume(
            f"{name}-conf", name=f"{name}-conf", labels=_volume_labels(args.stack), opts=child
        )
        config = args.password.apply(
            lambda password: _CONFIG.format(password=password, maxmemory_mb=_MAXMEMORY_MB)
        )
        files = {"redis.conf": config, "password": args.password}
        seeded = seed(
            f"{name}-conf",
            stack=args.stack,
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
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.network.name, aliases=["redis"])
            ],
            volumes=[
                docker.ContainerVolumeArgs(volume_name=data.name, container_path="/data"),
                docker.ContainerVolumeArgs(volume_name=conf.name, container_path="/conf", read_only=True),
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD-SHELL", _PING], interval="2s", timeout="2s", retries=15
            ),
            wait=True,
            wait_timeout=60,
            labels=labels(args.stack, role="redis"),
            **hardened("999:999", _MEMORY_MB, {"/tmp": "size=16m"}),  # noqa: S108 - a tmpfs in the container
            opts=pulumi.ResourceOptions(parent=self, depends_on=[seeded]),
        )
        self.url = args.password.apply(lambda password: f"redis://:{password}@redis:6379/0")
        self.register_outputs({"container": self.container.name})


def _volume_labels(stack: str) -> list[docker.VolumeLabelArgs]:
    return [docker.VolumeLabelArgs(label="runbook.stack", value=stack)]
