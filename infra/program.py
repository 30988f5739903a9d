"""The topology of a stack on one screen: its parts, what gates a release, what moves the traffic."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker
import stamina

from contracts.targets import Targets, read_targets
from infra.base_images import BaseImage, Role
from infra.components.hardening import collected_logs
from infra.components.monitoring import Monitoring, MonitoringArgs
from infra.components.proxy import Proxy, ProxyArgs, shared_proxy
from infra.components.redis_store import RedisArgs, RedisStore, kept_password, shared_redis
from infra.components.release import Release, ReleaseArgs
from infra.components.sandbox_app import DATABASE, Sandbox, SandboxArgs
from infra.components.sandbox_app import ENVIRONMENT as SANDBOX_ENVIRONMENT
from infra.components.stack_context import StackContext
from infra.deploy_lock import TOKEN, forget_stop, refuse_locked
from infra.deploy_request import DeployRequest
from infra.dynamic.base_image import MadeImage
from infra.dynamic.gate import Gate
from infra.dynamic.ledger import Ledger
from infra.dynamic.migrations import Migrations
from infra.dynamic.route import Route
from infra.dynamic.stack_id import STATE_LABEL, StackId
from infra.dynamic.trial import Trial
from infra.errors import Refused
from infra.haproxy_config import RouteName
from infra.history import History
from infra.monitoring.sandbox_receivers import with_receivers
from infra.observed import STACK_LABEL, Observed, observe_stack
from infra.plan import Build, Candidate, Plan, read_plan
from infra.policy import Policy
from infra.provenance import operator, provenance, who_and_when
from infra.proxy_control import ProxyControl
from infra.release_record import ReleaseRecord
from infra.replacement import Decision, decide
from infra.stack_config import StackConfig, for_this_stack, read_stack_config
from infra.stack_settings import REDIS_PASSWORD, RELEASE_KEY


@dataclass(frozen=True)
class Stack:
    """What the parts of a stack share. `last_move`: the live route's, as this update found it."""

    config: StackConfig
    plan: Plan
    request: DeployRequest
    targets: Targets
    context: StackContext
    proxy: Proxy
    redis: RedisStore
    last_move: str


def deploy() -> None:
    """Declare the stack: network, Redis, proxy, release, candidate route, trial and gate, live route."""
    config, request = read_stack_config(), DeployRequest.of()
    if not pulumi.runtime.is_dry_run():
        refuse_locked(config.stack)
        if TOKEN not in os.environ:  # who holds the lock has done so
            forget_stop(config.stack)
    before, observed = _outputs_before(), observe_stack(pulumi.get_stack())
    history = History.of(before, observed)
    # A rollback's traffic has moved before: it says itself what was not as the state has it.
    if history.disagreement and request.bring_back is None and not pulumi.runtime.is_dry_run():
        pulumi.log.warn(f"{history.disagreement}: this update goes by the proxy")
    plan = read_plan(config, request, history)
    Policy([*config.secrets.values(), *config.retired.values()]).enforce()
    stack = _infrastructure(config, request, plan, history, observed)

    waits_for: list[pulumi.Resource] = [stack.redis]
    packages = None
    if plan.build:
        packages = _packages(plan.build)
        if plan.build.sandbox_context:
            logs = collected_logs(config.layout)
            waits_for.append(Sandbox(SandboxArgs(stack.context, plan.build.sandbox_context, packages, logs)))
        if plan.build.monitors:
            _monitoring(stack, plan.build, packages)
        waits_for.append(_migrated(stack, [*waits_for]))
    release = _release(stack, plan.release, packages, waits_for)
    for kept in plan.kept:
        _release(stack, kept, packages, waits_for[:1])

    candidate = _route(stack, "candidate", release, after=release)
    trial = _trial(stack, release, history, after=candidate)
    passed = _gate(stack, "gate", trial.refusal, after=trial)
    live = _route(stack, "live", release, after=passed)
    ledger = _ledger(stack, trial, live)
    _gate(stack, "promoted", live.refusal, after=ledger)
    _export(stack, ledger, before)


# A file backend writes the state in place: just then, at the start of this very update, it cannot be read.
@stamina.retry(on=Exception, attempts=None, timeout=15, wait_initial=0.1, wait_max=0.5)
def _outputs_before() -> dict[str, Any]:
    """The stack's own outputs, as its last update that ended well left them."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value or {}
    return dict(found.get("outputs") or {})


def _infrastructure(
    config: StackConfig, request: DeployRequest, plan: Plan, history: History, observed: Observed
) -> Stack:
    """What outlives every release; it stays as it is where one comes back."""
    of_redis, of_proxy = _decisions(config, plan, request, observed)
    context = _context(
        config,
        is_known=history.live_in_state is not None,
        stays=of_redis.as_it_was or of_proxy.as_it_was,
    )
    images = (plan.build.redis, plan.build.haproxy) if plan.build else (None, None)
    redis = RedisStore(
        RedisArgs(context, _shared_image(images[0], of_redis), config.layout, _password(config), of_redis)
    )
    has_grafana = plan.build is not None and any(each.role is Role.GRAFANA for each in plan.build.monitors)
    proxy = Proxy(
        ProxyArgs(context, _shared_image(images[1], of_proxy), config.layout, of_proxy, has_grafana)
    )
    if plan.build:
        _warn_of_base_config(ProxyControl(f"{config.prefix}-proxy").route("00-base"), proxy.base)
    moves = observed.live.moves if observed.live else ()
    last_move = moves[-1].id if moves else ""
    return Stack(config, plan, request, read_targets(), context, proxy, redis, last_move)


def _monitoring(stack: Stack, build: Build, packages: pulumi.Output[str]) -> None:
    """What watches the stack. Nothing of a release waits for it."""
    config, made = with_receivers(stack.config), {image.name: image for image in build.monitors}
    names = {name: _base(image) for name, image in made.items()}
    images = {"packages": packages, **{str(image.role): names[image.name] for image in build.monitors}}
    if not (config.layout.alert_mail_to or config.secrets.get("ALERT_CHANNEL_URL")):
        pulumi.log.warn(
            for_this_stack(
                "alerts reach nobody: `bin/runbook secrets set ALERT_CHANNEL_URL`, or "
                "`bin/pulumi config set --path runbook:layout.alert_mail_to ADDRESS` and alert_mail_from"
            )
        )
    elif not config.secrets.get("ALERT_HEARTBEAT_URL"):
        pulumi.log.warn(
            for_this_stack(
                "nobody hears where alerting itself ends: `bin/runbook secrets set ALERT_HEARTBEAT_URL`"
            )
        )
    Monitoring(MonitoringArgs(stack.context, config, stack.targets, images))


def _warn_of_base_config(before: str | None, now: str) -> None:
    if before not in (None, now):
        pulumi.log.warn(
            "the proxy's base configuration changes: live traffic gets it at the next reload, before the "
            "gate, and a refused release does not take it back"
        )


def _decisions(config: StackConfig, plan: Plan, request: DeployRequest, observed: Observed) -> list[Decision]:
    """What becomes of Redis and the proxy; raises where they would be replaced unasked."""
    if plan.build is None:
        return [Decision("", observed.image(role), as_it_was=True) for role in ("redis", "proxy")]
    network = _network_arguments(config)
    password = config.secrets[REDIS_PASSWORD]
    _refuse_another_password(config, password, request)
    shared = [
        shared_redis(config.prefix, plan.build.redis.name, config.layout, password, network),
        shared_proxy(config.prefix, plan.build.haproxy.name, config.layout, network),
    ]
    collector = {f"{config.prefix}-logs": [("127.0.0.1", config.layout.log_port)]}
    return decide(shared, request, others=collector if config.layout.monitoring else None)


def _refuse_another_password(config: StackConfig, password: str, request: DeployRequest) -> None:
    """The releases that run have the one of Redis: with another, they would lose it until a gate passes."""
    if kept_password(config.prefix) in (None, password):
        return
    file = f"Pulumi.{config.stack}.yaml"
    refusal = Refused(
        f"{REDIS_PASSWORD} of {file} is not the one that the stack's releases have: they would lose it",
        f"nothing was changed; take {file} from whoever deployed last, or from git: a stack keeps the "
        "password that it began with",
    )
    if request.is_rehearsal or not pulumi.runtime.is_dry_run():
        raise refusal
    pulumi.log.warn(str(refusal))


def _context(config: StackConfig, *, is_known: bool, stays: bool) -> StackContext:
    state_id = StackId(config.stack, is_known=is_known).value
    # A network with other labels would be replaced: deleted first, with the live containers on it.
    opts = pulumi.ResourceOptions(ignore_changes=["*"] if stays else ["labels"])
    arguments = _network_arguments(config)
    labels = [*arguments.pop("labels"), {"label": STATE_LABEL, "value": state_id}]
    network = docker.Network(f"{config.prefix}-network", **arguments, labels=labels, opts=opts)
    return StackContext(config.stack, config.prefix, state_id, network)


def _network_arguments(config: StackConfig) -> dict[str, Any]:
    labels = [{"label": STACK_LABEL, "value": config.stack}]
    return {"name": config.prefix, "labels": labels}


def _shared_image(planned: BaseImage | None, decision: Decision) -> pulumi.Input[str]:
    """The planned one is declared, and made if need be, unless the container stays on another."""
    if planned is not None and not decision.as_it_was and decision.image in (None, planned.name):
        return _base(planned)
    return decision.image or ""


def _password(config: StackConfig) -> pulumi.Output[str]:
    return pulumi.Output.secret(config.secrets[REDIS_PASSWORD])


def _base(image: BaseImage) -> pulumi.Output[str]:
    """The base image's name, once the engine has it."""
    if image.origin == "debian":
        return MadeImage(image).image
    return docker.RemoteImage(f"base-{image.role}", name=image.name, keep_locally=True).name


def _packages(build: Build) -> pulumi.Output[str]:
    """The image with the packages, built once for a lock file: a release then builds in a second."""
    image = build.packages
    return docker.RemoteImage(
        f"packages-{image.name.rpartition(':')[2]}",
        name=image.name,
        build=docker.RemoteImageBuildArgs(
            context=str(image.context), build_args={"BASE": _base(build.python)}, force_remove=True
        ),
        keep_locally=True,
    ).name


def _release(
    stack: Stack, candidate: Candidate, packages: pulumi.Output[str] | None, after: list[pulumi.Resource]
) -> Release:
    secrets = {name: pulumi.Output.secret(value) for name, value in candidate.secrets.items()}
    made = {"REDIS_URL": stack.redis.url, "PSEUDONYM_KEY": _pseudonym_key(stack.config)}
    args = ReleaseArgs(
        context=stack.context,
        manifest=candidate.manifest,
        image=_image(candidate, packages),
        secrets={**secrets, **made},
        as_it_was=candidate.context is None,
    )
    return Release(args, pulumi.ResourceOptions(depends_on=after))


def _pseudonym_key(config: StackConfig) -> pulumi.Output[str]:
    """The same for all releases of a stack: a chat keeps its stand-in whichever release has its messages."""
    key = hmac.digest(config.secrets[RELEASE_KEY].encode(), b"pseudonyms", "sha256")
    return pulumi.Output.secret(key.hex())


def _image(candidate: Candidate, packages: pulumi.Output[str] | None) -> pulumi.Output[str]:
    """The release's image: built from the sources as they are, or there since the release was made."""
    manifest = candidate.manifest
    if candidate.context is None or packages is None:
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


def _migrated(stack: Stack, after: list[pulumi.Resource]) -> Gate:
    """Run the migrations that did not run yet; the gate stops the update if one fails."""
    secrets = {name: pulumi.Output.secret(value) for name, value in stack.plan.migration_secrets.items()}
    migrations = Migrations(
        release=stack.plan.release.manifest.id,
        wanted=stack.plan.migrations,
        secrets=secrets,
        entry=provenance(),
        opts=pulumi.ResourceOptions(depends_on=after),
    )
    pulumi.export("migrations", migrations.ran)
    return _gate(stack, "migrated", migrations.refusal, after=migrations)


def _route(stack: Stack, name: RouteName, release: Release, *, after: pulumi.Resource) -> Route:
    request, sources = stack.request, stack.plan.sources
    why = {"verb": request.verb, "reason": request.reason, "by": operator()}
    return Route(
        name,
        release=stack.plan.release.manifest.id,
        servers=release.web_names,
        proxy=stack.proxy.container.name,
        proxy_id=stack.proxy.container.id,
        base=stack.proxy.base,
        limits=stack.targets.rollout,
        in_steps=request.in_steps,
        why={**why, "commit": sources.commit, "branch": sources.branch},
        last_move=stack.last_move,
        opts=pulumi.ResourceOptions(depends_on=[after, stack.proxy]),
    )


def _trial(stack: Stack, release: Release, history: History, *, after: pulumi.Resource) -> Trial:
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
        record=_record(stack).as_data(),
        depth=stack.request.depth,
        attempt=history.lost_traffic(manifest.id),
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
    gate = [report.model_dump(mode="json") for report in stack.request.gate] or trial.figures
    found = {"gate": gate, "traffic": live.traffic, "refusal": live.refusal}
    return Ledger(
        release=stack.plan.release.manifest.id,
        record={**_record(stack).as_data(), **found},
        proxy=stack.proxy.container.name,
        reports=_reports(stack),
        opts=pulumi.ResourceOptions(depends_on=[live]),
    )


def _record(stack: Stack) -> ReleaseRecord:
    """Who asks for this update, how and why, and from which sources its release was made."""
    manifest, request = stack.plan.release.manifest, stack.request
    return ReleaseRecord(
        release=manifest.id,
        stack=stack.config.stack,
        image=manifest.image,
        verb=request.verb,
        reason=request.reason,
        depth=request.depth,
        manifest=manifest,
        **who_and_when(),
        **stack.plan.sources.model_dump(),
    )


def _reports(stack: Stack) -> Path:
    return _record(stack).folder


def _loopback(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _export(stack: Stack, ledger: Ledger, before: dict[str, Any]) -> None:
    layout = stack.config.layout
    pulumi.export("url", layout.url)
    pulumi.export("candidate_url", _loopback(layout.candidate_port))
    if layout.sandbox:
        pulumi.export("sandbox_url", _loopback(layout.sandbox_port))
    if layout.monitoring:
        pulumi.export("prometheus_url", f"{layout.monitoring_url}/prometheus/")
        pulumi.export("alertmanager_url", f"{layout.monitoring_url}/alertmanager/")
    pulumi.export("release", ledger.release)
    pulumi.export("kept", [kept.manifest.id for kept in stack.plan.kept])
    pulumi.export("releases", ledger.entries)
    if not stack.plan.build and "migrations" in before:  # they did not run, and stay what they were
        pulumi.export("migrations", before["migrations"])
