"""Real deployments in any order, with interruptions anywhere: the proxy serves what has passed its gate.

A model of what should be so is held against a stack on an engine of its own, after each step. By default a
few chosen steps are made; `RUNBOOK_MODEL_STEPS=500` makes as many at random, `RUNBOOK_MODEL_SEED` others.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from abandoned import OURS
from docker.errors import APIError, NotFound
from instant_gate import InstantGate
from private_engine import PrivateEngine
from project import COMMAND_S, Project, environment, kill_tree
from repository import git

from infra.base_images import SERVING, Mode, ensure, resolve
from infra.history import History
from infra.live_route import LiveRoute
from infra.observed import Observed
from infra.proxy_control import ProxyControl
from infra.python_site import ensure_site
from infra.stack_name import prefix_of

pytestmark = [pytest.mark.stack, pytest.mark.own_engine]

STEPS = int(os.environ.get("RUNBOOK_MODEL_STEPS", "0"))
SEED = int(os.environ.get("RUNBOOK_MODEL_SEED", "2"))
STACK = f"{OURS}-model"

UP_MOMENTS = [
    *("image-r-", "secrets-r-", "worker-1-r-", "web-1-r-", "candidate", "gate: smoke", "gate: load", "trial"),
    *("gate-r-", "live", "ledger", "promoted-r-", "deleted"),
]
"""What `up` says when it has just done, or begun, something: then it is interrupted."""

ROLLBACK_MOMENTS = ["taking r-", "the traffic (", "updated live", "updated ledger"]
"""The same of `rollback`."""

WAYS = ["Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGHUP", "SIGKILL", "engine killed"]


class World:
    """The stack, its engine and its gate: made once for a run, whatever the machine does with them."""

    def __init__(self, engine: PrivateEngine, folder: Path) -> None:
        self.engine = engine
        self.project = Project.copy(folder / "project", STACK)
        self.gate = InstantGate(self.project, folder)
        self.steps: Counter[str] = Counter()
        # The engine's network leads nowhere: packages are installed before, from outside.
        subprocess.run(["bin/runbook", "--help"], cwd=self.project.root, check=True, capture_output=True)
        ensure_site(self.project.root / "service/requirements.lock")
        self.proxy = ProxyControl(f"{prefix_of(STACK)}-proxy", engine.client)
        with (self.project.root / f"Pulumi.{STACK}.yaml").open("a") as configuration:
            configuration.write("    web_replicas: 1\n")
        git(self.project.root, "init", "--quiet", "--initial-branch=main")
        # As a dev stack's own: `up` writes its secrets there.
        (self.project.root / ".git/info/exclude").write_text(f"Pulumi.{STACK}.yaml\n")
        self.commit("begin")

    def commit(self, subject: str) -> None:
        """Commit what the checkout holds."""
        git(self.project.root, "add", "--all")
        git(self.project.root, "commit", "--quiet", "--allow-empty", "-m", subject)

    def runbook(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`bin/runbook …` on the stack."""
        with self.engine.inside():
            return self.project.runbook(*arguments)

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`bin/pulumi …` on the stack."""
        with self.engine.inside():
            return self.project.pulumi(*arguments)

    def live(self) -> LiveRoute | None:
        """What the proxy serves."""
        return self.proxy.live_route()

    def answers(self) -> int:
        """The public frontend's status for its readiness, once it is 200 or five minutes have passed."""
        url = f"http://127.0.0.1:{self.project.ports['port']}/api/health/ready"
        deadline, status = time.monotonic() + 300, 0
        with self.engine.inside():
            while status != 200 and time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(url, timeout=5) as answer:
                        status = answer.status
                except OSError:
                    time.sleep(0.2)
        return status

    def state(self) -> dict[str, Any]:
        """The state's deployment."""
        done = self.pulumi("stack", "export")
        assert done.returncode == 0, done.stderr
        deployment: dict[str, Any] = json.loads(done.stdout)["deployment"]
        return deployment

    def outputs(self) -> dict[str, Any]:
        """The outputs as the state itself has them."""
        done = self.pulumi("stack", "output", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """An engine with the base images, and a project that is not deployed yet."""
    with ExitStack() as undo:
        images = [resolve(role, Mode.AUTO) for role in SERVING]
        for image in images:
            ensure(image, print)
        engine = undo.enter_context(PrivateEngine())
        engine.load(*(image.name for image in images))
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="runbook-model-")))
        yield World(engine, folder)


class Interrupted:
    """A verb, started and interrupted at a moment that its own words tell."""

    def __init__(self, world: World, verb: Sequence[str], moment: str, way: str, delay_s: float) -> None:
        command = ["bin/runbook", *verb, "--stack", STACK]
        with world.engine.inside():
            self._process = subprocess.Popen(
                command,
                cwd=world.project.root,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        self.said: list[str] = []
        is_there = threading.Event()
        reader = threading.Thread(target=self._read, args=(moment, is_there))
        reader.start()
        is_there.wait(COMMAND_S)
        time.sleep(delay_s)  # the moment at which it is interrupted, not a wait for something
        self.was_interrupted = self._process.poll() is None
        if self.was_interrupted:
            self._interrupt(way, world)
        self._process.wait(COMMAND_S)
        reader.join()
        if way == "engine killed" and self.was_interrupted:
            world.engine.start()

    def _read(self, moment: str, is_there: threading.Event) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line)
            if moment in line:
                is_there.set()
        is_there.set()

    def _interrupt(self, way: str, world: World) -> None:
        process = self._process
        if way == "SIGKILL":
            kill_tree(process.pid)
        elif way == "engine killed":
            world.engine.kill()
        elif way.startswith("Ctrl-C"):
            process.send_signal(signal.SIGINT)
            if way.endswith("twice"):
                time.sleep(0.3)  # a person's second key, not a wait for something
                process.send_signal(signal.SIGINT)
        else:
            process.send_signal(signal.Signals[way])


RULES: list[tuple[Callable[..., None], dict[str, Sequence[Any]]]] = []


def rule(**values: Sequence[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One of the steps; each argument is one of its *values*."""

    def add(step: Callable[..., None]) -> Callable[..., None]:
        RULES.append((step, values))
        return step

    return add


class Deployments:
    """`lives`: the releases that the proxy served, the latest last. `taken_out`: those rolled back since."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = itertools.count(1)
        self.lives: list[str] = []
        self.taken_out: set[str] = set()
        self.sources: dict[int, str] = {}
        self.removed: set[str] = set()
        """What was removed by hand of kept releases: the state hears of it from the next `up`."""

    def begin(self) -> None:
        """Deploy the first release."""
        done = self.deploy(0)
        assert done.returncode == 0, done.stderr

    def step(self, rule: Callable[..., None], values: dict[str, Any]) -> None:
        """What *rule* does, and what holds after each."""
        number = self.world.steps.total() + 1
        print(f"step {number}: {rule.__name__} {values}", flush=True)
        self.world.steps[rule.__name__] += 1
        rule(self, **values)
        self.serves_what_has_passed()

    def see(self) -> str:
        """Note what the proxy serves now."""
        found = self.world.live()
        assert found is not None
        if self.lives[-1:] != [found.release]:
            self.lives.append(found.release)
        return found.release

    def choose(self, number: int) -> None:
        """Make the sources those of release *number*."""
        file = self.world.project.root / f"Pulumi.{STACK}.yaml"
        configuration = yaml.safe_load(file.read_text())
        configuration["config"]["runbook:env"] = {"AI_TIMEOUT_S": str(10 + number)}
        file.write_text(yaml.safe_dump(configuration))
        self.world.commit(f"release {number}")

    def deploy(self, number: int, *options: str) -> subprocess.CompletedProcess[str]:
        """`up` of release *number*."""
        self.choose(number)
        before = self.world.live()
        done = self.world.runbook("up", "--no-watch", *options)
        print(f"up {number} {options}: {done.returncode} {done.stderr[-2000:]}")
        if done.returncode == 0:
            self.sources[number] = self.see()
            self.taken_out.discard(self.sources[number])
            self.removed.clear()
            self.agree()
        elif before:
            assert self.see() == before.release, done.stderr
        return done

    def agree(self) -> None:
        """After a verb: state, ledger, labels, workers and proxy say the same."""
        live, outputs, state = self.world.live(), self.world.outputs(), self.world.state()
        assert live is not None
        assert live.canary is None
        assert outputs["release"] == live.release
        record = next(each for each in reversed(outputs["releases"]) if not each.get("refusal"))
        assert (record["release"], record["move"]) == (live.release, live.moves[-1].id)
        resources = {each["urn"].rpartition("::")[2]: each for each in state["resources"]}
        assert not state.get("pending_operations")
        assert resources["live"]["outputs"]["release"] == live.release
        known = {
            each["id"]
            for each in state["resources"]
            if each["type"] == "docker:index/container:Container" and not each["urn"].endswith("-seed")
        }
        stack = {"label": f"runbook.stack={STACK}"}
        there = self.world.engine.client.containers.list(all=True, filters=stack, ignore_removed=True)
        # The seeds have done their work: who prunes them has lost nothing.
        runs = {str(each.id) for each in there if "runbook.role" in each.labels}
        assert runs == known - self.removed
        for release in outputs["kept"] if not self.removed else []:
            assert any(release in str(each.name) for each in there), f"{release} is not there"
        history = History.of(outputs, Observed(live, tuple(there)))
        # The record of a release may be forgotten before that of the one which took it out.
        assert self.taken_out & set(history.releases) <= set(history.rolled_back) <= self.taken_out
        assert history.disagreement is None

    @rule(number=range(6))
    def up(self, number: int) -> None:
        """A good release goes live, unless it was rolled back."""
        self.world.gate.refuse(False)
        is_out = self.sources.get(number) in self.taken_out
        done = self.deploy(number)
        assert done.returncode == int(is_out), done.stderr
        assert ("was rolled back" in done.stderr) is is_out

    @rule(number=range(6))
    def up_by_force(self, number: int) -> None:
        """One that was rolled back is deployed all the same."""
        self.world.gate.refuse(False)
        done = self.deploy(number, "--force")
        assert done.returncode == 0, done.stderr

    @rule(number=range(6, 10))
    def up_of_a_bad_release(self, number: int) -> None:
        """It never gets traffic."""
        self.world.gate.refuse(True)
        done = self.deploy(number, "--force")
        self.world.gate.refuse(False)
        assert done.returncode == 1
        assert "instant: fail" in done.stderr

    @rule(number=range(6))
    def plain_pulumi_up(self, number: int) -> None:
        """`bin/pulumi up` is a deployment, too."""
        self.world.gate.refuse(False)
        self.choose(number)
        done = self.world.pulumi("up", "--yes", "--skip-preview")
        print(f"pulumi up {number}: {done.returncode} {done.stdout[-2000:]}")
        live = self.see()
        if done.returncode == 0:
            self.sources[number] = live
            self.agree()
        else:
            # It clears up after nobody: only what was left behind may be in its way.
            assert self.sources.get(number) in self.taken_out or "hint:" in done.stdout + done.stderr

    @rule(
        number=range(6),
        moment=UP_MOMENTS,
        way=WAYS,
        delay_s=[0.0, 0.2, 0.6],
    )
    def up_that_is_interrupted(self, number: int, moment: str, way: str, delay_s: float) -> None:
        """Whatever it leaves, the proxy serves one release that has passed."""
        self.world.gate.refuse(False)
        self.choose(number)
        run = Interrupted(self.world, ["up", "--no-watch"], moment, way, delay_s)
        print(f"{way} at {moment}: {''.join(run.said)[-2000:]}")
        assert self.world.answers() == 200
        self.see()

    @rule()
    def rollback(self) -> None:
        """What serves is taken out, and the last good one serves."""
        before = self.world.live()
        assert before is not None
        out = (before.canary or before.to).release
        good = [each for each in reversed(self.lives) if each not in self.taken_out | {out}]
        if before.canary:  # of an update that was not finished: what is live stays
            good = [before.release]
        done = self.world.runbook("rollback", "--reason", "the model")
        print(f"rollback from {out}: {done.returncode} {done.stderr[-2000:]}")
        after = self.see()
        if done.returncode == 0:
            self.taken_out.add(out)
            self.taken_out.discard(after)
            assert after == good[0]
            self.agree()
        else:
            assert after == before.release
            assert not good or "its image" in done.stderr, done.stderr

    @rule(index=range(6))
    def rollback_to(self, index: int) -> None:
        """Any release that had the traffic can be named."""
        before = self.world.live()
        assert before is not None
        others = [each for each in dict.fromkeys(reversed(self.lives)) if each != before.release]
        if not others:
            return
        wanted = others[index % len(others)]
        done = self.world.runbook("rollback", wanted)
        print(f"rollback to {wanted}: {done.returncode} {done.stderr[-2000:]}")
        after = self.see()
        if done.returncode == 0:
            self.taken_out.add(before.release)
            self.taken_out.discard(wanted)
            assert after == wanted
            self.agree()
        else:
            assert after == before.release
            assert "its image" in done.stderr or "is not known" in done.stderr, done.stderr

    @rule(
        moment=ROLLBACK_MOMENTS,
        way=WAYS,
        delay_s=[0.0, 0.2, 0.6],
    )
    def rollback_that_is_interrupted(self, moment: str, way: str, delay_s: float) -> None:
        """It has moved the traffic to a good release, or has not."""
        before = self.world.live()
        assert before is not None
        out = (before.canary or before.to).release
        good = [each for each in reversed(self.lives) if each not in self.taken_out | {out}]
        if before.canary:
            good = [before.release]
        run = Interrupted(self.world, ["rollback"], moment, way, delay_s)
        print(f"rollback, {way} at {moment}: {''.join(run.said)[-2000:]}")
        assert self.world.answers() == 200
        found = self.world.live()
        assert found is not None
        if found.moves[-1] != before.moves[-1]:
            assert found.release == good[0]
            self.taken_out.add(out)
            self.taken_out.discard(found.release)
        self.see()

    @rule(number=range(6))
    def hotfix(self, number: int) -> None:
        """From the commit that is live, whatever happened since it went live."""
        self.world.gate.refuse(False)
        live, root = self.see(), self.world.project.root
        name = f"fix-{next(self.numbers)}"
        begun = self.world.runbook("hotfix", name)
        print(f"hotfix: {begun.returncode} {begun.stderr[-2000:]}")
        assert begun.returncode == 0, begun.stderr
        assert self.see() == live
        is_out = self.sources.get(number) in self.taken_out
        self.choose(number)
        done = self.world.runbook("hotfix", name)
        print(f"hotfix again: {done.returncode} {done.stderr[-2000:]}")
        if done.returncode == 0:
            self.sources[number] = self.see()
            self.agree()
        else:
            assert is_out, done.stderr
            assert "was rolled back" in done.stderr
            assert self.see() == live
        git(root, "switch", "--quiet", "main")

    @rule(index=range(41), number=range(6))
    def remove_what_serves(self, index: int, number: int) -> None:
        """Any container at all, by hand: `up` brings back whatever it was."""
        found = self.world.engine.client.containers.list(all=True, ignore_removed=True)
        removed = sorted(found, key=lambda each: str(each.name))[index % len(found)]
        print(f"removed {removed.name}")
        removed.remove(force=True)
        self.world.gate.refuse(False)
        done = self.deploy(number, "--force")
        assert done.returncode == 0, done.stderr

    @rule()
    def watch(self) -> None:
        """A release that does well stays."""
        before = self.see()
        done = self.world.runbook("watch", "--minutes", "0.1")
        print(f"watch: {done.returncode} {done.stderr[-2000:]}")
        assert done.returncode == 0, done.stderr
        assert self.see() == before

    @rule()
    def look(self) -> None:
        """Verbs that only look change nothing, and go by the proxy."""
        live = self.see()
        containers = self.world.engine.client.containers.list(all=True, ignore_removed=True)
        preview = self.world.runbook("preview")
        shown = self.world.runbook("outputs", "--json")
        assert json.loads(shown.stdout)["release"] == live, shown.stderr
        listed = self.world.runbook("releases", "--json")
        rows = json.loads(listed.stdout)
        assert [row["release"] for row in rows if row["state"] == "live"] == [live]
        assert {row["release"] for row in rows if row["state"] == "rolled back"} <= self.taken_out
        assert preview.returncode in (0, 1), preview.stderr
        after = self.world.engine.client.containers.list(all=True, ignore_removed=True)
        assert {each.id for each in after} == {each.id for each in containers}

    @rule()
    def fresh_checkout(self) -> None:
        """Another runner has the sources and the state; no reports, no build contexts."""
        shutil.rmtree(self.world.project.root / ".build", ignore_errors=True)

    @rule(way=["kill", "restart"])
    def engine_goes_away(self, way: str) -> None:
        """Power cut, or an upgrade of the engine: all comes back by itself."""
        before = self.see()
        if way == "kill":
            self.world.engine.kill()
            self.world.engine.start()
        else:
            self.world.engine.restart()
        assert self.world.answers() == 200
        assert self.see() == before

    @rule(index=range(21))
    def remove_a_container_by_hand(self, index: int) -> None:
        """Any but those of the live release and what it stands on: the next `up` makes it again."""
        live = self.see()
        found = self.world.engine.client.containers.list(filters={"label": "runbook.release"})
        others = [each for each in found if each.labels["runbook.release"] != live]
        if others:
            removed = others[index % len(others)]
            self.removed.add(str(removed.id))
            with suppress(NotFound):
                removed.remove(force=True)

    @rule(index=range(21))
    def remove_an_image(self, index: int) -> None:
        """`docker image prune`: what can be built again is, what cannot is said."""
        live = self.see()
        names = [
            name for image in self.world.engine.client.images.list("runbook/service") for name in image.tags
        ]
        others = sorted(name for name in names if live not in name)
        if others:
            with suppress(APIError):  # a container uses it
                self.world.engine.client.images.remove(others[index % len(others)])

    def serves_what_has_passed(self) -> None:
        """Always."""
        assert self.see() in self.world.gate.passed()
        assert self.world.answers() == 200


SHORT_FORM: list[tuple[Callable[..., None], dict[str, Any]]] = [
    (Deployments.up_of_a_bad_release, {"number": 6}),
    (
        Deployments.up_that_is_interrupted,
        {"number": 1, "moment": "updated live", "way": "Ctrl-C", "delay_s": 0.0},
    ),
    (Deployments.rollback, {}),
    (
        Deployments.up_that_is_interrupted,
        {"number": 2, "moment": "candidate", "way": "SIGKILL", "delay_s": 0.2},
    ),
    (Deployments.fresh_checkout, {}),
    (Deployments.up, {"number": 2}),
    (
        Deployments.rollback_that_is_interrupted,
        {"moment": "the traffic (", "way": "SIGTERM", "delay_s": 0.0},
    ),
    (Deployments.plain_pulumi_up, {"number": 4}),
    (Deployments.hotfix, {"number": 5}),
    (Deployments.remove_a_container_by_hand, {"index": 0}),
    (Deployments.rollback_to, {"index": -1}),
]
"""Interrupted where the traffic moves, and what comes next."""


def random_steps(choose: random.Random) -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """Any of the rules, with any of its values."""
    for _ in range(STEPS):
        step, values = choose.choice(RULES)
        yield step, {name: choose.choice(each) for name, each in values.items()}


def test_the_proxy_serves_what_has_passed_whatever_happens(world: World) -> None:
    """See the rules; what they find is in docs/resilience.md."""
    faulthandler.cancel_dump_traceback_later()  # an hour is no hang here; each command has its limit
    print(f"RUNBOOK_MODEL_STEPS={STEPS} RUNBOOK_MODEL_SEED={SEED}")
    deployments = Deployments(world)
    deployments.begin()
    for step, values in random_steps(random.Random(SEED)) if STEPS else SHORT_FORM:
        deployments.step(step, values)
    print(f"{world.steps.total()} steps: {dict(world.steps)}")
