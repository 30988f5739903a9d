"""The topology of a stack on one screen: its parts, what gates a release, what moves the traffic."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker
import stamina

from contracts.targets import Targets, read_targets
from infra.base_images import BaseImage
from infra.components.place import Place
from infra.components.proxy import Proxy, ProxyArgs
from infra.components.redis_store import RedisArgs, RedisStore
from infra.components.release import Release, ReleaseArgs
from infra.components.sandbox_app import DATABASE, Sandbox, SandboxArgs
from infra.components.sandbox_app import ENVIRONMENT as SANDBOX_ENVIRONMENT
from infra.dynamic.base_image import MadeImage
from infra.dynamic.gate import Gate
from infra.dynamic.ledger import Ledger
from infra.dynamic.migrations import Migrations
from infra.dynamic.route import Route
from infra.dynamic.trial import Trial
from infra.haproxy_config import RouteName
from infra.history import History
from infra.order import Order
from infra.plan import Candidate, Plan, read_plan
from infra.provenance import provenance, who_and_when
from infra.release_report import release_folder
from infra.stack_config import REDIS_PASSWORD, RELEASE_KEY, StackConfig, read_stack_config


@dataclass(frozen=True)
class Stack:
    """What the parts of a stack share."""

    config: StackConfig
    plan: Plan
    order: Order
    targets: Targets
    place: Place
    proxy: Proxy
    redis: RedisStore


def deploy() -> None:
    """Declare the stack: network, Redis, proxy, release, candidate route, trial and gate, live route."""
    config, order = read_stack_config(), Order.of()
    plan = read_plan(config, order, History.of(_outputs_before()))
    place = Place(config.stack, config.prefix, _network(config))
    redis = RedisStore(RedisArgs(place, _base(plan.redis), _password(config)))
    proxy = Proxy(ProxyArgs(place, _base(plan.haproxy), config.layout))
    stack = Stack(config, plan, order, read_targets(), place, proxy, redis)

    packages = _packages(plan)
    before: list[pulumi.Resource] = [redis]
    if plan.sandbox_context:
        before.append(Sandbox(SandboxArgs(place, plan.sandbox_context, packages)))
    migrations = _migrations(stack, before)
    migrated = _gate(stack, "migrated", migrations.refusal, after=migrations)
    release = _release(stack, plan.release, packages, [*before, migrated])
    for kept in plan.kept:
        _release(stack, kept, packages, before)

    candidate = _route(stack, "candidate", release, after=release)
    trial = _trial(stack, release, after=candidate)
    passed = _gate(stack, "gate", trial.refusal, after=trial)
    live = _route(stack, "live", release, after=passed)
    ledger = _ledger(stack, trial, live)
    _gate(stack, "promoted", live.refusal, after=ledger)
    _export(stack, live, ledger)
    pulumi.export("migrations", migrations.ran)


# A file backend writes the state in place: just then, at the start of this very update, it cannot be read.
@stamina.retry(on=Exception, attempts=None, timeout=15, wait_initial=0.1, wait_max=0.5)
def _outputs_before() -> dict[str, Any]:
    """The stack's own outputs, as its last update that ended well left them."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value or {}
    return dict(found.get("outputs") or {})


def _network(config: StackConfig) -> docker.Network:
    return docker.Network(
        f"{config.prefix}-network",
        name=config.prefix,
        labels=[docker.NetworkLabelArgs(label="runbook.stack", value=config.stack)],
    )


def _password(config: StackConfig) -> pulumi.Output[str]:
    return pulumi.Output.secret(config.secrets[REDIS_PASSWORD])


def _base(image: BaseImage) -> pulumi.Output[str]:
    """The base image's name, once the engine has it."""
    if image.origin == "debian":
        return MadeImage(image).image
    return docker.RemoteImage(f"base-{image.role}", name=image.name, keep_locally=True).name


def _packages(plan: Plan) -> pulumi.Output[str]:
    """The image with the packages, built once for a lock file: a release then builds in a second."""
    image = plan.packages
    return docker.RemoteImage(
        f"packages-{image.name.rpartition(':')[2]}",
        name=image.name,
        build=docker.RemoteImageBuildArgs(
            context=str(image.context), build_args={"BASE": _base(plan.python)}, force_remove=True
        ),
        keep_locally=True,
    ).name


def _release(
    stack: Stack, candidate: Candidate, packages: pulumi.Output[str], before: list[pulumi.Resource]
) -> Release:
    secrets = {name: pulumi.Output.secret(value) for name, value in candidate.secrets.items()}
    made = {"REDIS_URL": stack.redis.url, "PSEUDONYM_KEY": _pseudonym_key(stack.config)}
    args = ReleaseArgs(
        place=stack.place,
        manifest=candidate.manifest,
        image=_image(candidate, packages),
        secrets={**secrets, **made},
        as_it_was=candidate.context is None,
    )
    return Release(args, pulumi.ResourceOptions(depends_on=before))


def _pseudonym_key(config: StackConfig) -> pulumi.Output[str]:
    """The same for all releases of a stack: a chat keeps its stand-in whichever release has its messages."""
    key = hmac.digest(config.secrets[RELEASE_KEY].encode(), b"pseudonyms", "sha256")
    return pulumi.Output.secret(key.hex())


def _image(candidate: Candidate, packages: pulumi.Output[str]) -> pulumi.Output[str]:
    """The release's image: built from the sources as they are, or there since the release was made."""
    manifest = candidate.manifest
    if candidate.context is None:
        return pulumi.Output.from_input(manifest.image)
    return docker.RemoteImage(
        f"image-{manifest.id}",
        name=manifest.image,
        build=docker.RemoteImageBuildArgs(
            context=str(candidate.context),
            build_args={"BASE": packages},
            force_remove=True,
            labels={"runbook.release": manifest.id},
        ),
        keep_locally=True,
    ).name


def _migrations(stack: Stack, before: list[pulumi.Resource]) -> Migrations:
    secrets = {name: pulumi.Output.secret(value) for name, value in stack.plan.migration_secrets.items()}
    return Migrations(
        release=stack.plan.release.manifest.id,
        wanted=stack.plan.migrations,
        secrets=secrets,
        entry=provenance(),
        opts=pulumi.ResourceOptions(depends_on=before),
    )


def _route(stack: Stack, name: RouteName, release: Release, *, after: pulumi.Resource) -> Route:
    return Route(
        name,
        release=stack.plan.release.manifest.id,
        servers=release.web_names,
        proxy=stack.proxy.container.name,
        proxy_id=stack.proxy.container.id,
        base=stack.proxy.base,
        redis=stack.redis.container.name,
        limits=stack.targets.switch,
        in_steps=stack.order.in_steps,
        opts=pulumi.ResourceOptions(depends_on=[after, stack.proxy]),
    )


def _trial(stack: Stack, release: Release, *, after: pulumi.Resource) -> Trial:
    layout, manifest = stack.config.layout, stack.plan.release.manifest
    return Trial(
        release=manifest.id,
        subject={
            "candidate_url": _loopback(layout.candidate_port),
            "baseline_url": _loopback(layout.baseline_port),
            "faults_url": _faults_url(stack),
            "webhook_secret": pulumi.Output.secret(stack.plan.release.secrets["WAHA_WEBHOOK_SECRET"]),
            "proxy": stack.proxy.container.name,
            "web": release.web_names,
            "workers": release.worker_names,
        },
        entry=_entry(stack),
        depth=stack.order.depth,
        reports=_reports(stack),
        opts=pulumi.ResourceOptions(depends_on=[after]),
    )


def _faults_url(stack: Stack) -> str:
    """Where the sandbox's database can be taken from a release; empty if the release has another one."""
    database = stack.plan.release.manifest.env.get(DATABASE)
    if not stack.config.layout.sandbox or database != SANDBOX_ENVIRONMENT[DATABASE]:
        return ""
    return f"{_loopback(stack.config.layout.sandbox_port)}/faults"


def _gate(stack: Stack, of: str, refusal: pulumi.Output[list[str]], *, after: pulumi.Resource) -> Gate:
    opts = pulumi.ResourceOptions(depends_on=[after])
    return Gate(of, release=stack.plan.release.manifest.id, refusal=refusal, opts=opts)


def _ledger(stack: Stack, trial: Trial, live: Route) -> Ledger:
    return Ledger(
        release=stack.plan.release.manifest.id,
        entry={
            **_entry(stack),
            "manifest": stack.plan.release.manifest.as_dict(),
            "gate": trial.figures,
            "traffic": live.traffic,
            "refusal": live.refusal,
        },
        reports=_reports(stack),
        opts=pulumi.ResourceOptions(depends_on=[live]),
    )


def _entry(stack: Stack) -> dict[str, Any]:
    """Who asks for this update, how and why, and from which sources its release was made."""
    what = {"stack": stack.config.stack, "image": stack.plan.release.manifest.image}
    return {"order": stack.order.as_entry(), **what, **who_and_when(), **stack.plan.sources}


def _reports(stack: Stack) -> Path:
    return release_folder(stack.config.stack, stack.plan.release.manifest.id, stack.order.as_entry())


def _loopback(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _export(stack: Stack, live: Route, ledger: Ledger) -> None:
    layout = stack.config.layout
    pulumi.export("url", layout.url)
    pulumi.export("candidate_url", _loopback(layout.candidate_port))
    if layout.sandbox:
        pulumi.export("sandbox_url", _loopback(layout.sandbox_port))
    pulumi.export("release", live.release)
    pulumi.export("kept", [kept.manifest.id for kept in stack.plan.kept])
    pulumi.export("releases", ledger.entries)
