"""A stack's containers that restart for ever, ended, are paused or gone: started, or to be made anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from infra.containers import ContainerExec
from infra.errors import Refused
from infra.observed import age_s, stack_containers
from runbook.console import say
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.progress import Progress
from runbook.workspace import Workspace

_SETTLE_S = 3.0
"""What ended once runs again after so long; what restarts for ever does not, or has ended again."""

_YOUNG_S = 10
"""The engine forgets how often a container restarted once it has run for so long."""

_LAST_LINES = 5
_STANDS = ("exited", "dead", "created", "paused")


@dataclass(frozen=True)
class Failure:
    """A container that does not stay up: how it ended, and the last lines that it wrote."""

    container: Container
    how: str
    said: str

    def __str__(self) -> str:
        """As an operator reads it."""
        return f"{self.container.name} {self.how}; it said last:{self.said or ' nothing'}"


def repair(
    workspace: Workspace,
    engine: docker.DockerClient | None = None,
    sleep: Callable[[float], None] = time.sleep,
    rehearse: Callable[[], None] = lambda: None,
) -> bool:
    """See that what the state has of the stack stays up. What does not is shown, and removed from both.

    *rehearse* is called before that, and raises where the update that is to make it anew would be refused.

    Other containers of the stack are left as they are: another checkout's may have been stopped on purpose.
    The next update makes it anew, on the same volumes, as it does with what is gone: an update that counted
    on it would end where it needs it. Whether the state was compared with the engine for that.

    Raises:
        RunbookError: the state could not be compared with the engine afterwards.
    """
    engine = engine or docker.from_env()
    say_cut_ends(workspace.stack, engine)
    deployment = workspace.deployment()
    known = {resource.get("id") for resource in deployment.get("resources") or []}
    ours = [each for each in stack_containers(workspace.stack, engine) if each.id in known]
    removed = failures(ours, sleep)
    if gone := gone_containers(deployment, stack_containers(workspace.stack, engine)):
        say(f"gone from the engine: {', '.join(gone)}: comparing the state with it")
    for failure in removed:
        say(f"{failure}\n  this update makes another")
    if removed:
        rehearse()
    for failure in removed:
        try:
            failure.container.remove(force=True)
        except NotFound:
            continue
    is_behind = bool(removed or gone)
    if is_behind:
        _refresh(workspace)
    return is_behind


def gone_containers(deployment: Mapping[str, Any], there: Iterable[Container]) -> list[str]:
    """Names of the containers that a state has, and that are not *there*: an update would make none of them.

    Those that have only carried files into volumes have done their work.
    """
    ids = {each.id for each in there}
    names = (
        resource["urn"].rpartition("::")[2]
        for resource in deployment.get("resources") or []
        if resource.get("type") == "docker:index/container:Container" and resource.get("id") not in ids
    )
    return sorted(name for name in names if not name.endswith("-seed"))


def say_cut_ends(stack: str, engine: docker.DockerClient) -> None:
    """Say what Redis has cut off its append-only file (`infra/redis_start.sh`), until that is removed."""
    for redis in stack_containers(stack, engine, stopped=False):
        if redis.labels.get("runbook.role") != "redis":
            continue
        try:
            code, output = ContainerExec(str(redis.name)).run(["ls", "/data/damaged"])
        except Refused:  # it does not run just now
            continue
        if code == 0 and (names := output.split()):
            say(
                f"Redis has cut a damaged end off its append-only file, nothing that it had answered for: "
                f"{', '.join(names)}. Look at it, then `docker exec {redis.name} rm -r /data/damaged`"
            )


def failures(containers: Iterable[Container], sleep: Callable[[float], None] = time.sleep) -> list[Failure]:
    """Which of *containers* do not stay up, after those that had ended or were paused were started again."""
    # Those without a role only carry files into volumes, and never run.
    found = [each for each in containers if "runbook.role" in each.labels]
    suspects = [each for each in found if each.status != "running" or _started_again_just_now(each)]
    if not suspects:
        return []
    restarts = {each.id: _restarts(each) for each in suspects}
    for each in suspects:
        if each.status in _STANDS:
            _start(each)
    sleep(_SETTLE_S)
    return [failure for each in suspects if (failure := _failure(each, restarts[each.id])) is not None]


def say_failing(
    stack: str, engine: docker.DockerClient | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Say which of the stack's containers restart for ever; a release that is live may do without some."""
    found = stack_containers(stack, engine or docker.from_env())
    looping = [each for each in found if each.status == "restarting" or _started_again_just_now(each)]
    for failure in failures(looping, sleep):
        say(f"warning: {failure}")


def _started_again_just_now(container: Container) -> bool:
    """A container that restarts for ever may run at the moment of a look."""
    return _restarts(container) > 0 and age_s(container) < _YOUNG_S


def _start(container: Container) -> None:
    was_paused = container.status == "paused"
    try:
        if was_paused:
            container.unpause()
        else:
            container.start()
    except APIError as error:
        say(f"{container.name} cannot be started: {error.explanation}")
        return
    code = container.attrs["State"]["ExitCode"]
    how = "was paused: it goes on" if was_paused else f"had ended (exit code {code}): started again"
    say(f"{container.name} {how}")


def _failure(container: Container, restarts_before: int) -> Failure | None:
    try:
        container.reload()
        restarts = _restarts(container)
        if container.status == "running" and restarts == restarts_before:
            return None
        said = container.logs(tail=_LAST_LINES).decode(errors="replace")
    except NotFound:  # somebody else has removed it
        return None
    state = container.attrs["State"]
    why = f"exit code {state['ExitCode']}{', out of memory' if state['OOMKilled'] else ''}"
    how = f"restarts for ever ({restarts} times so far, {why})" if restarts else f"does not stay up ({why})"
    return Failure(container, how, "".join(f"\n    {line}" for line in said.splitlines()))


def _restarts(container: Container) -> int:
    return int(container.attrs["RestartCount"])


def _refresh(workspace: Workspace) -> None:
    with Progress() as progress:
        try:
            workspace.refresh(progress)
        except OperationFailed as error:
            raise RunbookError(
                progress.why or str(error), "mend the cause and run the same command again"
            ) from error
