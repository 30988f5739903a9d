"""A copy of this checkout, with a stack of its own, for tests that edit sources, deploy, break and kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil

from contracts.free_ports import free_ports

COMMAND_S = 900
"""No limit for what works, on the slowest machine: a command that hangs ends here."""
CHECKOUT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Project:
    """The copy at `root` and its stack. Commands are what a person would type there.

    `is_untouched`: since it was deployed there were only tests that look. `is_monitored`: it has monitors,
    which most tests do without.
    """

    root: Path
    stack: str
    ports: dict[str, int] = field(default_factory=dict)
    is_untouched: bool = False
    is_monitored: bool = False

    @classmethod
    def copy(cls, root: Path, stack: str, *, is_monitored: bool = False) -> Project:
        """A copy of what git knows or would add, as it is now; ports that nobody uses."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, root / name)
        _copy_environment(root)
        names = ["port", "candidate_port", "baseline_port", "sandbox_port"]
        names += ["monitoring_port", "log_port"] if is_monitored else []
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        project = cls(root, stack, ports, is_monitored=is_monitored)
        project.configure()
        return project

    def configure(self) -> None:
        """Write the stack's first configuration: its ports."""
        layout = "".join(f"    {name}: {number}\n" for name, number in self.ports.items())
        monitors = f"    monitoring: {str(self.is_monitored).lower()}\n"
        file = self.root / f"Pulumi.{self.stack}.yaml"
        file.write_text(f"config:\n  runbook:layout:\n    sandbox: true\n{monitors}{layout}")

    def runbook(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`bin/runbook …` on the project's stack, to its end."""
        return self._run(["bin/runbook", *arguments, "--stack", self.stack], stdin)

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`bin/pulumi …` on the project's stack, to its end."""
        return self._run(["bin/pulumi", *arguments, "--stack", self.stack], "")

    def webhook_secret(self) -> str:
        """The secret that the stack's webhooks are signed with."""
        done = self.runbook("secrets", "get", "WAHA_WEBHOOK_SECRET")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def leftovers(self) -> list[str]:
        """Names of the containers, networks and volumes of the stack that the engine has."""
        engine = docker.from_env()
        label = {"label": f"runbook.stack={self.stack}"}
        containers = engine.containers.list(all=True, filters=label, ignore_removed=True)
        return [
            *(str(container.name) for container in containers),
            *(str(network.name) for network in engine.networks.list(filters=label)),
            *(str(volume.name) for volume in engine.volumes.list(filters=label)),
        ]

    def outputs(self) -> dict[str, Any]:
        """What `bin/runbook outputs --json` prints."""
        done = self.runbook("outputs", "--json")
        assert done.returncode == 0, done.stderr
        outputs: dict[str, Any] = json.loads(done.stdout)
        return outputs

    def deploy(self, *options: str) -> str:
        """Run `up` with *options*, which must succeed; the id of the release that is live now."""
        done = self.runbook("up", "--json", *options)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["release"])

    def append(self, file: str, text: str) -> None:
        """Add lines at the end of a source file."""
        with (self.root / file).open("a") as source:
            source.write(text)

    def change(self, file: str, changes: Mapping[str, str]) -> None:
        """Replace texts of a source file, each of which it has to have."""
        text = (self.root / file).read_text()
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        (self.root / file).write_text(text)

    @contextmanager
    def broken(self, file: str, code: str) -> Iterator[None]:
        """A source file with *code* at its end, for the length of a block."""
        whole = (self.root / file).read_text()
        self.append(file, code)
        try:
            yield
        finally:
            (self.root / file).write_text(whole)

    def kill_up_after(self, seconds: float) -> bool:
        """Start `up`, SIGKILL it with all its descendants after *seconds*; False if it had ended by then."""
        process = subprocess.Popen(
            ["bin/runbook", "up", "--stack", self.stack],
            cwd=self.root,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(seconds)  # the moment at which it is killed, not a wait for something
        if process.poll() is not None:
            return False
        kill_tree(process.pid)
        process.wait()
        return True

    def _run(self, command: list[str], stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )


def _copy_environment(root: Path) -> None:
    """The checkout's `.venv`, for the copy at *root*: installing the packages again takes minutes."""
    made, copy = CHECKOUT / ".venv", root / ".venv"
    if not (made / ".stamp").is_file():
        return  # the tests run in another environment: `bin/runbook` makes the copy's own
    shutil.copytree(made, copy, symlinks=True, copy_function=_link)
    for name in (
        ".stamp",
        *(str(file.relative_to(made)) for file in made.glob("lib/*/site-packages/__editable__*.p*")),
    ):
        (copy / name).unlink()
        (copy / name).write_text((made / name).read_text(encoding="utf-8").replace(str(CHECKOUT), str(root)))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def moved_s(said: str) -> float:
    """How long the live traffic took to move, in seconds, as a verb *said*."""
    found = re.search(r"updated live \((.+) s\)", said)
    assert found is not None, said
    return float(found[1])


def environment() -> dict[str, str]:
    """The caller's, without what would choose another stack, state or secret."""
    chosen = ("PULUMI_", "RUNBOOK_", "WAHA_", "VIRTUAL_ENV", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(chosen)}


def kill_tree(pid: int) -> None:
    """SIGKILL a process and all its descendants, those first stopped so that none can start another."""
    top = psutil.Process(pid)
    top.send_signal(signal.SIGSTOP)
    found = [top, *top.children(recursive=True)]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
