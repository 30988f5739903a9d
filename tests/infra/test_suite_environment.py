"""A suite's environment holds what Python, TLS, the locale and the Docker SDK need, and what it is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from infra.suite_environment import suite_environment
from infra.suite_run import run_suite
from infra.suites import suite_command

PRINT = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir()]))"

FOREIGN = {
    "PYTEST_ADDOPTS": "-m short",
    "PYTEST_PLUGINS": "theirs",
    "LOCUST_USERS": "5",
    "PULUMI_CONFIG_PASSPHRASE": "hunter2",
    "PYTHONPATH": "/theirs",
    "PYTHONWARNINGS": "error",
    "COV_CORE_SOURCE": "x",
    "COVERAGE_PROCESS_START": "x",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "*",
    "XDG_CONFIG_HOME": "/theirs",
    "NETRC": "/theirs",
    "WAHA_WEBHOOK_SECRET_FILE": "/of/another/stack",
}
NEEDED = {
    "PATH": "/usr/bin:/bin",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "Europe/Berlin",
    "SSL_CERT_FILE": "/etc/ssl/ours.pem",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/ours.pem",
    "DOCKER_HOST": "unix:///run/ours.sock",
}


def test_only_what_is_needed_is_inherited() -> None:
    """Nothing of another tool, no passphrase, no proxy; the secret is the one that was given."""
    with suite_environment({"WAHA_WEBHOOK_SECRET": "ours"}, {**FOREIGN, **NEEDED}) as environment:
        variables = environment.variables
    assert not FOREIGN.keys() & variables.keys()
    assert NEEDED.items() <= variables.items()
    assert variables["WAHA_WEBHOOK_SECRET"] == "ours"


def test_home_is_empty_and_gone_afterwards() -> None:
    """Nothing is there that tools read from a home or working folder, and the real home is not named."""
    with suite_environment({}, {"HOME": "/home/alice"}) as environment:
        assert list(environment.folder.iterdir()) == []
        assert environment.variables["HOME"] == str(environment.folder)
    assert not environment.folder.exists()


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        ({"HOME": "/home/alice"}, {"DOCKER_CONFIG": "/home/alice/.docker"}),
        ({"HOME": "/h", "DOCKER_CONFIG": "/d"}, {"DOCKER_CONFIG": "/d"}),
        ({"HOME": "/h", "DOCKER_TLS_VERIFY": "1"}, {"DOCKER_CERT_PATH": "/h/.docker"}),
        ({"HOME": "/h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}, {"DOCKER_CERT_PATH": "/c"}),
    ],
)
def test_the_engine_of_the_home_folder_is_found(caller: dict[str, str], told: dict[str, str]) -> None:
    """The Docker SDK reads contexts and certificates there: it is told where."""
    with suite_environment({}, caller) as environment:
        assert told.items() <= environment.variables.items()


def test_a_user_without_a_home_has_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user id that has no name, without HOME: then no folder is named."""

    def nobody(_uid: int) -> NoReturn:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with suite_environment({}, {"PATH": "/bin"}) as environment:
        assert "DOCKER_CONFIG" not in environment.variables
    with suite_environment({}, {"DOCKER_CONFIG": "/d"}) as environment:
        assert environment.variables["DOCKER_CONFIG"] == "/d"


def test_the_gate_runs_a_suite_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the suite itself sees it."""
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    run_suite("smoke", "r-1", [sys.executable, "-c", PRINT], tmp_path / "smoke.json", {"GIVEN": "yes"}, 30)
    variables, folder, files = json.loads((tmp_path / "smoke.log").read_text())
    assert not FOREIGN.keys() & variables.keys()
    assert variables["GIVEN"] == "yes"
    assert (variables["HOME"], files) == (folder, [])


def test_what_a_suite_prints_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever locale."""
    monkeypatch.setenv("LC_ALL", "C")
    command = [sys.executable, "-c", "print('\\u2192 \\udce9')"]
    run_suite("smoke", "r-1", command, tmp_path / "smoke.json", {}, 30)
    assert (tmp_path / "smoke.log").read_text(encoding="utf-8") == "\u2192 \\udce9\n"


def test_the_suites_settings_are_their_own(tmp_path: Path) -> None:
    """A pytest.ini or tox.ini in the checkout or above it is not looked for."""
    command = suite_command("smoke", "http://127.0.0.1:1", tmp_path / "r.json")
    settings = Path(command[command.index("--config-file") + 1])
    assert settings.is_file()
    assert (settings.name, settings.parent.name) == ("pytest.ini", "smoke")
