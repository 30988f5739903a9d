"""One module a verb. `VERBS` is the command line, in the order in which `--help` lists it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from runbook.verbs.bench import bench
from runbook.verbs.blocklist import blocklist
from runbook.verbs.check import check
from runbook.verbs.destroy import destroy
from runbook.verbs.hotfix import hotfix
from runbook.verbs.load import load
from runbook.verbs.lock import lock
from runbook.verbs.outputs import outputs
from runbook.verbs.preview import preview
from runbook.verbs.queue_verb import queue
from runbook.verbs.releases import releases
from runbook.verbs.rollback import rollback
from runbook.verbs.secret_store import secrets
from runbook.verbs.sign import sign
from runbook.verbs.smoke import smoke
from runbook.verbs.tenants import tenants
from runbook.verbs.test import test
from runbook.verbs.up import up
from runbook.verbs.watch import watch

VERBS: dict[str, Callable[..., Any] | typer.Typer] = {
    "up": up,
    "preview": preview,
    "destroy": destroy,
    "outputs": outputs,
    "smoke": smoke,
    "load": load,
    "releases": releases,
    "rollback": rollback,
    "hotfix": hotfix,
    "watch": watch,
    "queue": queue,
    "blocklist": blocklist,
    "tenants": tenants,
    "secrets": secrets,
    "sign": sign,
    "lock": lock,
    "check": check,
    "bench": bench,
    "test": test,
}
