"""A Redis Cluster: all keys are in one slot, and the node that has it is found from any other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cluster_kit import Cluster, running_cluster
from service_kit import Processes, Stub, event, post_to, wait_until
from store_kit import ECHO, until

from service.lanes import LIVE
from service.storage.redis_store import RedisStore
from service.storage.store import Moved, StoreAway, refusal

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes; the keys are at one, and we are told of the other."""
    with running_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def store(cluster: Cluster) -> AsyncIterator[RedisStore]:
    """A store that knows the node without the keys."""
    store = RedisStore(cluster.other.url, timeout_s=30)
    yield store
    await store.aclose()


async def test_whoever_has_the_keys_is_asked(store: RedisStore, cluster: Cluster) -> None:
    """Commands, scripts and reads that wait: their callers do not see that they went to two nodes."""
    await store.call("XGROUP", "CREATE", LIVE.stream, "g", 0, "MKSTREAM")
    await store.call("XADD", LIVE.stream, "*", "a", "b")
    assert await store.run(ECHO, [LIVE.stream], ["x"]) == [LIVE.stream.encode(), b"x"]
    ((_, entries),) = await store.read_group("g", "c", [LIVE.stream], count=1, block_ms=100)
    assert [fields for _, fields in entries] == [{b"a": b"b"}]
    assert cluster.owner.ask("XLEN", LIVE.stream) == 1
    assert store.open_connections() == 2


async def test_a_slot_that_moves_is_followed(store: RedisStore, cluster: Cluster) -> None:
    """Calls go on, and nothing is done twice."""
    key = LIVE.turn("x")
    await store.call("PING")
    cluster.move(key)
    assert [await store.call("INCR", key) for _ in range(3)] == [1, 2, 3]
    assert cluster.other.ask("GET", key) == "3"


async def test_a_node_that_is_gone_is_not_asked_for_ever(store: RedisStore, cluster: Cluster) -> None:
    """When the node that we were sent to has died, the URL's node knows who has its keys now."""

    async def disconnected() -> bool:
        return store.open_connections() == 0

    key = LIVE.turn("x")
    assert await store.call("EXISTS", key) == 0
    cluster.move(key)
    cluster.owner.process.kill()
    cluster.owner.process.wait()
    await until(disconnected)
    with pytest.raises(StoreAway, match="cannot be reached"):
        await store.call("INCR", key)
    assert await store.call("INCR", key) == 1


def test_messages_are_answered(processes: Processes, stub: Stub, cluster: Cluster) -> None:
    """Web and worker need no key outside of their slot, and no node but one to begin with."""
    over = {"REDIS_URL": cluster.other.url}
    web, worker = processes.web(**over), processes.worker(stub, **over)
    body = event("hello", message_id="A")
    assert [post_to(web, body).status_code for _ in range(2)] == [202, 200]
    wait_until(lambda: len(stub.sent) == 1, "it is answered")
    wait_until(lambda: cluster.owner.ask("XLEN", LIVE.stream) == 0, "it is done")
    assert (web.stop(), worker.stop()) == (0, 0)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("MOVED 3999 127.0.0.1:6381", ("127.0.0.1", 6381)),
        ("MOVED 3999 ::1:6381", ("::1", 6381)),
        ("MOVED 3999 :6381", ("", 6381)),
    ],
)
def test_where_it_moved_to_is_read(message: str, place: tuple[str, int]) -> None:
    """An address may have colons, and one that is not told is the one we have."""
    error = refusal(message)
    assert isinstance(error, Moved)
    assert error.place == place
