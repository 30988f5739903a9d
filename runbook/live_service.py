"""The running service, asked in its own words: `python3 -m service …` in a worker's container.

Redis publishes no port, and the release's own code knows how its data lies. The command's arguments go to the
engine as a list: nothing of them is read by a shell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import docker
from docker.errors import NotFound

from infra.containers import ContainerExec
from infra.errors import Refused
from infra.observed import RELEASE_LABEL, ROLE_LABEL, stack_containers, start_command
from infra.proxy_control import ProxyControl
from infra.stack_name import prefix_of
from runbook.console import say
from runbook.errors import RunbookError

_USAGE = 2


class Runs(Protocol):
    """A container that commands can be run in, as `ContainerExec` is."""

    name: str

    def run(self, command: list[str]) -> tuple[int, str]:
        """The exit code and all that was printed."""


@dataclass(frozen=True)
class Service:
    """A running service. `releases`: all of which a worker runs, as during an update."""

    worker: Runs
    releases: tuple[str, ...]

    def ask(self, noun: str, verb: str, *options: str, about: Sequence[str] = ()) -> dict[str, Any]:
        """The answer to `python3 -m service NOUN VERB OPTIONS -- ABOUT`.

        Raises:
            RunbookError: the service refused, or gave no answer.
        """
        words = [noun, verb, "--json", *options, *(["--", *about] if about else [])]
        try:
            code, output = self.worker.run(["python3", "-m", "service", *words])
        except Refused as error:
            raise RunbookError(
                error.message, error.hint or "it may just have been replaced: run the same command again"
            ) from error
        return _answer(self.worker.name, f"{noun} {verb}", code, output)


def live_service(
    stack: str,
    engine: docker.DockerClient | None = None,
    open_container: Callable[[str], Runs] = ContainerExec,
) -> Service:
    """The live release's service in *stack*; where neither proxy nor route tell which that is, another's.

    Raises:
        RunbookError: Redis does not run, or no worker, or none answers.
    """
    engine = engine or docker.from_env()
    _refuse_without_redis(stack, engine)
    workers = _workers(stack, engine)
    services = {name: Service(open_container(worker), tuple(workers)) for name, worker in workers.items()}
    if not services:
        raise RunbookError(
            f"no worker of stack {stack} runs", _remedy(stack, live_in_route(stack, engine), engine)
        )
    if len(services) == 1:
        return next(iter(services.values()))
    answering, live = _first_answer(list(services.values()))
    live = live or live_in_route(stack, engine)
    if live is None:
        # All of them see the same Redis.
        say(f"which release of stack {stack} is live is not known: {answering.worker.name} is asked")
        return answering
    if live not in services:
        raise RunbookError(
            f"no worker of the live release ({live}) of stack {stack} runs, "
            f"only those of {', '.join(services)}",
            _remedy(stack, live, engine),
        )
    return services[live]


def _refuse_without_redis(stack: str, engine: docker.DockerClient) -> None:
    """No service answers without it. One that is gone altogether the service tells of."""
    try:
        redis = engine.containers.get(f"{prefix_of(stack)}-redis")
    except NotFound:
        return
    if redis.status != "running":
        raise RunbookError(
            f"Redis of stack {stack} does not run: {redis.name} is {redis.status}",
            f"`{start_command(redis)}`, then run the same command again",
        )


def _remedy(stack: str, live: str | None, engine: docker.DockerClient) -> str:
    """How a worker of the release that is *live* runs again."""
    if live is None:
        return f"`bin/runbook up --stack {stack}` makes them"
    workers = {RELEASE_LABEL: live, ROLE_LABEL: "worker"}.items()
    there = [
        each.name
        for each in stack_containers(stack, engine)
        if workers <= each.labels.items() and each.status not in ("running", "paused")
    ]
    if there:
        return f"`docker start {' '.join(sorted(map(str, there)))}`"
    return (
        f"`bin/runbook up --stack {stack}` makes them again: it deploys what is checked out, so first check "
        "out the commit that `bin/runbook releases` shows as live"
    )


def live_in_route(stack: str, engine: docker.DockerClient | None = None) -> str | None:
    """The live release by the file of the route, which a stopped proxy has, too; None without one."""
    try:
        route = ProxyControl(f"{prefix_of(stack)}-proxy", engine).live_route()
    except Refused:
        return None
    return route.release if route else None


def _workers(stack: str, engine: docker.DockerClient) -> dict[str, str]:
    """By release, the name of one of its workers that runs."""
    found = stack_containers(stack, engine, stopped=False)
    return {
        container.labels.get(RELEASE_LABEL, ""): str(container.name)
        for container in sorted(found, key=lambda container: str(container.name))
        if container.labels.get(ROLE_LABEL) == "worker"
    }


def _first_answer(services: Sequence[Service]) -> tuple[Service, str | None]:
    """One that answers, and the live release as it knows it: None where the proxy does not tell it.

    A release that is not live may well be one that does not work.
    """
    for service in services[:-1]:
        try:
            return service, _live_according_to(service)
        except RunbookError:
            continue
    return services[-1], _live_according_to(services[-1])


def _live_according_to(service: Service) -> str | None:
    live: str | None = service.ask("queue", "show")["live_release"]
    return live


def _answer(container: str, command: str, code: int, output: str) -> dict[str, Any]:
    """The JSON object on the last line; what stands above it are warnings of libraries."""
    last = output.strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        answer = None
    if code == 0 and isinstance(answer, dict):
        return answer
    if isinstance(answer, dict) and "error" in answer:
        raise RunbookError(str(answer["error"]), str(answer.get("hint", "")))
    if code == _USAGE:
        raise RunbookError(
            f"the release in {container} does not take `{command}` so: {last}",
            "a release that is older than this command cannot be asked: `bin/runbook up` deploys a new one",
        )
    # Not the output itself: the end of a traceback may quote a message.
    raise RunbookError(
        f"`{command}` in {container} ended with exit code {code} and no answer",
        f"was it being stopped? run the same command again; `docker logs {container}` may say more",
    )
