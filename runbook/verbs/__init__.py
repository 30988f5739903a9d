"""One module a verb. `VERBS` is the command line, in the order in which `--help` lists it.

A verb's module is imported when the verb is typed: what all of them need together takes a second, and a
rollback has three.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer

VERBS = {
    "up": "up:up",
    "preview": "preview:preview",
    "destroy": "destroy:destroy",
    "outputs": "outputs:outputs",
    "smoke": "smoke:smoke",
    "load": "load:load",
    "releases": "releases:releases",
    "rollback": "rollback:rollback",
    "hotfix": "hotfix:hotfix",
    "watch": "watch:watch",
    "alerts": "alerts:alerts",
    "metrics": "metrics:metrics",
    "logs": "logs:logs",
    "queue": "queue_verb:queue",
    "blocklist": "blocklist:blocklist",
    "tenants": "tenants:tenants",
    "secrets": "secret_store:secrets",
    "sign": "sign:sign",
    "lock": "lock:lock",
    "check": "check:check",
    "bench": "bench:bench",
    "test": "test:test",
}
"""By verb, its module here and what to run in it: a function, or a group of commands."""


def load_verb(name: str) -> Callable[..., Any] | typer.Typer:
    """What runs the verb *name*."""
    module, _, attribute = VERBS[name].partition(":")
    found: Callable[..., Any] | typer.Typer = getattr(import_module(f"runbook.verbs.{module}"), attribute)
    return found
