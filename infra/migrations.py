"""`migrations.toml`: commands that a release needs to have run, each once, before it is tried.

A migration is known by its name and a hash of its command and files: with other files it is another one, and
runs again. It only ever goes forward.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import Refused
from infra.manifest import REPOSITORY, Needed

FILE = REPOSITORY / "migrations.toml"
_TOLD_CHARS = 4000


class Migration(BaseModel):
    """One command.

    `command` is run in the repository, with `secrets` (names of the stack's) in its environment. `files` are
    patterns of what it deploys. `irreversible` says why releases from before it cannot come back, where so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")
    command: list[str] = Field(min_length=1)
    files: list[str] = []
    secrets: list[str] = []
    irreversible: str = ""
    timeout_s: float = Field(default=600, gt=0)

    def key(self, folder: Path = REPOSITORY) -> str:
        """Its name and the hash of what it does."""
        digest = hashlib.sha256(json.dumps(self.command).encode())
        for path in sorted(
            {path for pattern in self.files for path in folder.glob(pattern) if path.is_file()}
        ):
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
        return f"{self.name}@{digest.hexdigest()[:12]}"


class Failed(Exception):
    """A migration did not end well; the message says how, `output` what it said."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class _Listed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    migration: list[Migration] = []


def read_migrations(file: Path = FILE) -> list[Migration]:
    """All of them, in their order; none where there is no file.

    Raises:
        Refused: a line for each problem, with key and value.
    """
    try:
        listed = _Listed.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).migration
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(f"{file.name}: cannot be read: {error}", "mend it, or take it from git") from error
    except ValidationError as error:
        lines = [
            f"{file.name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}, got {problem['input']!r}"
            for problem in error.errors(include_url=False)
        ]
        raise Refused("\n".join(lines), "mend it") from error
    names = [migration.name for migration in listed]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{file.name}: several are named {', '.join(twice)}", "give each a name of its own")
    return listed


def unpassable(live: Iterable[Needed], to: Iterable[Needed]) -> list[str]:
    """Why a release with the migrations *to* cannot follow one with those of *live*, a line each."""
    known = {migration.key.partition("@")[0] for migration in to}
    return [
        f"{migration.key}: {migration.irreversible}"
        for migration in live
        if migration.irreversible and migration.key.partition("@")[0] not in known
    ]


def run(migration: Migration, secrets: Mapping[str, str], folder: Path = REPOSITORY) -> str:
    """Run it to its end; the end of what it said, without the values of *secrets*.

    Raises:
        Failed: it did not end with exit code 0, or not in time.
    """
    given = {name: secrets[name] for name in migration.secrets}
    # What opens the stack's state and secrets is none of a migration's business.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    try:
        done = subprocess.run(
            migration.command,
            cwd=folder,
            env={**env, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=migration.timeout_s,
            check=False,
        )
    except OSError as error:
        raise Failed(f"{migration.command[0]!r} cannot be started: {error.strerror}", "") from error
    except subprocess.TimeoutExpired as error:
        said = _without(error.stdout or b"", given)
        raise Failed(f"it did not end within {migration.timeout_s:g} s", said) from error
    said = _without(done.stdout, given)
    if done.returncode != 0:
        raise Failed(f"it ended with exit code {done.returncode}", said)
    return said


def _without(output: bytes, secrets: Mapping[str, str]) -> str:
    text = output.decode(errors="replace")
    for name, value in secrets.items():
        text = text.replace(value, f"[{name}]")
    return text[-_TOLD_CHARS:]
