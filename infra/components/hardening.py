"""What every container of a stack has in common: no privileges, bounded memory and logs, a graceful stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_docker as docker

from infra.components.stack_context import StackContext
from infra.stack_settings import StackSettings

STOP_GRACE_S = 15


def hardened(user: str, memory_mb: int, tmpfs_mb: Mapping[str, int], **instead: Any) -> dict[str, Any]:
    """Arguments of a container that runs as *user* (uid:gid), read-only; *instead* replaces single ones.

    All are plain values: what a container consists of is hashed (`infra/replacement.py`).

    *tmpfs_mb*: the folders that it may write, each with its size. `memory_swap` equals `memory` because the
    provider would otherwise see a change on each update.
    """
    return {
        "user": user,
        "read_only": True,
        "tmpfs": {folder: tmpfs_options(user, size_mb) for folder, size_mb in tmpfs_mb.items()},
        "capabilities": {"drops": ["ALL"]},
        "security_opts": ["no-new-privileges:true"],
        "memory": memory_mb,
        "memory_swap": memory_mb,
        "init": True,
        "restart": "unless-stopped",
        "log_driver": "json-file",
        "log_opts": {"max-size": "10m", "max-file": "3"},
        "stop_signal": "SIGTERM",
        "stop_timeout": STOP_GRACE_S,
        "destroy_grace_seconds": STOP_GRACE_S,
        **instead,
    }


def tmpfs_options(user: str, size_mb: int) -> str:
    """Options of a tmpfs that *user* (uid:gid) owns.

    By a mode alone the user could write it at the container's first start only: from the second one on it has
    the mode of the mount point that the first one made, 0755, whatever is asked for. The owner always holds.
    """
    uid, gid = user.split(":")
    return f"size={size_mb}m,uid={uid},gid={gid},mode=0755"


def collected_logs(layout: StackSettings) -> dict[str, Any]:
    """Arguments of a container whose lines the stack's collector keeps; none where the stack has none.

    The engine keeps some itself, for `docker logs`. With `fluentd-async` nothing waits for a collector that
    is down: containers start and end as ever, and what is written meanwhile is sent when it is back.
    """
    if not layout.monitoring:
        return {}
    options = {
        "fluentd-address": f"127.0.0.1:{layout.log_port}",
        "fluentd-async": "true",
        "fluentd-request-ack": "true",  # else what waits goes into the first connection, though it fails
        "fluentd-buffer-limit": "16384",  # lines; by default a million of each container stay in memory
        "labels": "runbook.role,runbook.release",
        "tag": "{{.Name}}",
        "cache-max-size": "10m",
        "cache-max-file": "3",
    }
    return {"log_driver": "fluentd", "log_opts": options}


def seed(
    name: str,
    *,
    context: StackContext,
    image: pulumi.Input[str],
    volume: docker.Volume,
    mount: str,
    files: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
) -> docker.Container:
    """Put *files* (name to content) into *volume*: through a container that is never started.

    A container with a read-only root refuses uploads, into its volumes too; and what is in a volume is not
    in `docker inspect`.
    """
    return docker.Container(
        f"{name}-seed",
        name=f"{name}-seed",
        image=image,
        command=["true"],
        start=False,
        must_run=False,
        labels=context.labels(),
        volumes=[{"volume_name": volume.name, "container_path": mount}],
        uploads=[
            {"file": f"{mount}/{file}", "content": content, "permissions": "0444"}
            for file, content in sorted(files.items())
        ],
        opts=pulumi.ResourceOptions(parent=parent),
    )
