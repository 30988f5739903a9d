"""A stack over the provider, driven by the Automation API in a process of its own.

    python provider_stack_program.py VERB WANTED

VERB is preview, up, up-refreshed or destroy; WANTED is `Wanted` as JSON. Prints the changes and outputs as
JSON; a failure prints the engine's own text and exits 1. The environment says where state and plugins are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker
from pulumi import automation


@dataclass(frozen=True)
class Wanted:
    """What the program asks for this time. All names start with `prefix`."""

    prefix: str
    image: str
    secret: str
    greeting: str = "hello"
    memory: int = 64
    health: str = "true"
    wait_timeout: int = 120


def program(wanted: Wanted) -> None:
    """A network, a volume seeded with a secret, and two containers, one of them named automatically."""
    secret = pulumi.Output.secret(wanted.secret)
    network = docker.Network(f"{wanted.prefix}-net")
    volume = docker.Volume(f"{wanted.prefix}-data")
    mounted = [docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")]
    seed = docker.Container(
        f"{wanted.prefix}-seed",
        image=wanted.image,
        command=["true"],
        start=False,
        must_run=False,
        volumes=mounted,
        uploads=[docker.ContainerUploadArgs(file="/data/secret", content=secret, permissions="0444")],
    )
    docker.Container(
        "web",
        name=f"{wanted.prefix}-web",
        image=wanted.image,
        command=["sleep", "600"],
        init=True,
        envs=[f"GREETING={wanted.greeting}", secret.apply(lambda text: f"PASSWORD={text}")],
        memory=wanted.memory,
        networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["web"])],
        volumes=mounted,
        healthcheck=docker.ContainerHealthcheckArgs(
            tests=["CMD", wanted.health], interval="300ms", retries=1
        ),
        wait=True,
        wait_timeout=wanted.wait_timeout,
        destroy_grace_seconds=5,
        opts=pulumi.ResourceOptions(depends_on=[seed]),
    )
    pulumi.export("driver", docker.get_network_output(name=network.name).driver)


def run(verb: str, wanted: Wanted) -> dict[str, Any]:
    """Run *verb* on the stack; how many resources it changed in which way, and the outputs."""
    stack = automation.create_or_select_stack("test", wanted.prefix, lambda: program(wanted))
    if verb == "preview":
        return {"changes": stack.preview().change_summary}
    if verb == "destroy":
        return {"changes": stack.destroy().summary.resource_changes}
    result = stack.up(refresh=verb == "up-refreshed")
    outputs = {name: output.value for name, output in result.outputs.items()}
    return {"changes": result.summary.resource_changes, "outputs": outputs}


if __name__ == "__main__":
    try:
        print(json.dumps(run(sys.argv[1], Wanted(**json.loads(sys.argv[2])))))
    except automation.CommandError as failure:
        sys.exit(str(failure))
