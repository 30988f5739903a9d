"""`Migrations`: what was run for releases of this stack, with its output; each once, before the candidate.

One that fails is not among those that ran, and the `Gate` behind it stops the update.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.migrations import Failed, Migration, run


class MigrationsProvider(ResourceProvider):
    """Runs those that did not run yet, in their order, up to the first that fails."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run all."""
        return CreateResult("migrations", migrated(props, []))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Run the new ones."""
        return UpdateResult(migrated(news, olds["ran"]))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Only one that did not run is news: what a release no longer names has run all the same."""
        return DiffResult(changes=bool(_waiting(news["wanted"], olds["ran"]) or olds["refusal"]))


class Migrations(Resource):
    """`ran`: an entry for each, oldest first; `refusal`: the lines on one that failed, none if all ran."""

    ran: pulumi.Output[list[dict[str, Any]]]
    refusal: pulumi.Output[list[str]]

    def __init__(
        self,
        *,
        release: str,
        wanted: list[Migration],
        secrets: Mapping[str, pulumi.Input[str]],
        entry: dict[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "release": release,
            "wanted": [{"key": each.key(), **each.model_dump()} for each in wanted],
            "secrets": pulumi.Output.secret(dict(secrets)),
            "entry": entry,
            "ran": None,
            "refusal": None,
        }
        super().__init__(MigrationsProvider(), "migrations", inputs, opts)


def migrated(props: dict[str, Any], ran: list[dict[str, Any]]) -> dict[str, Any]:
    """The resource's outputs after those that wait were run."""
    ran, refusal = [*ran], []
    for wanted in _waiting(props["wanted"], ran):
        key = wanted["key"]
        migration = Migration.model_validate({name: value for name, value in wanted.items() if name != "key"})
        pulumi.log.info(f"migration {key}: {' '.join(migration.command)}")
        began = time.monotonic()
        try:
            output = run(migration, props["secrets"])
        except Failed as failed:
            said = [f"  {line}" for line in failed.output.splitlines()[-20:]]
            refusal = [f"migration {key} failed: {failed}", *said]
            break
        took_s = round(time.monotonic() - began, 1)
        done = {"key": key, "output": output, "took_s": took_s, "release": props["release"]}
        ran.append({**done, **props["entry"]})
    return {**props, "ran": ran, "refusal": refusal}


def _waiting(wanted: list[dict[str, Any]], ran: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = {entry["key"] for entry in ran}
    return [each for each in wanted if each["key"] not in keys]
