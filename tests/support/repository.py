"""Git as tests use it: in a repository of their own, with nobody's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git in *folder*, as somebody and with nobody's settings; what it says."""
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", "-C", str(folder), *person, *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()
