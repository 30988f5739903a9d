"""A stack on an engine of its own, and outside of it a WAHA whose record of what was sent survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from docker.models.containers import Container
from instant_gate import InstantGate
from on_demand import FULL
from private_engine import GATEWAY, PrivateEngine
from project import CHECKOUT, Project
from sender import SentAccount
from waha_sender import WahaSender

from contracts.free_ports import free_ports
from infra.base_images import SERVING, Mode, ensure_all, resolve
from infra.containers import ContainerExec
from infra.images.engine import DockerImages
from infra.observed import stack_containers

WELL_WITHIN_S = 60 if FULL else 300
"""So long a stack may take, after whatever was done to it, until it is well again. On a machine that does
other things meanwhile, only that it comes to be well is asked."""

SETTLED_WITHIN_S = 600
"""What a killed worker held is looked at after its lease of 30 s; what failed, after its pause."""

_MAKE_SITE = (
    "from infra.manifest import REPOSITORY; from infra.python_site import ensure_site; "
    "ensure_site(REPOSITORY / 'service/requirements.lock')"
)


@dataclass
class PrivateStack:
    """The `project`'s stack on `engine`; its WAHA is at `waha_url`. Use it inside the engine."""

    engine: PrivateEngine
    project: Project
    waha_url: str
    secret: str

    def container(self, role: str) -> Container:
        """One of this role, which there is."""
        return next(each for each in self.containers() if each.labels["runbook.role"] == role)

    def containers(self) -> list[Container]:
        """Those that are to run, whether they do or not."""
        found = stack_containers(self.project.stack, self.engine.client)
        return [each for each in found if "runbook.role" in each.labels]

    def kill_first_process(self, *containers: Container) -> None:
        """SIGKILL to each one's first process, as the system does when its memory is full."""
        for pid in [_first_process(str(each.id)) for each in containers]:
            os.kill(pid, signal.SIGKILL)

    def redis(self, *command: str) -> str:
        """What `redis-cli` prints."""
        run = 'REDISCLI_AUTH="$(cat /conf/password)" exec redis-cli "$@"'
        redis = ContainerExec(self.container("redis").name or "", engine=self.engine.client)
        code, output = redis.run(["sh", "-c", run, "sh", *command])
        assert code == 0, output
        return output.strip()

    @contextmanager
    def messages(self, per_s: float = 10.0) -> Iterator[WahaSender]:
        """Messages come during the block; at its end each is answered once, or known to be unknown."""
        before = self.lane()
        with SentAccount(self.waha_url) as account:
            with self._sender(per_s) as sender:
                yield sender
            assert sender.given_up == {}
            settled = partial(self._is_settled, sender, account.counts, before)
            until(settled, "all are answered", SETTLED_WITHIN_S, lambda: f"{self.lane()}\n{self.states()}")
        twice = {each: count for each, count in account.counts.items() if count > 1}
        assert twice == {}, f"answered twice: {twice}"

    def states(self) -> str:
        """How each container is, and the last that it said."""
        return "\n".join(
            f"{each.name}: {each.status}, {each.attrs['RestartCount']} restarts: {each.logs(tail=3)!r}"
            for each in self.containers()
        )

    def lane(self) -> dict[str, Any]:
        """What `queue` says of the live lane."""
        done = self.project.runbook("queue", "show", "--json")
        assert done.returncode == 0, done.stderr
        return next(lane for lane in json.loads(done.stdout)["lanes"] if lane["lane"] == "live")

    def _is_settled(self, sender: WahaSender, counts: Counter[str], before: dict[str, Any]) -> bool:
        """Whether all that was accepted is answered, but for what was on its way when a worker was killed."""
        missing = {*sender.accepted} - counts.keys()
        if not missing:
            return True
        lane = self.lane()
        assert lane["dead"] == before["dead"], "messages were given up"
        return lane["depth"] == 0 and len(missing) <= lane["unknown"] - before["unknown"]

    def seconds_until_well(self) -> float:
        """How long it takes until health answers and a new message is answered; at most WELL_WITHIN_S."""
        began = time.monotonic()
        until(self._is_ready, "health answers 200", WELL_WITHIN_S, self.states)
        with SentAccount(self.waha_url) as account, self._sender(5) as sender:
            sender.wait_for_accepted(1, WELL_WITHIN_S - (time.monotonic() - began))
            first, left_s = sender.accepted[0], WELL_WITHIN_S - (time.monotonic() - began)
            until(lambda: first in account.counts, "a new message is answered", left_s, self.states)
            return time.monotonic() - began

    def _sender(self, per_s: float) -> WahaSender:
        return WahaSender(self.project.ports["port"], self.secret, per_s)

    def _is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            url = f"http://127.0.0.1:{self.project.ports['port']}/api/health"
            return httpx.get(url, trust_env=False, timeout=5).status_code == 200
        return False


def until(
    reached: Callable[[], bool], what: str, within_s: float, otherwise: Callable[[], str] = str
) -> None:
    """Until it is so; *otherwise* tells more of why it is not."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}\n{otherwise()}"
        time.sleep(0.2)


@contextmanager
def private_stack(root: Path, gate: Path, stack: str) -> Iterator[PrivateStack]:
    """A stack, made for the block in *root*; its gate, in *gate*, is instant."""
    images = [resolve(role, Mode.AUTO) for role in SERVING]
    ensure_all(images, print)
    project = Project.copy(root, stack)
    InstantGate(project, gate)
    # Packages come over the network, which the private engine has none of.
    subprocess.run(["bin/runbook", "--help"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([".venv/bin/python", "-c", _MAKE_SITE], cwd=root, check=True)
    with PrivateEngine(disk_mb=4000) as engine:
        engine.load(*(image.name for image in images), *_packages_images())
        with engine.inside(), _waha() as port:
            with (root / f"Pulumi.{stack}.yaml").open("a") as configuration:
                configuration.write(f"  runbook:env:\n    WAHA_API_URL: http://{GATEWAY}:{port}/waha\n")
            project.deploy()
            yield PrivateStack(engine, project, f"http://127.0.0.1:{port}", project.webhook_secret())


def _packages_images() -> list[str]:
    """The image that the release is built on, if the machine's engine has it: else it is built."""
    return DockerImages().names("runbook/packages")


@contextmanager
def _waha() -> Iterator[int]:
    """WAHA, on another machine as it were: a sandbox of its own on a port of the engine's network."""
    [port] = free_ports(1)
    environment = {**os.environ, "HOST": "0.0.0.0", "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"], cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), "WAHA's stand-in answers", 120)
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


def _first_process(container: str) -> int:
    """The number that the first process of *container* has outside of the engine's process namespace."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            of_container = container in Path(f"/proc/{process.pid}/cgroup").read_text()
            status = Path(f"/proc/{process.pid}/status").read_text()
            inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
            if of_container and inner == "1":
                return int(process.pid)
    raise AssertionError(f"container {container} has no process")
