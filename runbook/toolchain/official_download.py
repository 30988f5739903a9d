"""The official Pulumi CLI from its download site, where that can be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def download(version: str, root: Path, within_s: float) -> bool:
    """Install the CLI and the parts that come with it in *root*/bin; False where they cannot be had.

    In a process of its own, which can be given up after a time; it fails within seconds without a network.
    """
    command = [sys.executable, "-P", "-m", "runbook.toolchain.official_install", version, str(root)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=within_s
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
