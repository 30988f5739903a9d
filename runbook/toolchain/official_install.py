"""Download the official Pulumi CLI: `python -m runbook.toolchain.official_install VERSION ROOT`."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from importlib import metadata

from pulumi.automation import PulumiCommand
from semver import VersionInfo

_SITE = "https://get.pulumi.com/"
_CONNECTS_WITHIN_S = 3


def main(version: str, root: str) -> None:
    """Install *version* below *root*, and the Docker plugin; fail at once where the site does not answer."""
    # The SDK's own download has no deadline; this question, through the environment's proxy if any, has one.
    with urllib.request.urlopen(_SITE, timeout=_CONNECTS_WITHIN_S):
        pass
    cli = PulumiCommand.install(root=root, version=VersionInfo.parse(version))
    # The launcher in infra/plugins/bin takes the official plugin where there is one, and else ours.
    plugin = ["plugin", "install", "resource", "docker", metadata.version("pulumi_docker")]
    subprocess.run([cli.command, *plugin], check=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
