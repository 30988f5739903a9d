"""A stack, as the official CLI knows it: the seam between the verbs and Pulumi."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import yaml
from pulumi.automation import CommandError, Deployment, LocalWorkspace, Stack, StackNotFoundError

from infra.manifest import REPOSITORY
from runbook.console import say
from runbook.errors import RunbookError
from runbook.operation import OnEvent, run_operation
from runbook.toolchain.environment import pulumi_environment
from runbook.toolchain.pulumi_cli import ensure_cli


class Workspace:
    """One stack in the project's folder, driven through the Automation API."""

    def __init__(self, stack: str) -> None:
        cli = ensure_cli(say)
        self.stack = stack
        self._env = pulumi_environment(stack)
        self._env["PATH"] = os.pathsep.join([str(cli.parent), self._env["PATH"]])
        os.environ.update(self._env)  # the Automation API finds the CLI, and it its plugins, on our own PATH
        self._local = LocalWorkspace(work_dir=str(REPOSITORY), env_vars=self._env)
        self._selected: Stack | None = None

    def exists(self) -> bool:
        """Select the stack if the backend has it."""
        try:
            self._selected = Stack.select(self.stack, self._local)
        except StackNotFoundError:
            return False
        except CommandError as error:
            raise _failed(error, f"stack {self.stack!r} cannot be selected") from error
        return True

    def create(self) -> None:
        """Make the stack."""
        try:
            self._selected = Stack.create(self.stack, self._local)
        except CommandError as error:
            raise _failed(error, f"stack {self.stack!r} cannot be created") from error

    def up(self, on_event: OnEvent) -> None:
        """Run `pulumi up`.

        Raises:
            OperationFailed: the engine refused or failed; its events said why.
        """
        self._operate(["up", "--yes", "--skip-preview"], on_event)

    def preview(self, on_event: OnEvent) -> None:
        """Run `pulumi preview`; raises as `up` does."""
        self._operate(["preview"], on_event)

    def destroy(self, on_event: OnEvent) -> None:
        """Delete all that the state knows; raises as `up` does."""
        self._operate(["destroy", "--yes", "--skip-preview"], on_event)

    def remove(self) -> None:
        """Forget the stack and its configuration."""
        try:
            self._local.remove_stack(self.stack, preserve_config=False)
        except CommandError as error:
            raise _failed(error, f"stack {self.stack!r} cannot be removed") from error

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        try:
            return {name: output.value for name, output in self._open.outputs().items()}
        except CommandError as error:
            raise _failed(error, f"the outputs of stack {self.stack!r} cannot be read") from error

    def export(self) -> dict[str, Any]:
        """The state's deployment: `resources`, `pending_operations`."""
        try:
            return dict(self._open.export_stack().deployment or {})
        except CommandError as error:
            raise _failed(error, f"the state of stack {self.stack!r} cannot be read") from error

    def without_pending(self) -> None:
        """Drop the operations that the state says are still under way."""
        state = self._open.export_stack()
        deployment = {**(state.deployment or {}), "pending_operations": []}
        self._open.import_stack(Deployment(version=state.version, deployment=deployment))

    def cancel(self) -> None:
        """Remove the stack's lock."""
        self._open.cancel()

    def get(self, key: str) -> str | None:
        """A value of the stack's configuration, decrypted; None where it is not set."""
        done = self._config("get", key)
        return done.stdout.removesuffix("\n") if done.returncode == 0 else None

    def set(self, key: str, value: str, *, secret: bool = False, path: bool = False) -> None:
        """Set a value of the stack's configuration; through standard input, so no process list shows it."""
        flags = [*(["--secret"] if secret else []), *(["--path"] if path else [])]
        done = self._config("set", key, *flags, stdin=value)
        if done.returncode != 0:
            raise RunbookError(f"configuration {key} was not set: {done.stderr.strip()}", "see the message")

    def is_set(self, key: str) -> bool:
        """Whether the stack's configuration file has a value for *key*; asks no CLI and decrypts nothing."""
        return f"runbook:{key}" in configuration(self.stack)

    def unset(self, key: str) -> None:
        """Remove a value of the stack's configuration."""
        done = self._config("rm", key)
        if done.returncode != 0:
            raise RunbookError(
                f"configuration {key} was not removed: {done.stderr.strip()}", "see the message"
            )

    def secrets(self) -> dict[str, dict[str, str]]:
        """The stack's secrets: `current` (name to value) and `retired` (keyed hash to value)."""
        kept = json.loads(self.get("secrets") or "{}")
        return {"current": kept.get("current", {}), "retired": kept.get("retired", {})}

    def keep_secrets(self, kept: dict[str, dict[str, str]]) -> None:
        """Write the stack's secrets back, encrypted."""
        self.set("secrets", json.dumps(kept, sort_keys=True), secret=True)

    @property
    def _open(self) -> Stack:
        if self._selected is None:
            raise RunbookError(
                f"there is no stack {self.stack!r}", f"`bin/runbook up --stack {self.stack}` makes it"
            )
        return self._selected

    def _operate(self, operation: list[str], on_event: OnEvent) -> None:
        command = ["pulumi", "--non-interactive", *operation, "--stack", self.stack]
        run_operation(command, REPOSITORY, self._env, on_event)

    def _config(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", "config", *arguments, "--stack", self.stack],
            cwd=REPOSITORY,
            env={**os.environ, **self._env},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )


def open_workspace(stack: str) -> Workspace:
    """The workspace of a stack that exists.

    Raises:
        RunbookError: there is no such stack.
    """
    workspace = Workspace(stack)
    if not workspace.exists():
        raise RunbookError(f"there is no stack {stack!r}", f"`bin/runbook up --stack {stack}` makes it")
    return workspace


def configuration(stack: str) -> dict[str, Any]:
    """What the stack's configuration file says, secrets encrypted; empty where there is none.

    Raises:
        RunbookError: it is not what Pulumi reads.
    """
    file = REPOSITORY / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        return {}
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return dict(read.get("config") or {})
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
        raise RunbookError(f"{file.name} cannot be read: {error}", "mend it, or take it from git") from error


def _failed(error: CommandError, what: str) -> RunbookError:
    return RunbookError(f"{what}: {_stderr(error)}", "the message is Pulumi's own")


def _stderr(error: CommandError) -> str:
    """The part of the Automation API's message that the CLI wrote to its standard error."""
    text = str(error).partition("stderr:")[2] or str(error)
    return text.strip().removeprefix("error: ")
