"""The topology of a stack on one screen: its parts, what gates a release, what moves the traffic."""

from __future__ import annotations

import hmac

import pulumi
import pulumi_docker as docker

from contracts.targets import read_targets
from infra.base_images import BaseImage
from infra.components.place import Place
from infra.components.proxy import Proxy, ProxyArgs
from infra.components.redis_store import RedisArgs, RedisStore
from infra.components.release import Release, ReleaseArgs
from infra.components.sandbox_app import Sandbox, SandboxArgs
from infra.dynamic.base_image import MadeImage
from infra.dynamic.gate import Gate
from infra.dynamic.ledger import Ledger
from infra.dynamic.route import Route
from infra.haproxy_config import RouteName
from infra.manifest import BUILD, Manifest
from infra.plan import Plan, read_plan
from infra.provenance import provenance
from infra.stack_config import REDIS_PASSWORD, RELEASE_KEY, StackConfig, read_stack_config


def deploy() -> None:
    """Declare the stack: network, Redis, proxy, release, candidate route, gate, live route."""
    config = read_stack_config()
    plan, targets = read_plan(config), read_targets()
    place = Place(config.stack, config.prefix, _network(config))
    redis = RedisStore(RedisArgs(place, _base(plan.redis), _password(config)))
    proxy = Proxy(ProxyArgs(place, _base(plan.haproxy), config.layout))
    packages = _packages(plan)
    before: list[pulumi.Resource] = [redis]
    if plan.sandbox_context:
        before.append(Sandbox(SandboxArgs(place, plan.sandbox_context, packages)))
    release = _release(config, plan, place, packages, redis, before)

    def route(name: RouteName, after: pulumi.Resource) -> Route:
        return Route(
            name,
            release=plan.manifest.id,
            servers=release.web_names,
            proxy=proxy.container.name,
            proxy_id=proxy.container.id,
            base=proxy.base,
            redis=redis.container.name,
            drain_s=targets.switch.drain_s,
            opts=pulumi.ResourceOptions(depends_on=[after, proxy]),
        )

    candidate = route("candidate", after=release)
    gate = Gate(
        release=plan.manifest.id,
        candidate_url=_loopback(config.layout.candidate_port),
        webhook_secret=plan.secrets["WAHA_WEBHOOK_SECRET"],
        reports=BUILD / "reports" / config.stack / plan.manifest.id,
        opts=pulumi.ResourceOptions(depends_on=[candidate]),
    )
    live = route("live", after=gate)
    ledger = Ledger(
        release=plan.manifest.id,
        entry={"manifest": plan.manifest.as_dict(), "gate": gate.figures, **provenance()},
        opts=pulumi.ResourceOptions(depends_on=[live]),
    )
    _export(config, live, ledger)


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
    config: StackConfig,
    plan: Plan,
    place: Place,
    packages: pulumi.Output[str],
    redis: RedisStore,
    before: list[pulumi.Resource],
) -> Release:
    secrets = {name: pulumi.Output.secret(value) for name, value in plan.secrets.items()}
    args = ReleaseArgs(
        place=place,
        manifest=plan.manifest,
        image=_image(plan, packages),
        secrets={**secrets, "REDIS_URL": redis.url, "PSEUDONYM_KEY": _pseudonym_key(config)},
    )
    return Release(args, pulumi.ResourceOptions(depends_on=before))


def _pseudonym_key(config: StackConfig) -> pulumi.Output[str]:
    """The same for all releases of a stack: a chat keeps its stand-in whichever release has its messages."""
    key = hmac.digest(config.secrets[RELEASE_KEY].encode(), b"pseudonyms", "sha256")
    return pulumi.Output.secret(key.hex())


def _image(plan: Plan, packages: pulumi.Output[str]) -> pulumi.Output[str]:
    """The release's image: built from the sources as they are, or kept from when the release was made."""
    manifest: Manifest = plan.manifest
    if plan.context is None:
        return docker.RemoteImage(f"image-{manifest.id}", name=manifest.image, keep_locally=True).name
    return docker.RemoteImage(
        f"image-{manifest.id}",
        name=manifest.image,
        build=docker.RemoteImageBuildArgs(
            context=str(plan.context),
            build_args={"BASE": packages},
            force_remove=True,
            labels={"runbook.release": manifest.id},
        ),
        keep_locally=True,
    ).name


def _loopback(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _export(config: StackConfig, live: Route, ledger: Ledger) -> None:
    layout = config.layout
    everywhere = layout.bind == "0.0.0.0"  # noqa: S104 - what the operator may have set
    pulumi.export("url", _loopback(layout.port) if everywhere else f"http://{layout.bind}:{layout.port}")
    pulumi.export("candidate_url", _loopback(layout.candidate_port))
    if layout.sandbox:
        pulumi.export("sandbox_url", _loopback(layout.sandbox_port))
    pulumi.export("release", live.release)
    pulumi.export("releases", ledger.entries)
