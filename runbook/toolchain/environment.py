"""The environment in which the Pulumi CLI works for this project, whoever starts it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from infra.cache_folder import cache_folder
from infra.file_lock import held
from runbook.errors import RunbookError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PLUGINS = REPOSITORY / "infra" / "plugins" / "bin"

_PASSPHRASE_BYTES = 32


def pulumi_environment(
    stack: str | None, given: Mapping[str, str] | None = None, repository: Path = REPOSITORY
) -> dict[str, str]:
    """What to add to the environment *given* (by default, this process's) for work on *stack*.

    Without a stack there is no passphrase in it: commands that need none, such as `version`, are given none.

    Raises:
        RunbookError: the stack is no dev stack, its secrets are by passphrase, and none is given.
    """
    given = os.environ if given is None else given
    state = repository / ".pulumi-state"
    backend = given.get("PULUMI_BACKEND_URL") or f"file://{state}"
    if backend == f"file://{state}":
        state.mkdir(exist_ok=True)
    added = {
        "PATH": _with_plugins(given.get("PATH", os.defpath)),
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **_home(given),
    }
    if stack is not None and _by_passphrase(backend) and not _passphrase_given(given):
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file(stack, state))
    return added


def is_dev(stack: str) -> bool:
    """Whether *stack* is a dev stack by its name: `dev`, or `dev-` and anything, in any organization."""
    name = stack.rpartition("/")[2]
    return name == "dev" or name.startswith("dev-")


def _with_plugins(path: str) -> str:
    folders = [folder for folder in path.split(os.pathsep) if folder != str(PLUGINS)]
    return os.pathsep.join([str(PLUGINS), *folders])


def _home(given: Mapping[str, str]) -> dict[str, str]:
    """PULUMI_HOME, where the user's own cannot be written."""
    home = Path(given.get("PULUMI_HOME") or Path.home() / ".pulumi")
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return {} if os.access(existing, os.W_OK) else {"PULUMI_HOME": str(cache_folder() / "pulumi-home")}


def _by_passphrase(backend: str) -> bool:
    """Whether *backend* leaves the encryption to us; Pulumi Cloud does it itself."""
    return not backend.startswith(("https://", "http://"))


def _passphrase_given(given: Mapping[str, str]) -> bool:
    return "PULUMI_CONFIG_PASSPHRASE" in given or "PULUMI_CONFIG_PASSPHRASE_FILE" in given


def _passphrase_file(stack: str, state: Path) -> Path:
    """The generated passphrase of this checkout's dev stacks, made on first use."""
    if not is_dev(stack):
        raise RunbookError(
            f"stack {stack!r} needs a passphrase for its secrets, and none is given",
            "set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it (or PULUMI_CONFIG_PASSPHRASE)",
        )
    state.mkdir(exist_ok=True)
    file = state / "passphrase"
    with held(state / "passphrase.lock"):
        if not file.exists():
            fresh = file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as content:
                content.write(secrets.token_urlsafe(_PASSPHRASE_BYTES))
            fresh.rename(file)
    return file
