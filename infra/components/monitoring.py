"""What watches a stack: Prometheus and its exporters, Alertmanager, and the collector of the logs.

They are reached on the stack's network alone; the proxy has a frontend on loopback for the two with pages.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from contracts.targets import Targets
from infra.components.hardening import hardened, seed
from infra.components.stack_context import StackContext
from infra.monitoring.panels import read_panels
from infra.monitoring.templates import containers, filled
from infra.stack_config import StackConfig
from infra.stack_settings import RELEASE_KEY

_COLLECTOR = Path(__file__).parent.with_name("collect_logs.py")
_NOBODY = "65534:65534"
_CONF = "/conf"


@dataclass(frozen=True)
class MonitoringArgs:
    """What the monitors need to know.

    `images`: the name of each role's, and of `packages`, the one with the service's Python packages.
    """

    context: StackContext
    config: StackConfig
    targets: Targets
    images: Mapping[str, pulumi.Input[str]]


class Monitoring(pulumi.ComponentResource):
    """The monitors' containers. Each is replaced, in a second, when its configuration changes."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:Monitoring", "monitoring", None, opts)
        self._args, config = args, args.config
        self._values: dict[str, Any] = {
            "stack": config.stack,
            "layout": config.layout,
            "secrets": config.secrets,
            "targets": args.targets,
            "panels": read_panels(args.targets),
        }
        for role, told in containers(**self._values).items():
            if told["image"] in args.images:  # of Debian there is no Grafana
                self._run(role, **told)
        self.register_outputs({})

    def _run(
        self,
        role: str,
        image: str,
        command: list[str],
        *,
        files: Sequence[str] = (),
        data: tuple[str, str] | None = None,
        memory_mb: int = 64,
        tmpfs: dict[str, int] | None = None,
        **more: Any,
    ) -> None:
        """A container with its *files* in a volume of its own, and a volume for what it keeps, if any."""
        args, context = self._args, self._args.context
        name, texts = f"{context.prefix}-{role}", {file: self._text(file) for file in files}
        volumes: list[docker.ContainerVolumeArgsDict] = []
        seeded: list[pulumi.Resource] = []
        if files:
            conf = context.volume(f"{role}-conf", self)
            volumes.append({"volume_name": conf.name, "container_path": _CONF, "read_only": True})
            seeded.append(self._seed(f"{name}-conf", args.images[image], conf, texts))
        if data:
            kept = context.volume(data[0], self)
            volumes.append({"volume_name": kept.name, "container_path": data[1]})
        docker.Container(
            name,
            name=name,
            image=args.images[image],
            entrypoints=command[:1],
            command=command[1:],
            networks_advanced=context.joined(role),
            volumes=volumes,
            labels=context.labels(role=role, configuration=self._hash(texts)),
            **hardened(_NOBODY, memory_mb, tmpfs or {"/tmp": 4}),  # noqa: S108 - in the container
            **more,
            opts=pulumi.ResourceOptions(parent=self, depends_on=seeded),
        )

    def _seed(
        self, name: str, image: pulumi.Input[str], volume: docker.Volume, texts: dict[str, str]
    ) -> docker.Container:
        return seed(
            name,
            context=self._args.context,
            image=image,
            volume=volume,
            mount=_CONF,
            files={file: pulumi.Output.secret(text) for file, text in texts.items()},
            parent=self,
        )

    def _text(self, file: str) -> str:
        if file == _COLLECTOR.name:
            return _COLLECTOR.read_text(encoding="utf-8")
        return filled(file, **self._values)

    def _hash(self, files: dict[str, str]) -> str:
        """Of secrets, too: of a plain hash they could be tried."""
        key = self._args.config.secrets[RELEASE_KEY].encode()
        text = "\0".join(f"{name}\0{text}" for name, text in sorted(files.items()))
        return hmac.digest(key, text.encode(), hashlib.sha256).hex()[:12]
