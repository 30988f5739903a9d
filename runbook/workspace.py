"""A stack, as the official CLI knows it: the seam between the verbs and Pulumi."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import docker
import requests
import yaml
from docker.errors import DockerException

from infra.deploy_request import DeployRequest
from infra.manifest import REPOSITORY
from infra.observed import stack_containers
from infra.stack_name import bare_name
from runbook.console import say
from runbook.errors import RunbookError
from runbook.operation import OnEvent, error_in, run_operation
from runbook.stop_request import request_stop
from runbook.toolchain.environment import file_backend, passphrase_hint, pulumi_environment
from runbook.toolchain.pulumi_cli import ensure_cli

_PULUMI_S_OWN = "the message is Pulumi's own; `bin/pulumi` is the CLI, set up for this project"
_NOT_THERE = "no stack named"
"""How the CLI says it."""


class Workspace:
    """One stack in the project's folder, by the CLI; which one is selected there stays as it is."""

    def __init__(self, stack: str, folder: Path = REPOSITORY, cli: Path | None = None) -> None:
        cli = cli or ensure_cli(say)
        self.stack = stack
        self._folder = folder
        self._env = pulumi_environment(stack, repository=folder)
        self._env["PATH"] = os.pathsep.join([str(cli.parent), self._env["PATH"]])
        os.environ.update(self._env)  # our own PATH has the CLI, and the CLI finds its plugins there

    @property
    def state_folder(self) -> Path | None:
        """Where a file backend keeps states and locks; None for a backend that is elsewhere."""
        folder = file_backend(self._env["PULUMI_BACKEND_URL"])
        return None if folder is None else self._folder / folder / ".pulumi"

    def exists(self) -> bool:
        """Whether the backend has the stack."""
        done = self._cli("stack", "--show-name")
        if done.returncode != 0 and _NOT_THERE in done.stderr:
            return False
        self._output(done, f"stack {self.stack!r} cannot be found")
        return True

    def create(self) -> None:
        """Make the stack."""
        self._ask(f"stack {self.stack!r} cannot be created", "stack", "init", "--no-select")

    def up(self, on_event: OnEvent, request: DeployRequest, targets: Sequence[str] = ()) -> None:
        """Run `pulumi up` as *request* says; only on the resources whose URN fits one of *targets*, if any.

        Raises:
            OperationFailed: the engine refused or failed; its events said why.
        """
        self._operate(["up", "--yes", "--skip-preview", *_only(targets)], on_event, request.as_env())

    def preview(self, on_event: OnEvent, request: DeployRequest | None = None) -> None:
        """Run `pulumi preview`; raises as `up` does."""
        self._operate(["preview"], on_event, (request or DeployRequest()).as_env())

    def refresh(self, on_event: OnEvent, targets: Sequence[str] = ()) -> None:
        """Take into the state what the engine has, of all or of *targets*; raises as `up` does."""
        self._operate(["refresh", "--yes", "--skip-preview", *_only(targets)], on_event)

    def destroy(self, on_event: OnEvent) -> None:
        """Delete all that the state knows; raises as `up` does."""
        self._operate(["destroy", "--yes", "--skip-preview"], on_event)

    def unprotect(self) -> None:
        """Let `destroy` delete what nothing else may."""
        what = f"what is protected in stack {self.stack!r} cannot be freed"
        self._ask(what, "state", "unprotect", "--all", "--yes")

    def remove(self) -> None:
        """Forget the stack and its configuration."""
        self._ask(f"stack {self.stack!r} cannot be removed", "stack", "rm", "--yes")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        what = f"the outputs of stack {self.stack!r} cannot be read"
        return dict(json.loads(self._ask(what, "stack", "output", "--json", "--show-secrets")))

    def export(self) -> dict[str, Any]:
        """The state's deployment: `resources`, `pending_operations`; secrets as they are encrypted."""
        return dict(json.loads(self._export()).get("deployment") or {})

    def deployment(self) -> dict[str, Any]:
        """As `export`; read from the file, where the state is one, to spare a run of the CLI.

        Raises:
            RunbookError: the state cannot be read.
        """
        root = self.state_folder
        file = root / "stacks/runbook" / f"{bare_name(self.stack)}.json" if root else None
        if file is None or not file.is_file():
            return self.export()
        try:
            checkpoint = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]
            return dict(checkpoint.get("latest") or {})
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise RunbookError(
                f"the state of stack {self.stack} is damaged: {file}: {error}",
                f"`{file}.bak` and {root}/backups hold earlier ones",
            ) from error

    def without_pending(self) -> None:
        """Drop the operations that the state says are still under way; refused while an update runs."""
        state = json.loads(self._export())
        state["deployment"]["pending_operations"] = []
        # On standard input: a file would stay if we were killed.
        what = f"the state of stack {self.stack!r} cannot be mended"
        self._ask(what, "stack", "import", stdin=json.dumps(state))

    def sort(self) -> None:
        """Put the state's resources in order, each after those that it needs."""
        self._ask(f"the state of stack {self.stack!r} cannot be repaired", "state", "repair", "--yes")

    def cancel(self) -> None:
        """Remove the stack's lock."""
        self._ask(f"the lock of stack {self.stack!r} cannot be removed", "cancel", "--yes")

    def get(self, key: str) -> str | None:
        """A value of the stack's configuration, decrypted; None where it is not set.

        Raises:
            RunbookError: it is set and cannot be read, by a wrong passphrase for example.
        """
        return self._config("get", key).removesuffix("\n") if self.is_set(key) else None

    def set(self, key: str, value: str, *, secret: bool = False, path: bool = False) -> None:
        """Set a value of the stack's configuration; through standard input, so no process list shows it."""
        flags = [*(["--secret"] if secret else []), *(["--path"] if path else [])]
        self._config("set", key, *flags, stdin=value)

    def is_set(self, key: str) -> bool:
        """Whether the stack's configuration file has a value for *key*, which may be a path with dots.

        It asks no CLI and decrypts nothing.
        """
        found: Any = configuration(self.stack, self._folder)
        for part in f"runbook:{key}".split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found is not None

    def unset(self, key: str) -> None:
        """Remove a value of the stack's configuration."""
        self._config("rm", key)

    def secrets(self) -> dict[str, dict[str, str]]:
        """The stack's secrets: `current` (name to value) and `retired` (keyed hash to value).

        Raises:
            RunbookError: they cannot be read, or are not what `bin/runbook secrets` writes.
        """
        try:
            kept = json.loads(self.get("secrets") or "{}")
            return {part: dict(kept.get(part) or {}) for part in ("current", "retired")}
        except (ValueError, AttributeError, TypeError):
            # Without the cause: its message could quote a value.
            raise RunbookError(
                f"the configuration `secrets` of stack {self.stack!r} is not what the runbook writes there",
                f"take {configuration_file(self.stack).name} from git, or from where it was last right",
            ) from None

    def keep_secrets(self, kept: dict[str, dict[str, str]]) -> None:
        """Write the stack's secrets back, encrypted."""
        self.set("secrets", json.dumps(kept, sort_keys=True), secret=True)

    def _operate(
        self, operation: list[str], on_event: OnEvent, more_env: Mapping[str, str] | None = None
    ) -> None:
        command = ["pulumi", "--non-interactive", *operation, "--stack", self.stack]
        env = {**self._env, **(more_env or {})}
        on_stop = partial(request_stop, self.stack) if operation[0] == "up" else None
        run_operation(command, self._folder, env, on_event, on_stop)

    def _config(self, action: str, key: str, *flags: str, stdin: str = "") -> str:
        what = f"`pulumi config {action} {key}` on stack {self.stack!r}"
        return self._ask(what, "config", action, key, *flags, stdin=stdin)

    def _export(self) -> str:
        return self._ask(f"the state of stack {self.stack!r} cannot be read", "stack", "export")

    def _ask(self, what: str, *command: str, stdin: str = "") -> str:
        """What the CLI prints; where it fails, *what* that means."""
        return self._output(self._cli(*command, stdin=stdin), what)

    def _output(self, done: subprocess.CompletedProcess[str], what: str) -> str:
        if done.returncode == 0:
            return done.stdout
        error = error_in(done.stderr)
        if _NOT_THERE in error:
            raise no_stack(self.stack)
        raise RunbookError(f"{what}: {error}", passphrase_hint(error) or _PULUMI_S_OWN)

    def _cli(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", *command, "--stack", self.stack],
            cwd=self._folder,
            env={**os.environ, **self._env},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )


def _only(targets: Sequence[str]) -> list[str]:
    """The options of an operation on the resources whose URN fits one of *targets* alone; none for all."""
    only = [part for target in targets for part in ("--target", target)]
    # One at a time: Pulumi writes what is not meant, and what that needs, in any order, and refuses a state
    # in which something comes before what it needs (v3.257, `generateSteps`: "untargeted").
    return [*only, "--parallel", "1"] if only else []


def open_workspace(stack: str) -> Workspace:
    """The workspace of a stack that exists.

    Raises:
        RunbookError: there is no such stack.
    """
    workspace = Workspace(stack)
    if not workspace.exists():
        raise no_stack(stack)
    return workspace


def configuration_file(stack: str, folder: Path = REPOSITORY) -> Path:
    """Where Pulumi keeps the stack's configuration."""
    return folder / f"Pulumi.{bare_name(stack)}.yaml"


def configuration(stack: str, folder: Path = REPOSITORY) -> dict[str, Any]:
    """What the stack's configuration file says, secrets encrypted; empty where there is none.

    Raises:
        RunbookError: it is not what Pulumi reads.
    """
    file = configuration_file(stack, folder)
    if not file.is_file():
        return {}
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return dict(read.get("config") or {})
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise RunbookError(f"{file.name} cannot be read: {error}", "mend it, or take it from git") from error


def elsewhere(stack: str) -> str:
    """What to do, in words, where the engine has a stack that is not in this checkout's state."""
    file = configuration_file(stack).name
    return f"its state is elsewhere: take it and {file} from git or from the checkout that deploys the stack"


def no_stack(stack: str) -> RunbookError:
    """That there is none of that name, with those that there are."""
    try:
        is_running = bool(stack_containers(stack, docker.from_env()))
    except (DockerException, requests.RequestException):  # the state may be elsewhere than the engine
        is_running = False
    if is_running:
        return RunbookError(
            f"there is no stack {stack!r} in this checkout's state, and this engine has containers of it",
            elsewhere(stack),
        )
    there = sorted(
        file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in REPOSITORY.glob("Pulumi.?*.yaml")
    )
    others = f"there are {', '.join(there)}; " if there else ""
    return RunbookError(f"there is no stack {stack!r}", f"{others}`bin/runbook up --stack {stack}` makes it")
