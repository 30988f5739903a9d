"""Download the official Pulumi CLI, in a process of its own so that it can be given up after a time.

Usage: python -m runbook.toolchain.official_download VERSION ROOT
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

from pulumi.automation import PulumiCommand
from semver import VersionInfo

SITE = "https://get.pulumi.com/"
_CONNECTS_WITHIN_S = 3


def reachable() -> bool:
    """Whether Pulumi's download site answers, through the environment's proxy if it names one."""
    try:
        with urllib.request.urlopen(SITE, timeout=_CONNECTS_WITHIN_S):
            return True
    except OSError:
        return False


def download(version: str, root: Path, within_s: float) -> bool:
    """Install the CLI and the parts that come with it in *root*/bin; False where they cannot be had."""
    command = [sys.executable, "-P", "-m", "runbook.toolchain.official_download", version, str(root)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=within_s
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    if not reachable():
        sys.exit(1)
    PulumiCommand.install(root=sys.argv[2], version=VersionInfo.parse(sys.argv[1]))
