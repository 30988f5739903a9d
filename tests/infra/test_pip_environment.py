"""Our calls of pip go where the user's pip goes for packages, and do nothing else that it was told."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.pip_environment import pip_environment
from infra.python_site import pip_command

NETWORK = {
    "index-url": "https://alice:hunter2@packages.example/simple",
    "extra-index-url": "https://one.example/simple https://two.example/simple",
    "proxy": "http://proxy.example:3128",
    "cert": "/etc/ssl/ours.pem",
    "timeout": "77",
    "trusted-host": "packages.example",
}
THEIRS = {
    "user": "true",
    "target": "/theirs",
    "prefix": "/theirs",
    "constraint": "/theirs.txt",
    "no-binary": ":all:",
    "require-hashes": "true",
    "dry-run": "true",
    "require-virtualenv": "true",
}
NONE = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}


def configured(folder: Path, **sections: dict[str, str]) -> dict[str, str]:
    """An environment with a pip.conf of these sections in its home folder."""
    file = folder / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in its.items()) for name, its in sections.items()
    ]
    file.write_text("".join(lines))
    return {**NONE, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")}


def settings_in(env: dict[str, str]) -> dict[str, str]:
    """What pip itself says its settings are."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=env, capture_output=True, text=True, check=True
    )
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {place.rpartition(".")[2]: str(ast.literal_eval(value)) for place, _, value in pairs}


@pytest.mark.parametrize("section", ["global", "install"])
def test_the_way_to_the_packages_is_kept(tmp_path: Path, section: str) -> None:
    """Index, proxy and certificates, by the file; all else of it is gone."""
    env = pip_environment(sys.executable, configured(tmp_path, **{section: {**NETWORK, **THEIRS}}))
    found = settings_in(env)
    assert found.items() >= NETWORK.items()
    assert not found.keys() & THEIRS.keys()


def test_variables_come_before_files(tmp_path: Path) -> None:
    """As they do for pip; those that are not about the network are gone."""
    env = configured(tmp_path, **{"global": NETWORK, "install": {"timeout": "78"}})
    env |= {"PIP_PROXY": "http://other.example:1", "PIP_USER": "1", "PIP_TARGET": "/theirs"}
    found = settings_in(pip_environment(sys.executable, env))
    assert found.items() >= {**NETWORK, "timeout": "78", "proxy": "http://other.example:1"}.items()
    assert not found.keys() & THEIRS.keys()


@pytest.mark.parametrize(
    ("noise", "variables"),
    [
        ({}, {"PIP_QUIET": "9"}),
        ({"quiet": "true"}, {"PIP_QUIET": "1"}),
        ({"quiet": "3"}, {}),
        ({"verbose": "3"}, {"PIP_VERBOSE": "3"}),
    ],
)
def test_a_quiet_pip_tells_its_settings_too(
    tmp_path: Path, noise: dict[str, str], variables: dict[str, str]
) -> None:
    """And one that is to say more than usual."""
    env = configured(tmp_path, **{"global": {**NETWORK, **noise}}) | variables
    found = settings_in(pip_environment(sys.executable, env))
    assert found.items() >= NETWORK.items()
    assert not found.keys() & {"quiet", "verbose"}


def test_variables_of_the_network_are_kept_whatever_pip_lists(tmp_path: Path) -> None:
    """Should it list none."""
    env = configured(tmp_path, **{"global": {}}) | {"PIP_PROXY": "http://other.example:1"}
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    assert pip_environment(silent, env)["PIP_PROXY"] == "http://other.example:1"


def test_settings_that_cannot_be_read_are_pips_to_refuse(tmp_path: Path) -> None:
    """Its own words name the file."""
    env = configured(tmp_path, **{"global": {}})
    (tmp_path / ".config/pip/pip.conf").write_text("no section = here\n")
    assert pip_environment(sys.executable, env) == env


def test_a_site_is_made_whatever_else_pip_was_told(tmp_path: Path) -> None:
    """The packages come into the folder that is asked for."""
    (tmp_path / "requirements.txt").write_text("")
    env = pip_environment(sys.executable, configured(tmp_path, install=THEIRS) | {"PIP_USER": "1"})
    command = pip_command(tmp_path / "requirements.txt", "x86_64", tmp_path / "site")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
