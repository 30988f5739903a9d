"""What an update will deploy, decided before anything runs: base images, build contexts, the release."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.base_images import BaseImage, Role, resolve, resolve_monitors
from infra.components.hardening import collected_logs
from infra.components.sandbox_app import ENVIRONMENT as SANDBOX_ENVIRONMENT
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.history import History
from infra.manifest import (
    REPOSITORY,
    Manifest,
    Needed,
    Secrets,
    Sizing,
    describe,
    packages_context,
    snapshot,
)
from infra.migrations import Migration, read_migrations, unpassable
from infra.provenance import Sources, read_sources
from infra.python_site import ensure_site
from infra.release_record import TAKES_OUT
from infra.stack_config import StackConfig
from infra.stack_settings import ALERT_SECRETS, GENERATED, RELEASE_KEY, alert_secret_problem
from service.settings import ENVIRONMENT_NAMES, SECRET_NAMES, wrong_values

MADE = {"REDIS_URL", "PSEUDONYM_KEY"}
"""Secrets of the service that the infrastructure makes itself."""


@dataclass(frozen=True)
class Packages:
    """What the service's and the sandbox's images are built on: Python, the packages of the lock file."""

    name: str
    context: Path

    @classmethod
    def of(cls, python: BaseImage, context: Path) -> Packages:
        """Named by what it is made of."""
        digest = hashlib.sha256(f"{python.name}\0{context.name}".encode()).hexdigest()[:12]
        return cls(f"runbook/packages:{digest}", context)


@dataclass(frozen=True)
class Candidate:
    """A release that gets containers. `secrets`: name to value; `context` is None where its image exists."""

    manifest: Manifest
    secrets: dict[str, str]
    context: Path | None = None


@dataclass(frozen=True)
class Build:
    """What images are built on and of, where the sources are deployed. `sandbox_context`: dev stacks only.

    `monitors`: none where the stack has no monitoring.
    """

    python: BaseImage
    packages: Packages
    redis: BaseImage
    haproxy: BaseImage
    sandbox_context: Path | None
    monitors: list[BaseImage]


@dataclass(frozen=True)
class Plan:
    """`release` is to go live; `kept` are those that keep their containers beside it.

    `migrations` are to have run before, with `migration_secrets` (name to value). `sources` are those that
    `release` was made from. `build` is None where an earlier release comes back: then nothing is built.
    """

    release: Candidate
    sources: Sources
    kept: list[Candidate]
    migrations: list[Migration]
    migration_secrets: dict[str, str]
    build: Build | None


def read_plan(config: StackConfig, request: DeployRequest, history: History) -> Plan:
    """Decide what the stack's configuration, its history and the sources as they are now amount to.

    Raises:
        Refused: a setting is unknown, wrong or missing, a secret of a release that is brought back is no
            longer known, or the sources are a release that was rolled back.
    """
    if request.bring_back:
        return _plan_of_earlier(request.bring_back, config, request, history)
    mode, secrets = config.layout.images, _secrets(config)
    site = ensure_site(REPOSITORY / "service/requirements.lock")
    python = resolve(Role.PYTHON, mode)
    packages = Packages.of(python, packages_context(site))
    context, migrations = snapshot("service", site), read_migrations()
    manifest = describe(
        context,
        packages.name,
        _environment(config),
        secrets.digests(SECRET_NAMES & config.secrets.keys()),
        Sizing.of(config.layout),
        [Needed(key=each.key(), irreversible=each.irreversible) for each in migrations],
        collected_logs(config.layout),
    )
    _refuse_rolled_back(manifest.id, history, request)
    _refuse_unpassable(manifest, history, request)
    return Plan(
        release=Candidate(manifest, _secret_values(secrets, manifest), context),
        sources=read_sources(),
        kept=_kept(history.keepable(manifest.id, takes_out=False), secrets)[: config.layout.keep_releases],
        migrations=migrations,
        migration_secrets=_migration_secrets(migrations, config.secrets),
        build=Build(
            python=python,
            packages=packages,
            redis=resolve(Role.REDIS, mode),
            haproxy=resolve(Role.HAPROXY, mode),
            sandbox_context=snapshot("sandbox", site) if config.layout.sandbox else None,
            monitors=resolve_monitors(mode) if config.layout.monitoring else [],
        ),
    )


def _plan_of_earlier(
    manifest: Manifest, config: StackConfig, request: DeployRequest, history: History
) -> Plan:
    """An earlier release as it was: what this checkout holds now is not looked at."""
    _refuse_unpassable(manifest, history, request)
    secrets = _secrets(config)
    beside = history.keepable(manifest.id, takes_out=request.verb in TAKES_OUT)
    return Plan(
        release=Candidate(manifest, _secret_values(secrets, manifest)),
        sources=history.sources(manifest.id),
        kept=_kept(beside, secrets)[: config.layout.keep_releases],
        migrations=[],
        migration_secrets={},
        build=None,
    )


def _secrets(config: StackConfig) -> Secrets:
    return Secrets(config.secrets, config.retired, config.secrets[RELEASE_KEY])


def _environment(config: StackConfig) -> dict[str, str]:
    unknown = sorted(config.env.keys() - ENVIRONMENT_NAMES)
    misplaced = sorted(config.env.keys() & SECRET_NAMES)
    settable = SECRET_NAMES | ALERT_SECRETS | set(GENERATED)
    foreign = sorted(config.secrets.keys() - settable | config.secrets.keys() & MADE)
    problems = [f"env.{name}: the service has no such setting" for name in unknown]
    problems += [f"env.{line}" for line in wrong_values(config.env)]
    problems += [f"env.{name}: is a secret; `bin/runbook secrets set {name}`" for name in misplaced]
    problems += [f"secrets.{name}: is not a secret that can be set" for name in foreign]
    wrong = (
        alert_secret_problem(name, config.secrets[name]) for name in ALERT_SECRETS & config.secrets.keys()
    )
    problems += [f"secrets.{problem}" for problem in sorted(filter(None, wrong))]
    if problems:
        raise Refused("the release's configuration is wrong:\n  " + "\n  ".join(problems))
    return {**(SANDBOX_ENVIRONMENT if config.layout.sandbox else {}), **config.env}


def _refuse_rolled_back(release: str, history: History, request: DeployRequest) -> None:
    why = history.rolled_back.get(release)
    if why is not None and not request.force:
        raise Refused(
            f"release {release}, which the sources are, was rolled back {why}",
            "mend the cause, or deploy it all the same with `bin/runbook up --force`",
        )


def _refuse_unpassable(manifest: Manifest, history: History, request: DeployRequest) -> None:
    live = history.live_manifest
    lines = unpassable(live.migrations if live else [], manifest.migrations)
    if lines and not request.force:
        raise Refused(
            f"release {manifest.id} is from before a migration that cannot be undone:\n  "
            + "\n  ".join(lines),
            f"`bin/runbook {'rollback' if request.bring_back else 'up'} --force` deploys it all the same",
        )


def _migration_secrets(migrations: list[Migration], known: dict[str, str]) -> dict[str, str]:
    names = {name for migration in migrations for name in migration.secrets}
    if missing := sorted(names - known.keys()):
        raise Refused(
            f"migrations need secrets that are not set: {', '.join(missing)}",
            "`bin/runbook secrets set NAME`",
        )
    return {name: known[name] for name in sorted(names)}


def _kept(manifests: list[Manifest], secrets: Secrets) -> list[Candidate]:
    """Those whose secrets are known."""
    found = []
    for manifest in manifests:
        try:
            found.append(Candidate(manifest, secrets.values(manifest.secrets)))
        except KeyError as error:
            pulumi.log.warn(f"release {manifest.id} is not kept: its {error.args[0]} is no longer known")
    return found


def _secret_values(kept: Secrets, manifest: Manifest) -> dict[str, str]:
    try:
        values = kept.values(manifest.secrets)
    except KeyError as error:
        raise Refused(
            f"release {manifest.id} used a value of {error.args[0]} that is no longer known",
            "set it again with `bin/runbook secrets set`, or deploy the sources as they are",
        ) from error
    if "WAHA_WEBHOOK_SECRET" not in values:
        raise Refused(
            "secrets.WAHA_WEBHOOK_SECRET: is missing", "`bin/runbook secrets set WAHA_WEBHOOK_SECRET` sets it"
        )
    return values
