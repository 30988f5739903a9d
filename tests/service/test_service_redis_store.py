"""The store over Redis's own protocol: its connections, and what is never sent twice."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from store_kit import Proxy, running_proxy, serving_bytes, until

from service.storage.redis_store import RedisStore
from service.storage.store import StoreAway, StoreRefused

pytestmark = pytest.mark.integration


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """A line to the empty Redis that can be watched and cut."""
    async with running_proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[RedisStore]:
    """A store behind the proxy."""
    store = RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout_s=30)
    yield store
    await store.aclose()


@pytest.fixture
async def impatient(proxy: Proxy) -> AsyncIterator[RedisStore]:
    """One that soon gives up."""
    store = RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.8)
    yield store
    await store.aclose()


async def test_calls_share_a_connection(proxy: Proxy, store: RedisStore) -> None:
    """However much is asked for at once, one connection is opened; reads that wait have their own."""
    await asyncio.gather(*(store.call("PING") for _ in range(20)))
    assert proxy.connections == 1
    await store.call("XGROUP", "CREATE", "s", "g", 0, "MKSTREAM")
    await store.read_group("g", "c", ["s"], count=1, block_ms=1)
    assert proxy.connections == 2


async def test_a_late_answer_is_nobodys(proxy: Proxy, impatient: RedisStore) -> None:
    """An answer that comes after its time was over is never taken for that of a later command."""
    await impatient.call("PING")
    proxy.speaking.clear()
    with pytest.raises(StoreAway):
        await impatient.call("ECHO", "late")
    proxy.speaking.set()
    assert await impatient.call("ECHO", "mine") == b"mine"
    assert proxy.connections == 2


async def test_a_command_under_way_is_not_sent_again(proxy: Proxy, store: RedisStore, redis: Redis) -> None:
    """When the connection breaks before the answer the caller is told, and the command is done once."""
    await store.call("PING")
    proxy.speaking.clear()
    asked = asyncio.ensure_future(store.call("INCR", "n"))

    async def done() -> bool:
        return await redis.get("n") == b"1"

    await until(done)
    proxy.cut()
    with pytest.raises(StoreAway):
        await asked
    proxy.speaking.set()
    assert await store.call("GET", "n") == b"1"


async def test_a_silent_redis_opens_no_flood_of_connections(proxy: Proxy, impatient: RedisStore) -> None:
    """While nothing answers, one connection is tried at a time."""
    proxy.speaking.clear()
    calls = []
    for _ in range(3):
        await asyncio.sleep(0.01)
        calls.append(asyncio.ensure_future(impatient.call("PING")))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {StoreAway}
    assert proxy.connections <= 2
    proxy.speaking.set()


async def test_the_url_tells_user_password_and_database(redis: Redis, redis_url: str) -> None:
    """Credentials and the database's number in the URL are used, percent-encoding and all."""
    await redis.acl_setuser("someone", enabled=True, passwords=["+p@ss"], commands=["+@all"], keys=["*"])
    await redis.execute_command("SELECT", 3)
    await redis.set("a", "in three")
    there = urlsplit(redis_url)
    store = RedisStore(f"redis://someone:p%40ss@{there.hostname}:{there.port}/3", timeout_s=30)
    try:
        assert await store.call("ACL", "WHOAMI") == b"someone"
        assert await store.call("GET", "a") == b"in three"
    finally:
        await redis.acl_deluser("someone")
        await store.aclose()


async def test_a_wrong_password_is_refused(redis_url: str) -> None:
    """Redis's own words tell that it does not let us in; the password is not in them."""
    there = urlsplit(redis_url)
    store = RedisStore(f"redis://nobody:hunter2@{there.hostname}:{there.port}", timeout_s=30)
    with pytest.raises(StoreRefused, match="WRONGPASS") as refused:
        await store.call("PING")
    assert "hunter2" not in str(refused.value)
    await store.aclose()


async def test_what_is_no_redis_is_away() -> None:
    """A server that speaks something else is an error of the store, and its connection is closed."""
    async with serving_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        store = RedisStore(f"redis://127.0.0.1:{port}", timeout_s=30)
        with pytest.raises(StoreAway):
            await store.call("PING")
        await store.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        ["openssl", *options.split(), "-keyout", file, "-out", file.with_suffix(".crt")],
        check=True,
        capture_output=True,
    )
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


@pytest.mark.parametrize("trusted", [True, False])
async def test_rediss_is_tls(redis_url: str, certificate: Path, *, trusted: bool) -> None:
    """`rediss://` speaks TLS and trusts the system's authorities, or `ssl_ca_certs`; no other certificate."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    trust = f"?ssl_ca_certs={certificate.with_suffix('.crt')}" if trusted else ""
    async with running_proxy(redis_url, tls) as proxy:
        store = RedisStore(f"rediss://localhost:{proxy.port}/0{trust}", timeout_s=30)
        if trusted:
            assert await store.call("PING") == b"PONG"
        else:
            with pytest.raises(StoreAway, match="SSLCertVerificationError"):
                await store.call("PING")
        await store.aclose()
