"""The environment in which the Pulumi CLI works for this project, whoever starts it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import yaml

from infra.cache_folder import cache_folder
from infra.file_lock import held
from runbook.errors import RunbookError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PLUGINS = REPOSITORY / "infra" / "plugins" / "bin"

PASSPHRASE, PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
"""Pulumi's names; the first comes before the second, also where it is empty."""

_WRONG = "incorrect passphrase"
"""How the CLI says it."""

_PASSPHRASE_BYTES = 32


def pulumi_environment(
    stack: str | None, given: Mapping[str, str] | None = None, repository: Path = REPOSITORY
) -> dict[str, str]:
    """What to add to the environment *given* (by default, this process's) for work on *stack*.

    Without a stack there is no passphrase in it: commands that need none, such as `version`, are given none.

    Raises:
        RunbookError: the stack is no dev stack, its secrets are by passphrase, and none can be had.
    """
    given = os.environ if given is None else given
    state = repository / ".pulumi-state"
    backend = given.get("PULUMI_BACKEND_URL") or f"file://{quote(str(state))}"
    if file_backend(backend) == state:
        state.mkdir(exist_ok=True)
    added = {
        "PATH": _with_plugins(given.get("PATH", os.defpath)),
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **_home(given),
    }
    if stack is not None and _by_passphrase(stack, backend, repository):
        added |= _passphrase(stack, backend, given, state)
    return added


def file_backend(url: str) -> Path | None:
    """The folder of a file backend; None for any other. Pulumi reads its path as it reads a URL's: `%20`."""
    scheme, _, path = url.partition("://")
    return Path(unquote(path.partition("?")[0])).expanduser() if scheme == "file" else None


def passphrase_hint(
    error: str, env: Mapping[str, str] | None = None, repository: Path = REPOSITORY
) -> str | None:
    """What to do about a passphrase in *env* that is not the stack's, where the CLI's *error* is that."""
    if _WRONG not in error:
        return None
    env = os.environ if env is None else env
    own = repository / ".pulumi-state" / "passphrase"
    if _is_in_force(own, env):
        return f"the stack was made with another passphrase than this checkout's own: write that into {own}"
    wanted = "the one that the stack was made with"
    if PASSPHRASE not in env:
        return f"{PASSPHRASE_FILE} names {env.get(PASSPHRASE_FILE)}, which holds another: name {wanted}"
    holds = "holds another" if env[PASSPHRASE] else "is set, and empty"
    before = f", and comes before {PASSPHRASE_FILE}" if PASSPHRASE_FILE in env else ""
    return f"{PASSPHRASE} {holds}{before}: `unset {PASSPHRASE}`, or set {wanted}"


def _is_in_force(own: Path, env: Mapping[str, str]) -> bool:
    """Whether the CLI takes the passphrase in the file *own*."""
    if PASSPHRASE in env:
        return own.is_file() and env[PASSPHRASE] == own.read_text(encoding="utf-8")
    return env.get(PASSPHRASE_FILE) == str(own)


def is_dev(stack: str) -> bool:
    """Whether *stack* is a dev stack by its name: `dev`, or `dev-` and anything, in any organization."""
    name = stack.rpartition("/")[2]
    return name == "dev" or name.startswith("dev-")


def _with_plugins(path: str) -> str:
    folders = [folder for folder in path.split(os.pathsep) if folder != str(PLUGINS)]
    return os.pathsep.join([str(PLUGINS), *folders])


def _home(given: Mapping[str, str]) -> dict[str, str]:
    """PULUMI_HOME, where the user's own cannot be written or is none."""
    try:
        home = Path(given.get("PULUMI_HOME") or Path.home() / ".pulumi")
    except RuntimeError:  # a user id without a name and without HOME
        return {"PULUMI_HOME": str(cache_folder() / "pulumi-home")}
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return {} if os.access(existing, os.W_OK) else {"PULUMI_HOME": str(cache_folder() / "pulumi-home")}


def _by_passphrase(stack: str, backend: str, repository: Path) -> bool:
    """Whether a passphrase encrypts the stack's secrets, and not Pulumi Cloud or a service for keys."""
    if backend.startswith(("https://", "http://")):
        return False
    try:
        text = (repository / f"Pulumi.{stack.rpartition('/')[2]}.yaml").read_text(encoding="utf-8")
        provider = str((yaml.safe_load(text) or {}).get("secretsprovider") or "passphrase")
    except (OSError, ValueError, yaml.YAMLError, AttributeError):
        return True  # none yet, or one that the CLI will refuse in words of its own
    return provider == "passphrase"


def _has_its_own(stack: str, backend: str, state: Path) -> bool:
    """Whether the stack is this checkout's alone, and its passphrase too."""
    return is_dev(stack) and file_backend(backend) == state


def _passphrase(stack: str, backend: str, given: Mapping[str, str], state: Path) -> dict[str, str]:
    """The variables with which the CLI has the stack's passphrase."""
    if _has_its_own(stack, backend, state):
        file = _passphrase_file(state)
        if PASSPHRASE in given:  # another project's, which would come before the file
            return {PASSPHRASE: file.read_text(encoding="utf-8")}
        return {PASSPHRASE_FILE: str(file)}
    if PASSPHRASE in given:
        return {}
    if PASSPHRASE_FILE in given:
        return {PASSPHRASE_FILE: str(_readable(Path(given[PASSPHRASE_FILE])))}
    if is_dev(stack):
        return {PASSPHRASE_FILE: str(_passphrase_file(state))}
    raise RunbookError(
        f"stack {stack!r} needs a passphrase for its secrets, and none is given",
        f"set {PASSPHRASE_FILE} to a file that holds it (or {PASSPHRASE})",
    )


def _readable(file: Path) -> Path:
    """The whole path of a passphrase's file: the CLI runs in another folder.

    Raises:
        RunbookError: it cannot be read, or is empty.
    """
    try:
        is_empty = not file.read_bytes().strip()
    except OSError as error:
        raise RunbookError(
            f"{PASSPHRASE_FILE}: {str(file)!r} cannot be read: {error.strerror}",
            f"name the file that holds the stack's passphrase, or `unset {PASSPHRASE_FILE}`",
        ) from error
    if is_empty:
        raise RunbookError(f"{PASSPHRASE_FILE}: {str(file)!r} is empty", "put the stack's passphrase there")
    return file.absolute()


def _passphrase_file(state: Path) -> Path:
    """The generated passphrase of this checkout's dev stacks, made on first use."""
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
