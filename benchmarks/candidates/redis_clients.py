"""Redis clients: pipelines of 32 commands with a webhook's body each, one after another."""

from __future__ import annotations

import json
import subprocess
from functools import partial

from benchmarks.candidates.redis_client import CLIENTS
from benchmarks.candidates.row import Candidate
from benchmarks.programs import REPOSITORY, python
from benchmarks.servers import data_folder, redis_server, redis_url

COLUMNS = ("commands/s", "µs of processor each")


def candidates() -> list[Candidate]:
    """All of them."""
    return [Candidate(name, packages, partial(_measure, name)) for name, (packages, _) in CLIENTS.items()]


def _measure(name: str) -> tuple[str, ...]:
    """Have it measured on a fresh Redis."""
    within = REPOSITORY / ".build/bench"
    with data_folder(within) as folder, redis_server(folder, appendfsync="everysec") as redis:
        command = python("benchmarks.candidates.redis_client", name, redis_url(redis))
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    per_second, each_us = json.loads(done.stdout)
    return f"{per_second:,.0f}", f"{each_us:.1f}"
