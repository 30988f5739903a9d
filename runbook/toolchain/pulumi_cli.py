"""The Pulumi CLI for this machine: on PATH, in the cache, downloaded, or built, in this order."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from infra.cache_folder import cache_folder
from infra.file_lock import held
from runbook.toolchain import go_build, official_download
from runbook.toolchain.go_build import as_version, pinned_version

Report = Callable[[str], None]

_OWN_COMMANDS = Path(__file__).resolve().parent.parent.parent / "bin"
_DOWNLOADED_WITHIN_S = 300


@cache
def ensure_cli(report: Report) -> Path:
    """The CLI's path. Building it takes minutes; whoever comes meanwhile waits for that build.

    Raises:
        RunbookError: it could be neither found, downloaded nor built.
    """
    if found := find_cli(report):
        return found
    wanted = pinned_version()
    folder = _folder(wanted)
    waiting = partial(report, "waiting for another process, which gets the Pulumi CLI")
    with held(cache_folder() / "locks" / "pulumi-cli", waiting):
        return in_cache(folder) or _obtain(wanted, folder, report)


def find_cli(report: Report) -> Path | None:
    """The CLI's path, where this machine has it already."""
    wanted = pinned_version()
    return on_path(os.environ.get("PATH", ""), wanted, report) or in_cache(_folder(wanted))


def _folder(version: str) -> Path:
    return cache_folder() / "pulumi" / version


def on_path(path: str, wanted: str, report: Report) -> Path | None:
    """The first `pulumi` of the search *path*, our own `bin/pulumi` aside, if it is new enough to use."""
    folders = [folder for folder in path.split(os.pathsep) if Path(folder).resolve() != _OWN_COMMANDS]
    found = shutil.which("pulumi", path=os.pathsep.join(folders))
    if found is None or Path(found).resolve().parent == _OWN_COMMANDS:
        return None
    version = version_of(found)
    if usable(version, wanted):
        return Path(found)
    report(f"{found} is version {version}: not used, {wanted} or a later 3.x is needed")
    return None


def usable(version: str, wanted: str) -> bool:
    """Whether a CLI of *version* can stand in for *wanted*: same major version, and no older minor one."""
    have, want = as_version(version), as_version(wanted)
    return have[:1] == want[:1] and have[:2] >= want[:2]


def version_of(cli: str) -> str:
    """What the command at *cli* says its version is; empty where it does not say."""
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [cli, "version"], env=env, capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().removeprefix("v")


def in_cache(folder: Path) -> Path | None:
    """The CLI that an earlier run downloaded (with its language hosts) or built into *folder*."""
    candidates = [folder / "bin" / "pulumi", folder / "pulumi"]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def _obtain(wanted: str, folder: Path, report: Report) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    report(f"downloading the Pulumi CLI {wanted}")
    if official_download.download(wanted, folder, _DOWNLOADED_WITHIN_S):
        return folder / "bin" / "pulumi"
    report("the download site cannot be reached")
    shutil.rmtree(folder / "bin", ignore_errors=True)  # a download that was given up half way
    go_build.build(folder / "pulumi", report)
    return folder / "pulumi"
