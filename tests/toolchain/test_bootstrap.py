"""bin/runbook on a checkout of its own: a project of one package, with setuptools as its only dependency."""

import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[project]
name = "tiny"
version = "1"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
packages = ["runbook"]
"""


def locked(package: str) -> str:
    """The lines of our own lock file that pin *package*."""
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(rf"^{package}==.*\n(?:    --hash.*\n)+", lock, re.MULTILINE)
    assert found, package
    return found[0]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose .venv has been made once."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "bin", root / "bin")
    (root / "runbook").mkdir()
    (root / "runbook" / "__init__.py").touch()
    (root / "runbook" / "__main__.py").write_text("import sys; print('ran', *sys.argv[1:])")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "requirements.lock").write_text(locked("setuptools"))
    first = start(root, "first")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "ran first\n"
    assert "installing" in first.stderr
    return root


def start(root: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the checkout's bin/runbook."""
    return subprocess.run(
        [root / "bin" / "runbook", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("argument", ["", "two words", "--flag=*", "$HOME"])
def test_arguments_arrive_as_they_were_given(checkout: Path, argument: str) -> None:
    """Nothing is split, expanded or dropped on the way, and nothing else is said."""
    done = start(checkout, "verb", argument)
    assert (done.stdout, done.stderr) == (f"ran verb {argument}\n", "")


def test_any_folder_and_a_symlink_will_do(checkout: Path, tmp_path: Path) -> None:
    """The checkout is found from any folder and by any name; the modules there change nothing."""
    (tmp_path / "link").symlink_to(checkout / "bin" / "runbook")
    (tmp_path / "sys.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "runpy.py").write_text("raise SystemExit('shadowed')")
    done = subprocess.run(
        ["./link", "here"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("ran here\n", "")


def test_nothing_to_do_takes_no_time(checkout: Path) -> None:
    """Between the command and Python lie less than 50 ms (the quickest of ten; the machine may be busy)."""
    script = f'set -euo pipefail; source "{checkout}/bin/.bootstrap"'
    spent = []
    for _ in range(10):
        begin = time.monotonic()
        subprocess.run(["bash", "-c", script], check=True)
        spent.append(time.monotonic() - begin)
    assert min(spent) < 0.05


def test_a_changed_lock_file_is_installed_once_by_two_starts(checkout: Path) -> None:
    """Two commands started together after a change: one installs, both run."""
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write(locked("iniconfig"))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda number: start(checkout, str(number)), range(2)))
    assert [done.stdout for done in both] == ["ran 0\n", "ran 1\n"]
    assert sum(done.stderr.count("packages of requirements.lock") for done in both) == 1
    assert list(checkout.glob(".venv/lib/python*/site-packages/iniconfig"))


def test_a_wrong_hash_is_refused(checkout: Path) -> None:
    """A package that is not the one that was locked stops the command; it says so, and where the log is."""
    lock = checkout / "requirements.lock"
    good = lock.read_text()
    lock.write_text(good + "pluggy==1.6.0 --hash=sha256:" + "0" * 64 + "\n")
    try:
        done = start(checkout)
    finally:
        lock.write_text(good)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: installing the packages of requirements.lock into .venv failed" in done.stderr
    assert f"hint: the whole output is in {checkout}/.runbook/venv.log" in done.stderr
    assert "Traceback" not in done.stderr
    assert start(checkout, "after").stdout == "ran after\n"


def test_a_broken_environment_is_made_again(checkout: Path) -> None:
    """A .venv whose Python is gone, as after an upgrade of the system's, is replaced."""
    (checkout / ".venv" / "bin" / "python").unlink()
    again = start(checkout, "again")
    assert again.stdout == "ran again\n", again.stderr


def test_a_missing_python_is_named(checkout: Path, tmp_path: Path) -> None:
    """Without a Python that is new enough, the error says which is wanted and which was found."""
    fresh = tmp_path / "fresh"
    shutil.copytree(checkout, fresh, ignore=shutil.ignore_patterns(".venv"), symlinks=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "readlink", "cat", "cksum"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    (tools / "python3").write_text(
        '#!/bin/bash\nif [ "$1" = --version ]; then echo "Python 3.9.2"; else exit 1; fi'
    )
    (tools / "python3").chmod(0o755)
    done = start(fresh, env={"PATH": str(tools)})
    assert done.returncode == 1
    assert "error: Python 3.11 or newer is missing (python3 is Python 3.9.2)" in done.stderr
    assert "hint: " in done.stderr


def test_both_commands_share_the_bootstrap() -> None:
    """bin/pulumi differs from bin/runbook in the module that it runs, and in nothing else."""
    runbook, pulumi = ((ROOT / "bin" / name).read_text() for name in ("runbook", "pulumi"))
    assert runbook.replace("-m runbook ", "-m runbook.toolchain.pulumi_shell ") == pulumi


@pytest.mark.integration
def test_pulumi_is_the_cli_itself(tmp_path: Path) -> None:
    """`bin/pulumi version` is what the CLI says, from any folder."""
    done = subprocess.run(
        [ROOT / "bin" / "pulumi", "version"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"v3\.\d+\.\d+\n", done.stdout)
