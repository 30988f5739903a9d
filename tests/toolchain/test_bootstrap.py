"""bin/runbook on a checkout of its own: a project of one package, with setuptools as its only dependency."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
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
    (root / "infra").mkdir()
    for name in ("__init__.py", "pip_environment.py"):
        shutil.copy(ROOT / "infra" / name, root / "infra" / name)
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
        timeout=600,
    )


@pytest.mark.parametrize("argument", ["", "two words", "--flag=*", "$HOME"])
def test_arguments_arrive_as_they_were_given(checkout: Path, argument: str) -> None:
    """Nothing is split, expanded or dropped on the way, and nothing else is said."""
    done = start(checkout, "verb", argument)
    assert (done.stdout, done.stderr) == (f"ran verb {argument}\n", "")


def sourced(root: Path, command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run *command* in bash after the bootstrap, in *env*."""
    script = f'set -euo pipefail; here={shlex.quote(str(root))}; source "$here/bin/.bootstrap"; {command}'
    return subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_an_odd_folder_will_do(checkout: Path, tmp_path: Path) -> None:
    """With blanks, quotes, signs that mean something in a URL or a shell, and letters beyond ASCII."""
    odd = tmp_path / 'Größe 100% "it\'s" $HOME #1 \\n'
    shutil.copytree(checkout, odd, ignore=shutil.ignore_patterns(".venv"), symlinks=True)
    done = start(odd, "here")
    assert done.stdout == "ran here\n", done.stderr


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_folder_that_no_search_path_can_name_is_refused(checkout: Path, tmp_path: Path, name: str) -> None:
    """Whatever is put on PATH from there would not be found."""
    shutil.copytree(checkout / "bin", tmp_path / name / "bin")
    done = start(tmp_path / name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the checkout lies in '{tmp_path}/{name}'")
    assert "\nhint: " in done.stderr


def test_without_a_home_the_cache_is_the_checkouts(checkout: Path, tmp_path: Path) -> None:
    """Where the home folder is missing, or nothing can be written there; otherwise it is the user's."""
    path = {"PATH": os.environ["PATH"]}
    for env in (
        {},
        {"HOME": ""},
        {"HOME": "/proc"},
        {"HOME": f"{tmp_path}/none"},
        {"XDG_CACHE_HOME": "/proc/x"},
    ):
        done = sourced(checkout, 'echo "$XDG_CACHE_HOME"', {**path, **env})
        assert done.stdout == f"{checkout}/.runbook/cache\n", done.stderr
    assert not (tmp_path / "none").exists()
    done = sourced(checkout, 'echo "${XDG_CACHE_HOME:-none}"', {**path, "HOME": str(tmp_path)})
    assert done.stdout == "none\n"
    named = {"XDG_CACHE_HOME": f"{tmp_path}/a/b"}
    assert sourced(checkout, 'echo "$XDG_CACHE_HOME"', {**path, **named}).stdout == f"{tmp_path}/a/b\n"


@pytest.mark.parametrize("folder", ["/nowhere", "relative"])
def test_a_tmpdir_that_cannot_be_written_is_passed_over_aloud(checkout: Path, folder: str) -> None:
    """Every program would fail on it in words of its own."""
    done = sourced(checkout, 'echo "${TMPDIR:-none}"', {**os.environ, "TMPDIR": folder})
    assert done.stdout == "none\n"
    assert f"TMPDIR is '{folder}', where nothing can be written" in done.stderr


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
    """Between the command and Python lies little more than the reading of three files takes in any shell.

    By turns, and the quickest of ten each: the machine may be slow, and busy.
    """
    files = "requirements.lock pyproject.toml"
    reading = f'cd "{checkout}"; stamp=$(cat {files} | cksum); made_of=$(cat .venv/.stamp)'
    quickest = dict.fromkeys([f'source "{checkout}/bin/.bootstrap"', reading], float("inf"))
    for _ in range(10):
        for script in quickest:
            begin = time.monotonic()
            subprocess.run(["bash", "-c", f"set -euo pipefail; {script}"], check=True)
            quickest[script] = min(quickest[script], time.monotonic() - begin)
    ours_s, reading_s = quickest.values()
    assert ours_s < 2 * reading_s + 0.02


def test_a_changed_lock_file_is_installed_once_by_two_starts(checkout: Path) -> None:
    """Two commands started together after a change: one installs, both run."""
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write(locked("iniconfig"))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda number: start(checkout, str(number)), range(2)))
    assert [done.stdout for done in both] == ["ran 0\n", "ran 1\n"]
    assert sum(done.stderr.count("packages of requirements.lock") for done in both) == 1
    assert list(checkout.glob(".venv/lib/python*/site-packages/iniconfig"))


@pytest.fixture
def pulled(checkout: Path) -> Iterator[dict[str, str]]:
    """The checkout's lock file has another package since; where no package index answers."""
    lock = checkout / "requirements.lock"
    good = lock.read_text()
    lock.write_text(good + locked("pluggy"))
    yield {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}
    lock.write_text(good)


@pytest.mark.parametrize("verb", ["rollback", "watch", "lock", "releases", "outputs"])
def test_what_cannot_wait_goes_on_with_the_packages_that_are_there(
    checkout: Path, pulled: dict[str, str], verb: str
) -> None:
    """An emergency needs no package index, whatever was pulled; it is said."""
    done = start(checkout, verb, "--stack", "prod", env=pulled)
    assert done.stdout == f"ran {verb} --stack prod\n", done.stderr
    assert f"runbook: requirements.lock or pyproject.toml has changed: {verb} goes on with the" in done.stderr
    assert "installing" not in done.stderr


def test_what_can_wait_has_the_packages_of_the_lock_file(checkout: Path, pulled: dict[str, str]) -> None:
    """What deploys is what was locked; so is what cannot run without."""
    done = start(checkout, "up", env=pulled)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: installing the packages of requirements.lock into .venv failed" in done.stderr
    main = checkout / "runbook" / "__main__.py"
    good = main.read_text()
    main.write_text("import pluggy")
    try:
        assert "installing the packages" in start(checkout, "rollback", env=pulled).stderr
    finally:
        main.write_text(good)


def test_variables_for_another_python_are_not_for_us(checkout: Path, tmp_path: Path) -> None:
    """A command starts as ever, also where .venv has to be brought up to date first."""
    (tmp_path / "runbook.py").write_text("raise SystemExit('shadowed')")
    foreign = {"PYTHONHOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "error"}
    for name, value in foreign.items():
        done = start(checkout, name, env={**os.environ, name: value})
        assert done.stdout == f"ran {name}\n", done.stderr
    (checkout / ".venv" / ".stamp").unlink()
    done = start(checkout, "all", env={**os.environ, **foreign})
    assert done.stdout == "ran all\n", done.stderr


def test_an_encoding_that_does_not_exist_is_named(checkout: Path) -> None:
    """Python would not start, and say so in a language of its own."""
    done = start(checkout, env={**os.environ, "PYTHONIOENCODING": "of-another-system"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: PYTHONIOENCODING is 'of-another-system'")
    assert "Traceback" not in done.stderr
    assert start(checkout, "here", env={**os.environ, "PYTHONIOENCODING": "latin-1"}).returncode == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nowhere(checkout: Path, tmp_path: Path, closed: str) -> None:
    """A file that a command opens does not become its standard output."""
    program = f"f = open({str(tmp_path / 'file')!r}, 'w'); assert f.fileno() > 2; print('x'); f.write('done')"
    (checkout / "runbook" / "__main__.py").rename(tmp_path / "kept")
    try:
        (checkout / "runbook" / "__main__.py").write_text(program)
        subprocess.run(["bash", "-c", f'"$0" {closed}', checkout / "bin" / "runbook"], check=True, timeout=60)
    finally:
        (tmp_path / "kept").rename(checkout / "runbook" / "__main__.py")
    assert (tmp_path / "file").read_text() == "done"


def test_pip_settings_of_the_user_are_not_for_us(checkout: Path, tmp_path: Path) -> None:
    """Whatever a pip.conf or PIP_… wants of other projects, the packages are installed into .venv."""
    settings = tmp_path / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "[install]\nuser = true\nconstraint = /of/another/project.txt\nno-binary = :all:\n"
        f"[global]\nprefix = {tmp_path}/theirs\nrequire-virtualenv = true\n"
    )
    variables = {"PIP_TARGET": f"{tmp_path}/theirs", "PIP_REQUIREMENT": "/of/another/project.txt"}
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write(locked("mdurl"))
    done = start(checkout, "here", env={**os.environ, **variables, "HOME": str(tmp_path)})
    assert done.stdout == "ran here\n", done.stderr
    assert list(checkout.glob(".venv/lib/python*/site-packages/mdurl"))
    assert not (tmp_path / "theirs").exists()


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
