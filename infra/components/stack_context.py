"""Where the containers of a stack are: what the components have in common."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.docker_provider.facts import facts_of
from infra.dynamic.stack_id import STATE_LABEL
from infra.observed import STACK_LABEL
from infra.stack_settings import DATA_VOLUMES, SEEN_VOLUMES

_AS_FOUND = ["driver", "driverOpts", "labels"]
"""What a volume that was there before, restored from a backup for example, may have otherwise than ours."""

_CONTAINER = "docker:index/container:Container"


@dataclass(frozen=True)
class StackContext:
    """A stack's network, and what the names of its parts begin with."""

    stack: str
    prefix: str
    state_id: pulumi.Input[str]
    network: docker.Network

    def labels(self, **more: str) -> list[docker.ContainerLabelArgsDict]:
        """The labels by which the stack's containers are found when the state does not know them."""
        named: dict[str, pulumi.Input[str]] = {STACK_LABEL: self.stack, STATE_LABEL: self.state_id}
        named |= {f"runbook.{name}": value for name, value in more.items()}
        return [
            docker.ContainerLabelArgsDict(label=label, value=value) for label, value in sorted(named.items())
        ]

    def joined(self, *aliases: str) -> list[docker.ContainerNetworksAdvancedArgsDict]:
        """A container's membership of the network, under these names."""
        return [docker.ContainerNetworksAdvancedArgsDict(name=self.network.name, aliases=list(aliases))]

    def volume(self, part: str, parent: pulumi.Resource) -> docker.Volume:
        """The stack's volume for *part*; creating one that exists takes it over, as it is.

        To a provider any difference is a reason to delete a volume and make an empty one: none is looked at.
        """
        protect, keep = part in DATA_VOLUMES, part in (*DATA_VOLUMES, *SEEN_VOLUMES)
        name = f"{self.prefix}-{part}"
        opts = pulumi.ResourceOptions(
            parent=parent, ignore_changes=_AS_FOUND, protect=protect, retain_on_delete=keep
        )
        return docker.Volume(name, name=name, labels=self.labels(), opts=opts)


def as_it_was(yes: bool) -> pulumi.ResourceOptions:
    """Options of a component whose parts stay as an earlier update made them, whatever this code declares.

    What changes is replaced. Only whether a container runs is still seen to.
    """
    return pulumi.ResourceOptions(transformations=[_unchanged] if yes else [])


def _unchanged(
    resource: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult:
    of_container = sorted(facts_of(_CONTAINER).inputs.properties.keys() - {"mustRun"})
    ignored = of_container if resource.type_ == _CONTAINER else ["*"]
    opts = pulumi.ResourceOptions.merge(resource.opts, pulumi.ResourceOptions(ignore_changes=ignored))
    return pulumi.ResourceTransformationResult(resource.props, opts)
