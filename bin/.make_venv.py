"""Make or update the checkout's .venv from requirements.lock. Runs on a bare Python: standard library only.

Usage: .make_venv.py ROOT STAMP. The stamp is written last: an interrupted run is simply done again.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from infra.pip_environment import pip_environment

PROGRESS_EACH_S = 15
LAST_LINES = 15


class Failed(Exception):
    """The environment could not be made; the message has an `error:` and a `hint:` line."""


def main(root: Path, stamp: str) -> None:
    """Bring `root/.venv` to *stamp*; one at a time, and only if nobody did it while we waited."""
    state = root / ".runbook"
    state.mkdir(exist_ok=True)
    with (state / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written = root / ".venv" / ".stamp"
        python = root / ".venv" / "bin" / "python"
        if python.exists() and written.is_file() and written.read_text() == stamp:
            return
        _make(root, state / "venv.log")
        fresh = written.with_suffix(".new")
        fresh.write_text(stamp)
        fresh.replace(written)


def _make(root: Path, log: Path) -> None:
    log.write_text("")
    python = root / ".venv" / "bin" / "python"
    if not _works(python):
        _see_to_ensurepip(log)
        _run("making .venv", [sys.executable, "-m", "venv", "--clear", str(root / ".venv")], log)
    env = pip_environment(python)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    requirements = ["--require-hashes", "-r", str(root / "requirements.lock")]
    _run("installing the packages of requirements.lock into .venv", [*pip, *requirements], log, env)
    project = ["--no-deps", "--no-build-isolation", "-e", str(root)]
    _run("installing the project into .venv", [*pip, *project], log, env)


def _works(python: Path) -> bool:
    """Whether .venv's Python runs and has pip: its base may be upgraded away, its making interrupted."""
    try:
        done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _see_to_ensurepip(log: Path) -> None:
    """Debian keeps what `venv` needs in a package of its own."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failed(f"error: {sys.executable} has no ensurepip\nhint: install it: apt-get install {package}")
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    _run("reading package lists (apt-get)", [*apt, "update"], log)
    _run(f"installing {package} (apt-get)", [*apt, "install", "-y", "--no-install-recommends", package], log)


def _run(what: str, command: list[str], log: Path, env: Mapping[str, str] = os.environ) -> None:
    """Run *command* with its output in *log*, and say so on stderr from time to time."""
    print(f"runbook: {what}", file=sys.stderr, flush=True)
    env = {**env, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("a") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        spent_s = 0
        while (code := _code(process)) is None:
            spent_s += PROGRESS_EACH_S
            print(f"runbook: {what}: {spent_s} s", file=sys.stderr, flush=True)
    if code != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        raise Failed(f"{last}\nerror: {what} failed (exit {code})\nhint: the whole output is in {log}")


def _code(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(PROGRESS_EACH_S)
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except Failed as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("error: interrupted\nhint: run it again; it goes on where it was")
