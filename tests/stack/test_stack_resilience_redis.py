"""Redis as `up` provisions it: paused, without memory, without disk, with a damaged file. And bad clients."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import suppress

import httpx
import pytest
from docker.errors import APIError
from docker.models.containers import Container
from on_demand import FULL, on_demand
from private_stack import PrivateStack, until

from contracts.webhook import WEBHOOK_PATH

pytestmark = [pytest.mark.stack, pytest.mark.own_engine]

PAUSED_S = 20 if FULL else 6
STALLED_S = 4
WAITED_FOR_S = 6  # two checks of the proxy
SLOW_CLIENTS = 500
REFUSALS = 20
AOF = "$(ls /data/appendonlydir/*.incr.aof | tail -n 1)"
_EACH = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call("
FILL = f"{_EACH}'SET', 'fill:' .. i, string.rep('x', 4000)) end return 1"
EMPTY = f"{_EACH}'UNLINK', 'fill:' .. i) end return 1"


def beside_the_data(stack: PrivateStack, command: str) -> str:
    """What a shell's *command* prints in a container of its own on Redis' volume."""
    redis = stack.container("redis")
    output = stack.engine.client.containers.run(
        redis.attrs["Config"]["Image"],
        ["sh", "-c", command],
        entrypoint="",
        user="999:999",
        volumes={f"{redis.name}-data": {"bind": "/data"}},
        remove=True,
    )
    return str(output.decode().strip())


def is_paused(container: Container) -> bool:
    """Whether it is, now; on a busy machine the kernel may give up freezing it."""
    with suppress(APIError):
        container.pause()
    container.reload()
    return bool(container.status == "paused")


def test_webhooks_are_refused_while_redis_is_paused(stack: PrivateStack) -> None:
    """In time for WAHA to hear it, and to come again."""
    with stack.messages() as sender:
        sender.wait_for_accepted(10)
        until(lambda: is_paused(stack.container("redis")), "Redis is paused", 120)
        time.sleep(PAUSED_S)  # how long it is paused
        stack.container("redis").unpause()
        stack.seconds_until_well()
    assert sender.refusals
    assert {refusal[:3] for refusal in sender.refusals} == {"503"}


def test_servers_that_stall_are_waited_for(stack: PrivateStack) -> None:
    """As on a machine with far too much to do: no request hears that none is up."""
    webs = [each for each in stack.containers() if each.labels["runbook.role"] == "web"]
    with stack.messages() as sender:
        sender.wait_for_accepted(10)
        began = time.monotonic()
        until(lambda: all(map(is_paused, webs)), "both are paused", 120)
        time.sleep(STALLED_S)  # how long they stall
        for web in webs:
            web.unpause()
        took_s = time.monotonic() - began
        stack.seconds_until_well()
    if took_s > WAITED_FOR_S:
        pytest.skip(f"the engine took {took_s:.1f} s to pause two containers for {STALLED_S} s")
    assert [refusal for refusal in sender.refusals if "no server is up" in refusal] == []


def test_a_full_memory_is_refused_for_and_kills_nothing(stack: PrivateStack) -> None:
    """At nine tenths: the workers go on, the container stays within its limit, with room all is taken."""
    redis = stack.container("redis")
    with stack.messages() as sender:
        last = 0
        while len(sender.refusals) < REFUSALS:
            assert last < 100_000, "webhooks are still taken"
            if last * 4000 < 232 * 2**20:
                assert stack.redis("EVAL", FILL, "0", str(last + 1), str(last + 2000)) == "1"
                last += 2000
            time.sleep(0.2)  # the service looks at the memory from time to time
        for first in range(1, last, 2000):
            stack.redis("EVAL", EMPTY, "0", str(first), str(first + 1999))
        stack.seconds_until_well()
    said = Counter(sender.refusals)
    assert all("503" in refusal and '"code":"memory"' in refusal for refusal in said), said
    before = redis.attrs["State"]["StartedAt"]
    redis.reload()
    assert redis.attrs["State"]["StartedAt"] == before


def test_what_was_answered_for_is_on_a_disk_that_is_full(stack: PrivateStack) -> None:
    """Redis ends at the first write that fails and is refused for; with room again all goes on by itself."""
    with stack.messages() as sender:
        sender.wait_for_accepted(20)
        stack.engine.fill_disk()
        try:
            until(lambda: len(sender.refusals) > REFUSALS, "webhooks are refused", 300, stack.states)
        finally:
            stack.engine.empty_disk()
        stack.seconds_until_well()


def test_redis_starts_with_an_end_that_was_never_written(stack: PrivateStack) -> None:
    """What it cut off is kept and said, by `up` too, until somebody has removed it."""
    redis = stack.container("redis")
    with stack.messages() as sender:
        sender.wait_for_accepted(20)
        redis.stop()
        beside_the_data(stack, f"head -c 4096 /dev/zero >> {AOF}")
        redis.start()
        stack.seconds_until_well()
    assert "bytes that were never written whole: cut off, kept in /data/damaged/" in redis.logs().decode()
    up = stack.project.runbook("up")
    assert up.returncode == 0, up.stderr
    assert "Redis has cut a damaged end off its append-only file" in up.stderr
    beside_the_data(stack, "rm -r /data/damaged")
    assert "damaged" not in stack.project.runbook("up").stderr


@on_demand
def test_up_shows_what_redis_says_of_a_file_that_it_cannot_mend(stack: PrivateStack) -> None:
    """It names the file and the cure, and touches neither: complete commands follow the damage."""
    redis = stack.container("redis")
    redis.stop()
    beside_the_data(stack, f"cp {AOF} /data/whole; printf 'xxxx' | dd of={AOF} bs=1 seek=0 conv=notrunc")
    beside_the_data(stack, f"head -c 100 /dev/zero >> {AOF}")
    damaged = beside_the_data(stack, f"md5sum < {AOF}")
    redis.start()
    up = stack.project.runbook("up")
    assert up.returncode == 1
    assert "is damaged at byte" in up.stderr, up.stderr
    assert "redis-check-aof --fix" in up.stderr
    assert beside_the_data(stack, f"md5sum < {AOF}") == damaged
    beside_the_data(stack, f"mv /data/whole {AOF}")
    mended = stack.project.runbook("up")
    assert mended.returncode == 0, mended.stderr
    stack.seconds_until_well()


BAD_REQUESTS = {
    b"GET /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\n\r\n": {405},
    b"POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}": {401},
    b"POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n": {401, 408, 413},
    b"POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": {
        400,
        408,
    },
    b"POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\nX-Gate-Lane: 1\r\nX-Webhook-Hmac: 00\r\n\r\n": {401},
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx": {400},
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": {400},
    b"GET " + b"/x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": {400, 414},
}


def test_the_stack_goes_on_when_redis_has_lost_its_data(stack: PrivateStack) -> None:
    """As with an empty volume: workers know by the proxy which release is live, and read the new streams."""
    with stack.messages() as sender:
        sender.wait_for_accepted(10)
    stack.redis("FLUSHALL")
    print(f"without its data: well after {stack.seconds_until_well():.1f} s")
    with stack.messages() as sender:
        sender.wait_for_accepted(10)


def test_bad_requests_are_refused_by_the_proxy_or_behind_it(stack: PrivateStack) -> None:
    """Each with a 4xx, none with a 5xx; messages are taken meanwhile, at once."""
    with stack.messages() as sender:
        for request, statuses in BAD_REQUESTS.items():
            with socket.create_connection(("127.0.0.1", stack.project.ports["port"]), 60) as connection:
                connection.sendall(request)
                answer = connection.recv(4096)
            assert int(answer[9:12] or b"0") in statuses, (request[:60], answer[:100])
    assert sender.refusals == []


@on_demand
def test_slow_clients_are_let_go_by_the_proxy(stack: PrivateStack) -> None:
    """Many send a body byte by byte: each is ended after ten seconds, nobody else is refused."""
    head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
    with stack.messages() as sender:
        address = "127.0.0.1", stack.project.ports["port"]
        slow = [socket.create_connection(address) for _ in range(SLOW_CLIENTS)]
        for each in slow:
            each.sendall(head)
        left, deadline = dict.fromkeys(slow, b""), time.monotonic() + 60
        while left:
            assert time.monotonic() < deadline, f"{len(left)} are still open"
            for each in list(left):
                each.setblocking(False)
                try:
                    each.send(b"x")
                    answer = each.recv(100)
                except BlockingIOError:
                    continue
                except OSError:
                    answer = b""
                assert answer[9:12] in (b"408", b"")
                each.close()
                del left[each]
            time.sleep(0.5)
    assert sender.refusals == []
    assert httpx.get(f"http://127.0.0.1:{stack.project.ports['port']}/api/health/ready").status_code == 200
