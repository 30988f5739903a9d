"""One release: its secrets as files, its web and worker containers. Named by its id, never replaced."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.hardening import STOP_GRACE_S, hardened, seed
from infra.components.stack_context import StackContext, as_it_was
from infra.containers import SECRETS_FOLDER
from infra.haproxy_config import LIVE_RELEASE_PORT, WEB_PORT
from infra.manifest import Manifest

_USER = "65532:65532"


@dataclass(frozen=True)
class ReleaseArgs:
    """What a release needs to know. `secrets`: name to value, with those that infrastructure makes.

    `as_it_was`: it was made by an earlier update, perhaps by other code than this. What there is of it stays.
    """

    context: StackContext
    manifest: Manifest
    image: pulumi.Input[str]
    secrets: dict[str, pulumi.Input[str]]
    as_it_was: bool = False


class Release(pulumi.ComponentResource):
    """The containers of one release. Nothing sends them live traffic until the live route says so."""

    web_names: list[str]
    worker_names: list[str]

    def __init__(self, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, as_it_was(args.as_it_was))
        super().__init__("runbook:infra:Release", args.manifest.id, None, opts)
        self._args = args
        self._secrets = args.context.volume(f"secrets-{args.manifest.id}", self)
        self._seeded = seed(
            f"{args.context.prefix}-secrets-{args.manifest.id}",
            context=args.context,
            image=args.image,
            volume=self._secrets,
            mount=SECRETS_FOLDER,
            files=args.secrets,
            parent=self,
        )
        sizing = args.manifest.sizing
        self.web_names = [
            self._container("web", number, sizing.web_memory_mb)
            for number in range(1, sizing.web_replicas + 1)
        ]
        self.worker_names = [
            self._container("worker", number, sizing.worker_memory_mb)
            for number in range(1, sizing.worker_replicas + 1)
        ]
        self.register_outputs({"release": args.manifest.id})

    def _container(self, role: str, number: int, memory_mb: int) -> str:
        args = self._args
        name = f"{args.context.prefix}-{role}-{number}-{args.manifest.id}"
        docker.Container(
            name,
            name=name,
            image=args.image,
            command=["python3", "-m", "service", role],
            envs=self._environment(),
            networks_advanced=args.context.joined(name, role),
            volumes=[
                {"volume_name": self._secrets.name, "container_path": SECRETS_FOLDER, "read_only": True}
            ],
            healthcheck={
                "tests": ["CMD", "python3", "-m", "service", "healthcheck", role],
                "interval": "10s",
                "timeout": "5s",
                "retries": 3,
                "start_period": "20s",
            },
            labels=args.context.labels(
                role=role, release=args.manifest.id, manifest=args.manifest.model_dump_json()
            ),
            **hardened(_USER, memory_mb, {"/tmp": 64}, **args.manifest.logs),  # noqa: S108 - a tmpfs
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._seeded]),
        )
        return name

    def _environment(self) -> list[str]:
        """Plain settings, and for each secret the file that holds it."""
        plain = {
            **self._args.manifest.env,
            "RELEASE": self._args.manifest.id,
            "HOST": "0.0.0.0",  # noqa: S104 - of the container; only the stack's network reaches it
            "PORT": str(WEB_PORT),
            "TRUST_PROXY": "true",
            "LIVE_RELEASE_URL": f"http://proxy:{LIVE_RELEASE_PORT}/",
            "STOP_GRACE_S": str(STOP_GRACE_S - 3),
        }
        files = {f"{name}_FILE": f"{SECRETS_FOLDER}/{name}" for name in self._args.secrets}
        return [f"{name}={value}" for name, value in sorted({**plain, **files}.items())]
