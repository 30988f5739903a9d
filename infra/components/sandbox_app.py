"""The stand-ins for WAHA, Convex, Clerk, Inngest, Sentry, Resend and the model API. Dev stacks only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from infra.components.hardening import hardened
from infra.components.stack_context import StackContext

_URL = "http://sandbox:9000"
DATABASE = "NEXT_PUBLIC_CONVEX_URL"
ENVIRONMENT = {
    "WAHA_API_URL": f"{_URL}/waha",
    DATABASE: f"{_URL}/convex",
    "AI_API_URL": f"{_URL}/ai",
    "AI_MODEL": "sandbox",
    "RESEND_API_URL": f"{_URL}/resend",
    "EMAIL_FROM": "assistant@sandbox.example",
    "NEXT_PUBLIC_APP_URL": "http://127.0.0.1",
    "RATE_LIMIT_PER_MINUTE": "60000",
}
"""What a dev stack's releases use instead of the real services, unless the stack's `env` says otherwise."""


@dataclass(frozen=True)
class SandboxArgs:
    """What the sandbox needs to know. `build_context` is named by its content."""

    context: StackContext
    build_context: Path
    base_image: pulumi.Input[str]
    logs: dict[str, Any]


class Sandbox(pulumi.ComponentResource):
    """One container, reachable as `sandbox:9000` on the stack's network."""

    container: docker.Container

    def __init__(self, args: SandboxArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:Sandbox", "sandbox", None, opts)
        name = f"{args.context.prefix}-sandbox"
        image = docker.RemoteImage(
            f"{name}-image",
            name=f"runbook/sandbox:{args.build_context.name.split('-')[1]}",
            build=docker.RemoteImageBuildArgs(
                context=str(args.build_context), build_args={"BASE": args.base_image}, force_remove=True
            ),
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.container = docker.Container(
            name,
            name=name,
            image=image.name,
            networks_advanced=args.context.joined("sandbox"),
            envs=["HOST=0.0.0.0", "PORT=9000"],
            healthcheck={
                "tests": ["CMD", "python3", "-m", "sandbox", "healthcheck"],
                "interval": "2s",
                "timeout": "5s",
                "retries": 15,
            },
            wait=True,
            wait_timeout=60,
            labels=args.context.labels(role="sandbox"),
            **hardened("65532:65532", 256, {"/tmp": 16}, **args.logs),  # noqa: S108 - a tmpfs
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"container": self.container.name})
