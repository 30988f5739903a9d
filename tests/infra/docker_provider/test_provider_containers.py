"""Containers on a real engine: how they come up, fail, drift, change in place, and go."""

from __future__ import annotations

import base64
import io
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from provider_client import Client, Map, init_failure, secret, urn

from infra.docker_provider import container_health
from infra.docker_provider.server import Provider
from infra.docker_provider.wire import UNKNOWN

pytestmark = pytest.mark.integration


@pytest.fixture
def base(image: str, prefix: str) -> Map:
    """A container that runs until it is told to stop."""
    return {"image": image, "name": f"{prefix}-c", "command": ["sleep", "600"], "init": True}


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of the loopback interface that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def error_text(client: Client, method: str, request: Map) -> str:
    """What a failing request says."""
    with pytest.raises(grpc.RpcError) as error:
        client.call(method, request)
    return str(error.value.details())  # type: ignore[attr-defined]


def create_error(client: Client, kind: str, news: Map) -> str:
    """What a failing create says."""
    return error_text(client, "Create", {"urn": urn(kind), "properties": client.check(kind, news)})


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds.

    Raises:
        AssertionError: it does not within 60 s.
    """
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def names(api: Any, prefix: str) -> list[str]:
    """The containers under the prefix, running or not."""
    return [c["Names"][0].removeprefix("/") for c in api.containers(all=True, filters={"name": prefix})]


def refreshed(client: Client, base: Map, made: Map) -> Map:
    """The answer to a refresh of a container made from *base*."""
    return client.read("Container", made["id"], client.check("Container", base), made["properties"])


def update(client: Client, base: Map, made: Map, **changed: Any) -> Map:
    """Update a container made from *base* in place; its properties."""
    old, new = client.check("Container", base), client.check("Container", base | changed)
    request = {
        "id": made["id"],
        "urn": urn("Container"),
        "olds": made["properties"],
        "oldInputs": old,
        "news": new,
    }
    return dict(client.call("Update", request)["properties"])


def test_preview_touches_no_engine(client: Client, provider: Provider) -> None:
    """A preview gives what is known and marks the rest unknown, without an engine."""
    news = {"image": UNKNOWN, "name": "n", "envs": [secret("P=x")]}
    request = {"urn": urn("Container"), "properties": client.check("Container", news), "preview": True}
    answer = client.call("Create", request)
    properties = answer["properties"]
    assert "id" not in answer
    assert (properties["name"], properties["image"], properties["hostname"]) == ("n", UNKNOWN, UNKNOWN)
    assert properties["envs"] == secret(["P=x"])
    assert provider._engine._client is None


def test_secret_inputs_come_out_secret(client: Client, base: Map) -> None:
    """One secret variable makes all of `envs` secret, in the create's answer and in a refresh's."""
    news = base | {"envs": ["A=1", secret("P=hunter2")], "uploads": [{"file": "/x", "content": secret("pw")}]}
    made = client.create("Container", news)
    read = refreshed(client, news, made)
    for properties in (made["properties"], read["properties"], read["inputs"]):
        assert properties["envs"] == secret(["A=1", "P=hunter2"])
        assert set(properties["uploads"]) == set(secret(""))


def test_secret_is_not_in_an_error(client: Client, base: Map, api: Any) -> None:
    """Neither the engine's answer nor the container's last words carry a secret into the error."""
    news = base | {"command": ["sh", "-c", "echo $P; exit 3"], "envs": [secret("P=hunter2")], "wait": True}
    news |= {"healthcheck": {"tests": ["CMD", "true"], "interval": "30s"}}
    text = create_error(client, "Container", news)
    assert "exited with code 3" in text
    assert "[secret]" in text
    assert "hunter2" not in text


def test_uploads_are_there_before_the_start(client: Client, base: Map, api: Any, prefix: str) -> None:
    """Content, decoded content and permissions, in a volume too, without the container ever starting."""
    uploads = [
        {"file": "/data/a", "content": "one", "permissions": "0400"},
        {"file": "/deep/er/b", "contentBase64": base64.b64encode(b"\x00two").decode(), "executable": True},
    ]
    volume = {"volumeName": f"{prefix}-v", "containerPath": "/data"}
    news = base | {"start": False, "mustRun": False, "uploads": uploads, "volumes": [volume]}
    made = client.create("Container", news)
    stream, _ = api.get_archive(made["id"], "/data/a")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        (entry,) = tar.getmembers()
        assert entry.mode & 0o777 == 0o400
        assert tar.extractfile(entry).read() == b"one"  # type: ignore[union-attr]
    stream, _ = api.get_archive(made["id"], "/deep/er/b")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.getmembers()[0].mode & 0o777 == 0o744
    assert api.inspect_container(made["id"])["State"]["Status"] == "created"


def test_properties_reach_the_engine(client: Client, base: Map, api: Any) -> None:
    """The table's paths are the engine's: what is given is what the engine reports."""
    made = client.create(
        "Container",
        base
        | {
            "hostname": "h",
            "memory": 64,
            "memorySwap": 64,
            "cpus": "0.5",
            "ulimits": [{"name": "nofile", "soft": 512, "hard": 1024}],
            "hosts": [{"host": "a", "ip": "192.0.2.1"}],
            "dns": ["192.0.2.2"],
            "labels": [{"label": "l", "value": "v"}],
            "shmSize": 32,
            "groupAdds": ["1000"],
            "mounts": [{"type": "tmpfs", "target": "/t", "tmpfsOptions": {"sizeBytes": 65536}}],
            "entrypoints": ["/bin/busybox"],
            "restart": "on-failure",
            "maxRetryCount": 2,
            "healthcheck": {"tests": ["CMD", "true"], "interval": "1m30s"},
        },
    )
    seen = api.inspect_container(made["id"])
    config, host = seen["Config"], seen["HostConfig"]
    assert (config["Hostname"], config["Labels"], config["Entrypoint"]) == ("h", {"l": "v"}, ["/bin/busybox"])
    assert config["Healthcheck"]["Interval"] == 90 * 10**9
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 512, "Hard": 1024}]
    assert (host["ExtraHosts"], host["Dns"], host["GroupAdd"]) == (["a:192.0.2.1"], ["192.0.2.2"], ["1000"])
    assert (host["ShmSize"], host["Init"]) == (32 << 20, True)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert (host["Mounts"][0]["Target"], host["Mounts"][0]["TmpfsOptions"]["SizeBytes"]) == ("/t", 65536)


def test_failed_start_leaves_no_container(
    client: Client, base: Map, api: Any, prefix: str, taken_port: int
) -> None:
    """When the port is taken the container is removed again; container, port and what to do are said."""
    port = {"internal": 80, "external": taken_port, "ip": "127.0.0.1"}
    text = create_error(client, "Container", base | {"ports": [port]})
    assert f"container {prefix}-c: cannot be started" in text
    error, hint = text.splitlines()
    assert f"127.0.0.1:{taken_port}" in error
    assert f"hint: it publishes 127.0.0.1:{taken_port}" in hint
    assert names(api, prefix) == []


def test_failed_upload_leaves_no_container(client: Client, base: Map, api: Any, prefix: str) -> None:
    """A file that cannot go in (here: a read-only root) is told by its path, and nothing is left."""
    upload = {"file": "/etc/x", "content": "y"}
    text = create_error(client, "Container", base | {"readOnly": True, "uploads": [upload]})
    assert "/etc/x cannot be uploaded" in text
    assert names(api, prefix) == []


def test_unknown_network_leaves_no_container(client: Client, base: Map, api: Any, prefix: str) -> None:
    """A network that is not there is named, and nothing is left."""
    text = create_error(client, "Container", base | {"networksAdvanced": [{"name": f"{prefix}-none"}]})
    assert f"network {prefix}-none not found" in text
    assert names(api, prefix) == []


def test_missing_image_is_named(client: Client, base: Map, prefix: str) -> None:
    """An image that is neither here nor to be pulled is told with its container."""
    text = create_error(client, "Container", base | {"image": "127.0.0.1:1/none:1"})
    assert f"container {prefix}-c: image 127.0.0.1:1/none:1 is not on the engine and cannot be pulled" in text


@pytest.fixture
def over_once_unhealthy(api: Any, base: Map, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait for health is over when it has seen the container unhealthy, however late the engine looks."""
    began, seen = time.monotonic(), [False]

    def now() -> float:
        assert time.monotonic() < began + 240, "it does not become unhealthy"
        before, status = seen[0], api.inspect_container(base["name"])["State"]["Health"]["Status"]
        seen[0] = status == "unhealthy"
        return 1000.0 if before and seen[0] else 0.0

    monkeypatch.setattr(container_health, "time", SimpleNamespace(monotonic=now))


def test_taken_name_is_told(client: Client, base: Map, prefix: str) -> None:
    """A container that has the name already is not touched; the error says what to do."""
    client.create("Container", base)
    text = create_error(client, "Container", base)
    assert f"container {prefix}-c: cannot be created" in text
    assert "remove or rename the container that has the name" in text


@pytest.mark.usefixtures("over_once_unhealthy")
def test_unhealthy_container_stays_in_the_state(client: Client, base: Map, api: Any) -> None:
    """A failed wait keeps the container, its outputs and the reason, with the last check's own words."""
    check = {"tests": ["CMD-SHELL", "echo it is broken; exit 1"], "interval": "200ms", "retries": 1}
    inputs = client.check("Container", base | {"healthcheck": check, "wait": True, "waitTimeout": 2})
    with pytest.raises(grpc.RpcError) as error:
        client.call("Create", {"urn": urn("Container"), "properties": inputs})
    detail = init_failure(error.value)
    assert detail["id"] == api.inspect_container(base["name"])["Id"]
    assert detail["properties"]["name"] == base["name"]
    (reason,) = detail["reasons"]
    assert "failed to be in healthy state within 2 s: it is unhealthy" in reason
    assert "it is broken" in reason


def test_container_that_dies_at_once_is_told(client: Client, base: Map) -> None:
    """A wait does not go on for a container that has exited."""
    news = base | {"command": ["sh", "-c", "echo no config; exit 7"], "wait": True}
    news |= {"healthcheck": {"tests": ["CMD", "true"], "interval": "30s"}, "waitTimeout": 600}
    began = time.monotonic()
    text = create_error(client, "Container", news)
    assert "exited with code 7 instead of running: no config" in text
    assert time.monotonic() - began < 300


def test_cancel_ends_a_wait(client: Client, base: Map, api: Any) -> None:
    """A cancelled update does not wait for health any longer, and keeps the container in the state."""
    check = {"tests": ["CMD", "false"], "interval": "30s"}
    inputs = client.check("Container", base | {"healthcheck": check, "wait": True, "waitTimeout": 300})
    began = time.monotonic()
    threading.Timer(1, client.call, ("Cancel",)).start()
    with pytest.raises(grpc.RpcError) as error:
        client.call("Create", {"urn": urn("Container"), "properties": inputs})
    assert "cancelled" in init_failure(error.value)["reasons"][0]
    assert time.monotonic() - began < 200


def test_attached_container_is_waited_for(client: Client, base: Map) -> None:
    """With `attach` and `logs` the create ends with the container, and its output is an output."""
    news = base | {"command": ["echo", "done"], "attach": True, "logs": True, "mustRun": False}
    properties = client.create("Container", news)["properties"]
    assert properties["containerLogs"].strip() == "done"
    assert properties["exitCode"] == 0


def test_port_that_the_engine_chooses_is_an_output(client: Client, base: Map, api: Any) -> None:
    """Without an external port the engine picks one, and the output says which."""
    made = client.create("Container", base | {"ports": [{"internal": 80, "ip": "127.0.0.1"}]})
    bound = api.inspect_container(made["id"])["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    assert made["properties"]["ports"][0]["external"] == int(bound)


def test_container_removed_by_hand_reads_as_nothing(client: Client, base: Map, api: Any) -> None:
    """A refresh drops what is gone, so that the next update makes it again; deleting it is fine."""
    made = client.create("Container", base)
    api.remove_container(made["id"], force=True)
    assert refreshed(client, base, made) == {}
    client.delete("Container", made)


def test_stopped_container_shows_and_is_started_again(client: Client, base: Map, api: Any) -> None:
    """A stopped container that must run drifts in `mustRun`; the update starts the same container."""
    made = client.create("Container", base)
    api.stop(made["id"], timeout=0)
    drifted = refreshed(client, base, made)
    answer = client.diff("Container", drifted["inputs"], client.check("Container", base))
    assert answer["detailedDiff"] == {"mustRun": {"kind": "UPDATE"}}
    update(client, base, made)
    assert api.inspect_container(made["id"])["State"]["Running"]


@pytest.mark.parametrize(
    ("given", "by_hand", "path"),
    [
        ({"memory": 64, "memorySwap": 64}, {"mem_limit": "96m", "memswap_limit": "96m"}, "memory"),
        ({"restart": "always"}, {"restart_policy": {"Name": "no"}}, "restart"),
        ({"cpuShares": 100}, {"cpu_shares": 200}, "cpuShares"),
    ],
)
def test_limit_changed_by_hand_shows_and_is_set_back(
    client: Client, base: Map, api: Any, given: Map, by_hand: Map, path: str
) -> None:
    """What `docker update` changed is a difference after a refresh, and the update takes it back in place."""
    made = client.create("Container", base | given)
    api.update_container(made["id"], **by_hand)
    drifted = refreshed(client, base | given, made)
    program = client.check("Container", base | given)
    assert client.diff("Container", drifted["inputs"], program)["detailedDiff"][path] == {"kind": "UPDATE"}
    request = {"id": made["id"], "urn": urn("Container"), "olds": drifted["properties"], "news": program}
    client.call("Update", request | {"oldInputs": drifted["inputs"]})
    again = refreshed(client, base | given, made)
    assert client.diff("Container", again["inputs"], program)["changes"] == "DIFF_NONE"


def test_container_off_its_network_shows(client: Client, base: Map, api: Any, prefix: str) -> None:
    """A network that the container was taken off by hand is a difference after a refresh."""
    network = client.create("Network", {"name": f"{prefix}-n"})
    news = base | {"networksAdvanced": [{"name": f"{prefix}-n", "aliases": ["a"]}]}
    made = client.create("Container", news)
    assert refreshed(client, news, made)["inputs"] == client.check("Container", news)
    api.disconnect_container_from_network(made["id"], network["id"])
    answer = client.diff(
        "Container", refreshed(client, news, made)["inputs"], client.check("Container", news)
    )
    assert answer["replaces"] == ["networksAdvanced"]


def test_memory_alone_gives_no_phantom_difference(client: Client, base: Map) -> None:
    """The swap limit that the engine adds is no difference to a program that gave none."""
    news = base | {"memory": 64}
    made = client.create("Container", news)
    assert made["properties"]["memorySwap"] == 128
    assert refreshed(client, news, made)["inputs"] == client.check("Container", news)


def test_limits_change_in_place(client: Client, base: Map, api: Any) -> None:
    """A higher limit and another restart policy reach the same container, still running."""
    made = client.create("Container", base | {"memory": 64})
    properties = update(client, base | {"memory": 64}, made, memory=128, restart="always")
    seen = api.inspect_container(made["id"])
    assert (seen["HostConfig"]["Memory"], seen["HostConfig"]["RestartPolicy"]["Name"]) == (
        128 << 20,
        "always",
    )
    assert (properties["memory"], properties["memorySwap"], properties["restart"]) == (128, 256, "always")
    assert seen["State"]["Running"]


@pytest.mark.usefixtures("over_once_unhealthy")
def test_failed_wait_is_tried_again_by_an_update(client: Client, base: Map, api: Any) -> None:
    """The next update finds the container that stayed, restarts it while it is unhealthy, and waits again."""
    check = {"tests": ["CMD", "ls", "/tmp/ready"], "interval": "200ms", "retries": 1}
    news = base | {"healthcheck": check, "wait": True, "waitTimeout": 1}
    with pytest.raises(grpc.RpcError) as error:
        client.create("Container", news)
    kept = init_failure(error.value)
    before = api.inspect_container(kept["id"])["State"]["StartedAt"]
    with pytest.raises(grpc.RpcError) as error:
        update(client, news, kept)
    assert init_failure(error.value)["id"] == kept["id"]
    again = api.inspect_container(kept["id"])["State"]["StartedAt"]
    assert again > before
    api.exec_start(api.exec_create(kept["id"], ["sh", "-c", "echo > /tmp/ready"])["Id"])
    wait_for(lambda: api.inspect_container(kept["id"])["State"]["Health"]["Status"] == "healthy")
    assert update(client, news, kept)["id"] == kept["id"]
    assert api.inspect_container(kept["id"])["State"]["StartedAt"] == again, "a healthy one is left alone"


def test_grace_is_kept_at_the_delete(client: Client, base: Map, api: Any, prefix: str) -> None:
    """A container with a grace gets the time to finish after SIGTERM, and then is gone."""
    script = "trap 'sleep 1; echo finished > /data/end; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    volume = {"volumeName": f"{prefix}-v", "containerPath": "/data"}
    news = base | {"command": ["sh", "-c", script], "destroyGraceSeconds": 120, "volumes": [volume]}
    made = client.create("Container", news)
    assert b"ready" in next(iter(api.logs(made["id"], stream=True))), "SIGTERM finds its trap"
    began = time.monotonic()
    client.delete("Container", made)
    assert 1 <= time.monotonic() - began < 100
    reader = base | {"command": ["cat", "/data/end"], "attach": True, "logs": True, "mustRun": False}
    assert (
        client.create("Container", reader | {"volumes": [volume]})["properties"]["containerLogs"]
        == "finished\n"
    )


def test_import_gives_the_inputs_that_made_it(client: Client, base: Map, prefix: str) -> None:
    """An import by name finds what the program would say, so that the program then has nothing to do."""
    client.create("Network", {"name": f"{prefix}-n"})
    news = base | {
        "networkMode": f"{prefix}-n",
        "envs": ["A=1"],
        "labels": [{"label": "l", "value": "v"}],
        "volumes": [{"volumeName": f"{prefix}-v", "containerPath": "/data", "readOnly": True}],
        "user": "1000",
        "memory": 64,
    }
    made = client.create("Container", news)
    found = client.read("Container", base["name"])
    assert found["id"] == made["id"]
    difference = client.diff("Container", found["inputs"], client.check("Container", news))
    # The program's own defaults about how the provider works are not on the engine.
    assert set(difference["diffs"]) == {
        "containerReadRefreshTimeoutMilliseconds", "mustRun", "removeVolumes", "start", "waitTimeout",
    }  # fmt: skip
    assert "replaces" not in difference
