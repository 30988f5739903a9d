"""The environment of our own calls of pip: the user's way to the packages, and no other setting of his.

What `pip.conf` or `PIP_…` say of where and how to install (`user`, `target`, `constraint`) is meant for other
projects. Standard library only: the bootstrap uses this before there are any packages.
"""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NETWORK = frozenset(
    {
        *("index-url", "extra-index-url", "no-index", "find-links"),
        *(
            "proxy",
            "cert",
            "client-cert",
            "trusted-host",
            "keyring-provider",
            "use-feature",
            "use-deprecated",
        ),
        *("timeout", "default-timeout", "retries", "resume-retries", "cache-dir", "no-cache-dir"),
    }
)
"""The settings that say from where packages are had, and how that place is reached."""

_SECTIONS = ("global", "install", ":env:")
"""Of pip's settings: a later one's wins."""

_LOUD = "-vvvvvv"
"""More than any `quiet` of a pip.conf takes away, or pip would list nothing and call it a success."""


def pip_environment(python: Path | str, caller: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for `python -m pip install`; *caller* is the present one, by default this process's.

    A configuration that pip cannot read is left to it: the installation then fails in pip's own words.
    """
    caller = os.environ if caller is None else caller
    done = subprocess.run(
        [python, "-m", "pip", "config", "list", _LOUD],
        env={name: value for name, value in caller.items() if name not in {"PIP_QUIET", "PIP_VERBOSE"}},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        return dict(caller)
    listed = {_variable(name): value for name, value in _network(done.stdout).items()}
    variables = {_variable(name) for name in NETWORK}
    kept = {name: value for name, value in caller.items() if name in variables or not name.startswith("PIP_")}
    return {**listed, **kept, "PIP_CONFIG_FILE": os.devnull}  # pip's own word for: no configuration files


def _variable(name: str) -> str:
    return f"PIP_{name.upper().replace('-', '_')}"


def _network(listed: str) -> dict[str, str]:
    """The settings of `NETWORK` among those that `pip config list` lists, such as `global.proxy='…'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listed.splitlines():
        place, _, value = line.partition("=")
        section, _, name = place.rpartition(".")
        if section in found and name in NETWORK:
            with suppress(SyntaxError, ValueError):  # one that pip writes because of `_LOUD`
                found[section][name] = str(ast.literal_eval(value))
    return {name: value for section in _SECTIONS for name, value in found[section].items()}
