"""The stand-ins under the real CLI, with a program of five dynamic resources and a backend in a folder."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from runbook.toolchain.environment import PLUGINS, pulumi_environment
from runbook.toolchain.pulumi_cli import ensure_cli

PROJECT = f"""
name: tiny
runtime: python
main: program/
plugins:
  languages:
    - {{name: python, path: {PLUGINS}}}
  providers:
    - {{name: pulumi-python, path: {PLUGINS}}}
"""
PARTS = """
import os
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
from infra.errors import Refused

class PartProvider(ResourceProvider):
    def create(self, props):
        if os.environ.get("PART") == "refused":
            raise Refused("p95 4200 ms > 3000 ms over 1200 requests", "mend it")
        if os.environ.get("PART") == "broken":
            raise KeyError("nothing there")
        return CreateResult(f"part-{props['number']}", {**props})

class Part(Resource):
    def __init__(self, name, props, opts=None):
        super().__init__(PartProvider(), name, props, opts)
"""
PROGRAM = """
import pulumi
from tiny_parts import Part

before = []
for number in range(5):
    before = [Part(f"part-{number}", {"number": number}, pulumi.ResourceOptions(depends_on=before))]
pulumi.export("parts", 5)
"""

Pulumi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    """Run the CLI on a fresh stack of the tiny program; keywords are added to the environment."""
    (tmp_path / "program").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    (tmp_path / "tiny_parts.py").write_text(PARTS)
    (tmp_path / "program" / "__main__.py").write_text(PROGRAM)
    cli = ensure_cli(print)
    given = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PYTHONPATH": str(tmp_path),
    }

    def run(*arguments: str, **added: str) -> subprocess.CompletedProcess[str]:
        env = {**given, **pulumi_environment("dev", given), **added}
        command = [str(cli), *arguments, "--non-interactive"]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert run("stack", "init", "dev").returncode == 0
    return run


def up(pulumi: Pulumi, **added: str) -> subprocess.CompletedProcess[str]:
    """One `pulumi up` without a preview."""
    return pulumi("up", "--yes", "--skip-preview", **added)


@pytest.mark.integration
def test_a_program_is_deployed_and_then_left_alone(pulumi: Pulumi) -> None:
    """The first update makes all, the second nothing; neither warns about where its plugins are."""
    first, again = up(pulumi), up(pulumi)
    assert "+ 6 created" in first.stdout
    assert "6 unchanged" in again.stdout
    for done in (first, again):
        assert done.returncode == 0
        assert "warning" not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.integration
def test_a_refusal_of_a_provider_is_its_message(pulumi: Pulumi) -> None:
    """A dynamic provider that refuses fails the update in its own words, and is asked again by the next."""
    refused = up(pulumi, PART="refused")
    assert refused.returncode != 0
    assert "p95 4200 ms > 3000 ms over 1200 requests" in refused.stdout
    assert "hint: mend it" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "+ 5 created" in up(pulumi).stdout


@pytest.mark.integration
def test_a_mistake_in_a_provider_keeps_its_traceback(pulumi: Pulumi) -> None:
    """Whatever is no refusal is a defect, and shows where it happened."""
    broken = up(pulumi, PART="broken")
    assert broken.returncode != 0
    assert "Traceback" in broken.stdout
    assert "KeyError: 'nothing there'" in broken.stdout


@pytest.mark.integration
@pytest.mark.parametrize(
    ("program", "said", "traceback"),
    [
        ("def x(:", "SyntaxError", False),
        ("raise KeyError('nothing there')", "KeyError: 'nothing there'", True),
        ("from infra.errors import Refused; raise Refused('limit: -1 is below 0')", "limit: -1", False),
        ("import pulumi; raise pulumi.RunError('no such setting')", "error: no such setting", False),
        ("import sys; sys.exit(3)", "sys.exit(3)", False),
    ],
)
def test_a_failing_program_fails_the_update(
    pulumi: Pulumi, tmp_path: Path, program: str, said: str, traceback: bool
) -> None:
    """What stopped the program is a diagnostic; mistakes of the operator come without a traceback."""
    (tmp_path / "program" / "__main__.py").write_text(program)
    done = up(pulumi)
    assert done.returncode != 0
    assert done.stdout.count(said) >= 1
    assert ("Traceback" in done.stdout) is traceback
    assert "pulumi/automation/_server.py" not in done.stdout


@pytest.mark.integration
def test_the_cli_can_ask_about_the_project(pulumi: Pulumi) -> None:
    """`pulumi about` and `pulumi install` are answered by the language host."""
    about, install = pulumi("about"), pulumi("install")
    assert "language  python" in about.stdout
    assert "pulumi" in about.stdout.partition("Dependencies:")[2]
    assert install.returncode == 0


def test_the_official_language_host_beside_the_engine_is_taken(tmp_path: Path) -> None:
    """An official installation's own language host runs the program, not the stand-in."""
    engine, official = tmp_path / "pulumi", tmp_path / "pulumi-language-python"
    shutil.copy(Path(shutil.which("bash") or "").resolve(), engine)
    official.write_text('#!/bin/sh\necho "official $1"\n')
    official.chmod(0o755)
    script = f"{PLUGINS / 'pulumi-language-python'} 127.0.0.1:1; true"
    done = subprocess.run([engine, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "official 127.0.0.1:1\n"


def test_the_official_docker_plugin_is_taken_where_it_is_installed(tmp_path: Path) -> None:
    """The plugin of the pinned version in PULUMI_HOME serves docker resources, not ours."""
    folder = tmp_path / "plugins" / f"resource-docker-v{metadata.version('pulumi_docker')}"
    folder.mkdir(parents=True)
    official = folder / "pulumi-resource-docker"
    official.write_text('#!/bin/sh\necho "official $1"\n')
    official.chmod(0o755)
    done = subprocess.run(
        [PLUGINS / "pulumi-resource-docker", "127.0.0.1:1"],
        env={**os.environ, "PULUMI_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "official 127.0.0.1:1\n"


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """The process id of a language host whose engine was killed."""
    port = tmp_path / "port"
    script = f"{PLUGINS / 'pulumi-language-python'} > {port} & echo $!; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout is not None
            host = int(engine.stdout.readline())
            assert until(lambda: port.exists() and port.read_text().strip().isdigit()), "no host started"
        finally:
            engine.kill()
    yield host
    if alive(host):
        os.kill(host, signal.SIGKILL)


def alive(process: int) -> bool:
    """Whether *process* exists and has not ended; nobody may be there to reap it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], within_s: float = 60) -> bool:
    """Whether *condition* comes true in time."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_plugin_ends_with_its_engine(orphan: int) -> None:
    """A killed engine leaves no plugin behind."""
    assert until(lambda: not alive(orphan))
