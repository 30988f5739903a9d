"""Proxy and Redis are not replaced unasked: the program looks at what runs before it declares anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from declared_stack import PREFIX, SECRETS, STACK, Declared, DeclaredStack, declare
from fake_docker_api import FakeDocker, fake_docker
from records import manifest

from infra.haproxy_config import base_config
from infra.manifest import Secrets

PROXY, REDIS = f"{PREFIX}-proxy", f"{PREFIX}-redis"
ASKED = {"verb": "up", "replace_infrastructure": True}
OLD_IMAGE = "runbook/redis:debian12-f0f60077af70-20200101"


def labels(container: Declared) -> dict[str, str]:
    """By name."""
    return {each["label"]: each["value"] for each in container.inputs["labels"]}


def run(engine: FakeDocker, container: Declared, image: str | None = None, **more: str) -> None:
    """Let *container* run as it was declared, but for its *image* and for *more* labels."""
    ports = container.inputs.get("ports", [])
    bindings = {
        f"{port['internal']}/tcp": [{"HostIp": port["ip"], "HostPort": str(port["external"])}]
        for port in ports
    }
    engine.run(
        container.name,
        Config={"Labels": labels(container) | more, "Image": image or container.inputs["image"]},
        HostConfig={"PortBindings": bindings},
        Ports=[{"IP": port["ip"], "PublicPort": port["external"]} for port in ports],
    )


@pytest.fixture
def engine() -> Iterator[FakeDocker]:
    """One on which proxy and Redis run as this program makes them."""
    with fake_docker() as engine:
        declared = declare(engine.host)
        for name in (PROXY, REDIS):
            run(engine, declared[name])
        engine.files[REDIS, "/conf/password"] = SECRETS["REDIS_PASSWORD"]
        yield engine


def test_the_same_program_replaces_nothing_and_says_nothing(engine: FakeDocker) -> None:
    """A second update declares the same two containers."""
    first, again = declare(engine.host), declare(engine.host)
    for name in (PROXY, REDIS):
        assert first[name].inputs == again[name].inputs
    assert again.log == []


CHANGES: list[tuple[dict[str, Any], str, str]] = [
    ({"layout": {"port": 8443}}, PROXY, "ports"),
    ({"layout": {"bind": "0.0.0.0"}}, PROXY, "ports"),
    ({"layout": {"sandbox": False}}, PROXY, "ports"),
]


@pytest.mark.parametrize(("change", "name", "what"), CHANGES)
def test_what_would_replace_one_is_refused_with_its_cost(
    engine: FakeDocker, change: dict[str, Any], name: str, what: str
) -> None:
    """It names the container, what changed of it, the seconds, and how it is asked for by either command."""
    with pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, **change)
    said = str(refusal.value)
    cost = r"about \d+ s without service, \d+ s at most"
    assert re.search(rf"{name} is replaced \(changed: {what}\): {cost}", said)
    assert f"`bin/runbook up --replace-infrastructure --stack {STACK}`" in said
    assert (
        f"`RUNBOOK_DEPLOY_REQUEST='{{\"replace_infrastructure\": true}}' bin/pulumi up --stack {STACK}`"
        in said
    )
    assert all(secret not in said for secret in SECRETS.values())


@pytest.mark.parametrize(("change", "name", "what"), CHANGES)
def test_a_preview_only_says_so(engine: FakeDocker, change: dict[str, Any], name: str, what: str) -> None:
    """And goes on to show all that would change."""
    declared = declare(engine.host, preview=True, **change)
    assert any(f"{name} is replaced (changed: {what})" in line for line in declared.log)
    assert declared[name].inputs["labels"]


def test_a_rehearsal_is_refused_as_the_update_would_be(engine: FakeDocker) -> None:
    """What the update is to make again is removed only then."""
    with pytest.raises(pulumi.RunError, match=rf"{PROXY} is replaced"):
        declare(engine.host, preview=True, request={"is_rehearsal": True}, layout={"port": 8443})
    with pytest.raises(pulumi.RunError, match="REDIS_PASSWORD of"):
        declare(engine.host, preview=True, request={"is_rehearsal": True}, secrets=ANOTHER)


@pytest.mark.parametrize(("change", "name", "what"), CHANGES)
def test_what_is_asked_for_is_done_and_said(
    engine: FakeDocker, change: dict[str, Any], name: str, what: str
) -> None:
    """The new container's label is that of what it is."""
    before = labels(declare(engine.host)[name])
    declared = declare(engine.host, request=ASKED, **change)
    assert any(f"{name} is replaced (changed: {what})" in line for line in declared.log)
    assert labels(declared[name]) != before


ANOTHER = {**SECRETS, "REDIS_PASSWORD": "of-an-older-file"}


@pytest.mark.parametrize("request_", [{}, ASKED, {"verb": "hotfix"}])
@pytest.mark.parametrize("held_by", [REDIS, f"{REDIS}-conf-seed"])
def test_another_password_of_redis_is_refused_whatever_was_asked_for(
    engine: FakeDocker, request_: dict[str, Any], held_by: str
) -> None:
    """Live and kept releases have the old one: they would lose Redis. Also where Redis itself is gone."""
    if held_by != REDIS:
        del engine.containers[REDIS]
        engine.run(held_by)
        engine.files[held_by, "/conf/password"] = engine.files.pop((REDIS, "/conf/password"))
    with pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, secrets=ANOTHER, request=request_)
    said = str(refusal.value)
    assert "REDIS_PASSWORD of Pulumi.dev-declared.yaml is not the one that the stack's releases have" in said
    assert "hint: nothing was changed; take Pulumi.dev-declared.yaml from" in said
    assert all(secret not in said for secret in (*SECRETS.values(), *ANOTHER.values()))


def test_a_preview_says_that_the_password_is_another(engine: FakeDocker) -> None:
    """And goes on."""
    declared = declare(engine.host, secrets=ANOTHER, preview=True)
    assert any("REDIS_PASSWORD of Pulumi.dev-declared.yaml is not" in line for line in declared.log)


def test_one_that_an_earlier_version_made_is_replaced_on_request_only(engine: FakeDocker) -> None:
    """It has no label."""
    engine.containers[PROXY]["Config"]["Labels"].pop("runbook.fingerprint")
    with pytest.raises(pulumi.RunError, match=rf"{PROXY} is replaced \(an earlier version made it\)"):
        declare(engine.host)
    assert declare(engine.host, request=ASKED)[PROXY]


def test_one_that_is_gone_is_just_made(engine: FakeDocker) -> None:
    """Nobody is served without it."""
    del engine.containers[PROXY]
    declared = declare(engine.host, layout={"port": 8443})
    assert declared[PROXY].inputs["ports"][0]["external"] == 8443
    assert declared.log == []


def test_another_choice_of_image_replaces_nothing(engine: FakeDocker) -> None:
    """The one that runs is kept, needs not be made again, and what is newer is said."""
    declared = declare(engine.host)
    of_old = declare_with_image(engine, OLD_IMAGE)
    assert of_old[REDIS].inputs["image"] == OLD_IMAGE != declared[REDIS].inputs["image"]
    assert of_old[f"{REDIS}-conf-seed"].inputs["image"] == OLD_IMAGE
    assert "base-redis" not in {each.name for each in of_old.resources}
    kept = [line for line in of_old.log if REDIS in line and "keeps its image" in line]
    assert f"`bin/runbook up --replace-infrastructure --stack {STACK}`" in kept[0]
    newer = declare(engine.host, request=ASKED)
    assert newer[REDIS].inputs["image"] == declared[REDIS].inputs["image"]
    assert labels(newer[REDIS]) != labels(of_old[REDIS])


def declare_with_image(engine: FakeDocker, image: str) -> DeclaredStack:
    """The stack on whose engine a Redis of *image* runs, as the program would have made it."""
    declared = declare(engine.host)
    fingerprint = labels(declared[REDIS])["runbook.fingerprint"]
    of_image = re.sub("image=[0-9a-f]+", f"image={image_hash(image)}", fingerprint)
    run(engine, declared[REDIS], image, **{"runbook.fingerprint": of_image})
    return declare(engine.host)


def image_hash(image: str) -> str:
    """As the label has it."""
    from infra.replacement import SharedContainer

    return SharedContainer("x", image, {}, (1, 2)).fingerprint().removeprefix("image=")


def test_an_image_whose_name_may_mean_another_is_not_kept(engine: FakeDocker) -> None:
    """`redis:7` is one thing today and another tomorrow."""
    with pytest.raises(pulumi.RunError, match=rf"{REDIS} is replaced"):
        declare_with_image(engine, "redis:7")


@pytest.mark.parametrize("verb", ["rollback", "watch", "hotfix"])
def test_no_other_verb_touches_the_infrastructure(engine: FakeDocker, verb: str) -> None:
    """Whatever the checkout of whoever types it has: all that the two consist of is left alone, and said."""
    declared = declare(engine.host, layout={"port": 8443}, request={"verb": verb})
    assert [line for line in declared.log if f"{PROXY} stays as it is: {verb}" in line]
    for container in (declared[PROXY], declared[f"{PROXY}-routes-seed"]):
        assert set(container.inputs) - {"mustRun"} <= set(container.ignore_changes)
    assert declared[f"{PREFIX}-network"].ignore_changes == ("*",)
    assert "base-haproxy" not in {each.name for each in declared.resources}
    assert declared[REDIS].ignore_changes == ()  # nothing of it differs


EARLIER = manifest(
    "r-0000001", secrets=Secrets(SECRETS, {}, SECRETS["RELEASE_KEY"]).digests(["WAHA_WEBHOOK_SECRET"])
)
COMES_BACK = {"verb": "rollback", "bring_back": EARLIER.model_dump(mode="json")}


@pytest.mark.parametrize("layout", [{}, {"port": 8443}, {"sandbox": False}])
def test_a_release_that_comes_back_changes_nothing_beside_it(
    engine: FakeDocker, monkeypatch: pytest.MonkeyPatch, layout: dict[str, Any]
) -> None:
    """Whatever the checkout holds now, its layout and both configurations: nothing of it is looked at."""
    monkeypatch.setattr("infra.components.proxy.base_config", lambda **parts: f"# another {parts}")
    monkeypatch.setattr("infra.components.redis_store.START", "# another")
    declared = declare(engine.host, layout=layout, request=COMES_BACK)
    for name in (PROXY, f"{PROXY}-routes-seed", REDIS, f"{REDIS}-conf-seed"):
        container = declared[name]
        assert set(container.inputs) - {"mustRun"} <= set(container.ignore_changes), name
        assert "mustRun" not in container.ignore_changes, name
    for part in ("network", "proxy-routes", "redis-data", "redis-conf"):
        assert "*" in declared[f"{PREFIX}-{part}"].ignore_changes, part
    assert declared[f"{PREFIX}-web-1-{EARLIER.id}"].inputs["image"] == EARLIER.image
    assert declared.of("RemoteImage") == []
    built = ("base-", "packages-", "image-")
    assert [each.name for each in declared.resources if each.name.startswith(built)] == []
    assert declared.log == []
    # The traffic has moved before the state follows: that these differ is no news.
    assert declare(engine.host, outputs={"release": "r-0000002"}, request=COMES_BACK).log == []


def test_another_base_configuration_is_said_where_the_proxy_gets_it(engine: FakeDocker) -> None:
    """It is in force before the gate. Nothing is said of the same one, nor where the proxy has none yet."""
    said = "the proxy's base configuration changes: live traffic gets it at the next reload, before the gate"
    assert said not in "".join(declare(engine.host).log)
    file = (PROXY, "/routes/00-base.cfg")
    engine.files[file] = base_config(sandbox=True)
    assert said not in "".join(declare(engine.host).log)
    engine.files[file] += "# of an earlier version\n"
    assert said in "".join(declare(engine.host).log)
    assert said not in "".join(declare(engine.host, request=COMES_BACK).log)


def test_another_base_configuration_replaces_no_container(
    engine: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put into the volume; the proxy takes it with its next reload."""
    before = declare(engine.host)
    monkeypatch.setattr("infra.components.proxy.base_config", lambda **parts: f"# another {parts}")
    after = declare(engine.host)
    assert after[PROXY].inputs == before[PROXY].inputs
    seeded = f"{PROXY}-routes-seed"
    assert after[seeded].inputs["uploads"] != before[seeded].inputs["uploads"]


@pytest.mark.parametrize("asked", [None, ASKED])
@pytest.mark.parametrize("gone", [True, False])
def test_a_port_that_somebody_else_has_is_named_before_anything_is_deleted(
    engine: FakeDocker, asked: dict[str, Any] | None, gone: bool
) -> None:
    """Whether the proxy is replaced or made; its own ports are no obstacle."""
    engine.run("web-server", Ports=[{"IP": "0.0.0.0", "PublicPort": 8443}])
    if gone:
        del engine.containers[PROXY]
    with pytest.raises(pulumi.RunError) as refusal:
        declare(engine.host, layout={"port": 8443}, request=asked)
    assert "port 8443 of 127.0.0.1 is taken: container web-server has it" in str(refusal.value)
    assert f"`bin/pulumi config set --path runbook:layout.port NUMBER --stack {STACK}`" in str(refusal.value)
    assert "port 8081" not in str(refusal.value)
    previewed = declare(engine.host, layout={"port": 8443}, request=asked, preview=True)
    assert [line for line in previewed.log if f"NUMBER --stack {STACK}`" in line]
