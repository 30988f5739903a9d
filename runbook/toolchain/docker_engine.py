"""A Docker engine for this machine: found, or, as root on Debian and Ubuntu, installed and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from infra import debian_packages
from infra.cache_folder import cache_folder
from infra.errors import PartMissing
from infra.file_lock import held
from runbook.errors import RunbookError

Report = Callable[[str], None]
Trouble = Callable[[], str | None]

_ANSWERS_WITHIN_S = 10
_STARTS_WITHIN_S = 60
_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
_SERVICE_STARTS_WITHIN_S = 2
_ASK_EACH_S = 0.25
_LAST_LINES = 10


def ensure_engine(report: Report, trouble: Trouble | None = None) -> None:
    """See that an engine answers, that which DOCKER_HOST names or this machine's own.

    Raises:
        RunbookError: none answers and none could be started; says what to install or the daemon's last lines.
    """
    trouble = trouble or engine_trouble
    why = trouble()
    if why is None:
        return
    if named := os.environ.get("DOCKER_HOST"):
        raise RunbookError(
            f"the Docker engine at {named} does not answer: {why}",
            "start it; or, to use this machine's own, unset DOCKER_HOST and `docker context use default`",
        )
    with held(cache_folder() / "locks" / "dockerd"):
        if trouble() is not None:
            _start(_daemon(why, report), cache_folder() / "dockerd.log", report, trouble)


def engine_trouble() -> str | None:
    """Why the engine that the environment names does not answer a ping; None where it does."""
    try:
        docker.from_env(timeout=_ANSWERS_WITHIN_S).ping()
    except (DockerException, requests.RequestException) as error:
        return str(error)
    return None


def _daemon(why: str, report: Report) -> str:
    """The path of `dockerd`, installed if need be."""
    if shutil.which("dockerd") is None or shutil.which("iptables") is None:
        try:
            debian_packages.install(["docker.io", "iptables"], report)
        except PartMissing as missing:
            raise RunbookError(
                f"no Docker engine answers ({why}), and none could be installed: {missing.message}",
                "install Docker (docker.io and iptables on Debian and Ubuntu) and start it",
            ) from missing
    daemon = shutil.which("dockerd")
    if daemon is None or os.geteuid() != 0:
        raise RunbookError(
            f"no Docker engine answers: {why}",
            "start it (as root: `systemctl start docker`), join the group `docker`, or set DOCKER_HOST",
        )
    return daemon


def _start(daemon: str, log: Path, report: Report, trouble: Trouble) -> None:
    """Start *daemon*, detached, unless installing it started a service; wait until it answers."""
    if _answers_within(_SERVICE_STARTS_WITHIN_S, trouble):
        return
    forget_the_dead(_PID_FILES)
    report(f"starting dockerd; its log is {log}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [daemon], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    if not _answers_within(_STARTS_WITHIN_S, trouble, process):
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        raise RunbookError(f"dockerd does not start; its last lines:\n{last}", f"its whole log is {log}")


def forget_the_dead(pid_files: Mapping[Path, str]) -> None:
    """Remove each file whose process is no longer the program it stands for.

    A killed daemon leaves its file; once its number belongs to another process, dockerd refuses to start.
    """
    for file, program in pid_files.items():
        try:
            runs = Path(f"/proc/{int(file.read_text())}/comm").read_text().strip() == program
        except (OSError, ValueError):
            runs = False
        if not runs:
            file.unlink(missing_ok=True)


def _answers_within(seconds: float, trouble: Trouble, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Ask until the engine answers, *process* has ended, or *seconds* have passed."""
    until = time.monotonic() + seconds
    while trouble() is not None:
        if time.monotonic() > until or (process is not None and process.poll() is not None):
            return False
        time.sleep(_ASK_EACH_S)
    return True
