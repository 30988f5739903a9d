"""Where the containers of a stack are: what the components have in common."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker


@dataclass(frozen=True)
class Place:
    """A stack's network, and what the names of its parts begin with."""

    stack: str
    prefix: str
    network: docker.Network

    def labels(self, **more: str) -> list[docker.ContainerLabelArgs]:
        """The labels by which the stack's containers are found when the state does not know them."""
        named = {"runbook.stack": self.stack, **{f"runbook.{name}": value for name, value in more.items()}}
        return [docker.ContainerLabelArgs(label=label, value=value) for label, value in sorted(named.items())]

    def joined(self, *aliases: str) -> list[docker.ContainerNetworksAdvancedArgs]:
        """A container's membership of the network, under these names."""
        return [docker.ContainerNetworksAdvancedArgs(name=self.network.name, aliases=list(aliases))]

    def volume(self, name: str, parent: pulumi.Resource) -> docker.Volume:
        """A volume of the stack; creating one that exists takes it over."""
        return docker.Volume(
            name,
            name=name,
            labels=[docker.VolumeLabelArgs(label="runbook.stack", value=self.stack)],
            opts=pulumi.ResourceOptions(parent=parent),
        )
