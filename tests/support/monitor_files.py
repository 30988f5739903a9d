"""The monitors' files as a stack has them."""

from __future__ import annotations

from contracts.targets import Targets, read_targets
from infra.monitoring.panels import read_panels
from infra.monitoring.templates import filled
from infra.stack_settings import StackSettings


def monitor_file(
    name: str, targets: Targets | None = None, stack: str = "dev", worker_replicas: int = 1
) -> str:
    """One of `infra/monitoring/`, filled in; without secrets."""
    targets = targets or read_targets()
    layout = StackSettings(worker_replicas=worker_replicas)
    return filled(name, stack, targets=targets, layout=layout, panels=read_panels(targets), secrets={})
