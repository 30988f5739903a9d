"""Redis with append-only persistence: where every accepted webhook is kept until it is answered."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pulumi
import pulumi_docker as docker

from contracts.durability import DURABLE, as_file
from infra.components.hardening import collected_logs, hardened, seed
from infra.components.sizes import REDIS_MEMORY_MB
from infra.components.stack_context import StackContext, as_it_was
from infra.containers import ContainerExec, ContainerGone
from infra.replacement import LABEL, Decision, SharedContainer
from infra.stack_settings import StackSettings

_CONFIG = """\
dir /data
{durable}maxmemory {maxmemory_mb}mb
maxmemory-policy noeviction
protected-mode no
requirepass "{password}"
"""
START = Path(__file__).parent.with_name("redis_start.sh").read_text(encoding="utf-8")
"""What the container runs: it mends an end of the append-only file that was never written."""

_PING = 'REDISCLI_AUTH="$(cat /conf/password)" redis-cli ping | grep -q PONG'
_MAXMEMORY_MB = 256
_OUTAGE_S = (3, 30)  # it reads its whole file


def configuration(password: str) -> str:
    """The server's configuration file."""
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return _CONFIG.format(durable=as_file(DURABLE), password=quoted, maxmemory_mb=_MAXMEMORY_MB)


def url(password: str) -> str:
    """Where the service finds it, from inside the stack's network."""
    return f"redis://:{quote(password, safe='')}@redis:6379/0"


@dataclass(frozen=True)
class RedisArgs:
    """What a Redis store needs to know. `decision`: what becomes of the one that runs."""

    context: StackContext
    image: pulumi.Input[str]
    layout: StackSettings
    password: pulumi.Output[str]
    decision: Decision


class RedisStore(pulumi.ComponentResource):
    """One Redis server, reachable as `redis:6379` on the stack's network, password in a file."""

    container: docker.Container
    url: pulumi.Output[str]

    def __init__(self, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, as_it_was(args.decision.as_it_was))
        super().__init__("runbook:infra:RedisStore", "redis", None, opts)
        context, name = args.context, f"{args.context.prefix}-redis"
        data, conf = context.volume("redis-data", self), context.volume("redis-conf", self)
        seeded = seed(
            f"{name}-conf",
            context=context,
            image=args.image,
            volume=conf,
            mount="/conf",
            files={
                "redis.conf": args.password.apply(configuration),
                "password": args.password,
                "start.sh": START,
            },
            parent=self,
        )
        self.container = docker.Container(
            name,
            name=name,
            image=args.image,
            networks_advanced=context.joined("redis"),
            volumes=[
                {"volume_name": data.name, "container_path": "/data"},
                {"volume_name": conf.name, "container_path": "/conf", "read_only": True},
            ],
            labels=context.labels(role="redis", **{LABEL: args.decision.fingerprint}),
            **_arguments(args.layout),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[seeded]),
        )
        self.url = args.password.apply(url)
        self.register_outputs({"container": self.container.name})


def kept_password(prefix: str) -> str | None:
    """The password that the stack's Redis has, though it may not run or be gone; None for a new stack."""
    for name in (f"{prefix}-redis", f"{prefix}-redis-conf-seed"):  # of the same volume
        try:
            return ContainerExec(name).read_file("/conf/password")
        except ContainerGone:
            continue
    return None


def shared_redis(
    prefix: str, image: str, layout: StackSettings, password: str, network: dict[str, Any]
) -> SharedContainer:
    """Redis' container as it would be made now, for `infra.replacement`: its configuration is part of it."""
    keyed = hmac.digest(password.encode(), configuration(password).encode(), hashlib.sha256)
    return SharedContainer(
        name=f"{prefix}-redis",
        image=image,
        arguments={
            **_arguments(layout),
            "configuration": keyed.hex(),  # it holds the password, of which a plain hash could be tried
            "network": network,
            "volumes": {"redis-data": "/data", "redis-conf": "/conf"},
        },
        outage_s=_OUTAGE_S,
    )


def _arguments(layout: StackSettings) -> dict[str, Any]:
    """What the container is, but for its image, network and volumes."""
    return {
        "entrypoints": ["sh"],
        "command": ["/conf/start.sh"],
        "healthcheck": {"tests": ["CMD-SHELL", _PING], "interval": "2s", "timeout": "2s", "retries": 15},
        "wait": True,
        "wait_timeout": 60,
        **hardened("999:999", REDIS_MEMORY_MB, {"/tmp": 16}, **collected_logs(layout)),  # noqa: S108 - a tmpfs
    }
