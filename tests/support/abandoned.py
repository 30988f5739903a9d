"""Stacks of test runs that were killed: they hold the engine's names and the machine's cores."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import docker
import psutil

from infra.file_lock import held

PREFIX = "dev-test-"
OURS = f"{PREFIX}{os.getpid()}"
"""The stack of this run: two runs at once do not meet, and one that was killed is known by its process."""


def remove_abandoned() -> None:
    """Remove the containers, networks, volumes and locks of stacks whose test run is gone."""
    with held(Path(tempfile.gettempdir()) / "runbook-abandoned.lock"):  # two stacks begin at the same time
        _remove(docker.from_env())


def _remove(engine: docker.DockerClient) -> None:
    # Other tests remove their containers meanwhile.
    mine = {"label": "runbook.stack"}
    for container in engine.containers.list(all=True, filters=mine, ignore_removed=True):
        if _abandoned(container.labels["runbook.stack"]):
            container.remove(force=True, v=True)
    for network in engine.networks.list(filters={"label": "runbook.stack"}):
        if _abandoned(network.attrs["Labels"]["runbook.stack"]):
            network.remove()
    for label in ("runbook.stack", "runbook.lock"):
        for volume in engine.volumes.list(filters={"label": label}):
            if _abandoned(volume.attrs["Labels"][label]):
                volume.remove()


def _abandoned(stack: str) -> bool:
    run, _, _ = stack.removeprefix(PREFIX).partition("-")
    return stack.startswith(PREFIX) and run.isdecimal() and not psutil.pid_exists(int(run))
