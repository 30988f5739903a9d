"""Redis starts on an append-only file whose end was never written; one damaged otherwise it leaves alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import docker
import pytest
from abandoned import OURS, remove_abandoned
from docker.models.containers import Container
from waiting import wait_until

from infra.base_images import Mode, Role, ensure, resolve
from infra.components.redis_store import START, configuration
from infra.containers import ContainerExec
from infra.errors import Refused

pytestmark = pytest.mark.integration

NAME = f"runbook-{OURS}-redis-start"
LABELS = {"runbook.stack": OURS}
AOF = "/data/appendonlydir/appendonly.aof.1.incr.aof"
FILL = (
    "for i in 1 2 3; do redis-cli -a pw set k$i v$i; done; "
    'redis-cli -a pw eval \'for i=1,5 do redis.call("set","m"..i,string.rep("x",50)) end\' 0'
)
LAST = "the last transaction"

NULS = f"head -c 100 /dev/zero >> {AOF}"


def appended(*parts: str) -> str:
    """The shell's command that writes a command of these parts behind the file's end."""
    text = "".join(f"${len(part)}\\r\\n{part}\\r\\n" for part in parts)
    return f"printf '*{len(parts)}\\r\\n{text}' >> {AOF}"


Run = Callable[[str], tuple[int, str]]
Start = Callable[[], Container]


@pytest.fixture(scope="module")
def image() -> str:
    """Redis'."""
    redis = resolve(Role.REDIS, Mode.AUTO)
    ensure(redis, print)
    return redis.name


def run_redis(image: str, volume: str) -> Container:
    """Redis, started as the stack does it, with its data on *volume*."""
    written = 'mkdir /tmp/conf; printf %s "$1" > /tmp/conf/redis.conf; printf %s "$2" > /tmp/conf/start.sh'
    return docker.from_env().containers.run(
        image,
        [
            *("sh", "-c", f"{written}; exec sh /tmp/conf/start.sh", "sh"),
            *(configuration("pw"), START.replace("/conf/", "/tmp/conf/")),
        ],
        entrypoint="",
        user="999:999",
        init=True,
        volumes={volume: {"bind": "/data"}},
        labels=LABELS,
        network_mode="none",
        detach=True,
    )


@pytest.fixture
def start(image: str) -> Iterator[Start]:
    """Starts Redis on a volume that has three keys and a transaction of five."""
    remove_abandoned()
    volume = docker.from_env().volumes.create(NAME, labels=LABELS)
    started: list[Container] = []

    def start() -> Container:
        started.append(run_redis(image, NAME))
        return started[-1]

    first = start()
    until_up(first)
    assert run_in(first, FILL)[0] == 0
    first.kill()
    yield start
    for container in started:
        container.remove(force=True)
    volume.remove()


@pytest.fixture
def run(image: str) -> Run:
    """Runs a shell's command beside the volume; what it printed."""

    def run(command: str) -> tuple[int, str]:
        output = docker.from_env().containers.run(
            image, ["sh", "-c", command], entrypoint="", volumes={NAME: {"bind": "/data"}}, remove=True
        )
        return 0, output.decode()

    return run


def until_up(container: Container) -> bool:
    """Whether it answers in the end; False once it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        container.reload()
        if container.status == "exited":
            return False
        with suppress(Refused):  # it ends meanwhile
            if "PONG" in run_in(container, "redis-cli -a pw ping")[1]:
                return True
        time.sleep(0.1)
    raise AssertionError(container.logs().decode())


def keys(container: Container) -> int:
    """How many there are."""
    _, output = run_in(container, "REDISCLI_AUTH=pw redis-cli dbsize")
    return int(output.split()[-1])


def run_in(container: Container, command: str) -> tuple[int, str]:
    """The exit code of a shell's *command*, and what it printed."""
    return ContainerExec(container.name or "").run(["sh", "-c", command])


MENDED = {
    "NULs behind the end": (f"head -c 4096 /dev/zero >> {AOF}", 8, 4096),
    "NULs behind an unfinished transaction": (
        f"truncate -s -30 {AOF}; head -c 100 /dev/zero >> {AOF}",
        3,
        489,
    ),
    "NULs behind an unfinished command": (
        f"printf '*3\\r\\n$3\\r\\nSET\\r\\n$2\\r\\nk9\\r\\n$100\\r\\nabc' >> {AOF}; "
        f"head -c 10 /dev/zero >> {AOF}",
        8,
        40,
    ),
    "NULs behind a command cut after its first byte": (f"printf '*' >> {AOF}; {NULS}", 8, 101),
    "NULs behind an unfinished transaction with a text that begins as its end does": (
        f"{appended('MULTI')}; {appended('SET', 'k9', 'EXECUTIVE room?')}; printf '*3' >> {AOF}; {NULS}",
        8,
        160,
    ),
    "NULs behind an unfinished command with a text that begins as a command does": (
        f"{appended('SET', 'k9', '*2 pizzas')}; truncate -s -1 {AOF}; {NULS}",
        8,
        135,
    ),
}


@pytest.mark.parametrize(("damage", "left", "cut"), MENDED.values(), ids=MENDED)
def test_what_was_never_written_whole_is_cut_off_and_kept(
    start: Start, run: Run, damage: str, left: int, cut: int
) -> None:
    """It is said, and the second start has nothing to mend."""
    run(damage)
    redis = start()
    assert until_up(redis), redis.logs().decode()
    assert keys(redis) == left
    said = redis.logs().decode()
    assert f"runbook: append-only file: appendonly.aof.1.incr.aof ended in {cut} bytes" in said
    assert run("cat /data/damaged/* | wc -c")[1].strip() == str(cut)
    redis.kill()
    again = start()
    assert until_up(again)
    assert "runbook:" not in again.logs().decode()


def test_an_end_that_is_only_cut_short_is_redis_own_to_mend(start: Start, run: Run) -> None:
    """As ever."""
    run(f"truncate -s -30 {AOF}")
    redis = start()
    assert until_up(redis)
    assert keys(redis) == 3
    assert "runbook:" not in redis.logs().decode()


REFUSED = {
    "a hole before complete transactions, NULs behind": (
        f"printf '\\0\\0\\0\\0' | dd of={AOF} bs=1 seek=52 conv=notrunc; head -c 100 /dev/zero >> {AOF}",
        "appendonly.aof.1.incr.aof is damaged at byte 52 of 629, and more follows than was being written",
    ),
    "a hole before complete commands, NULs behind": (
        f"truncate -s 110 {AOF}; printf '\\0\\0\\0\\0' | dd of={AOF} bs=1 seek=52 conv=notrunc; "
        f"head -c 100 /dev/zero >> {AOF}",
        "appendonly.aof.1.incr.aof is damaged at byte 52 of 210, and more follows than was being written",
    ),
    "a transaction that was damaged, with its end, NULs behind": (
        f"printf 'xxxx' | dd of={AOF} bs=1 seek=203 conv=notrunc; head -c 100 /dev/zero >> {AOF}",
        "appendonly.aof.1.incr.aof is damaged at byte 110 of 629, and more follows than was being written",
    ),
    "other bytes before complete commands, NULs behind": (
        f"truncate -s 110 {AOF}; printf 'xxxx' | dd of={AOF} bs=1 seek=52 conv=notrunc; "
        f"head -c 100 /dev/zero >> {AOF}",
        "appendonly.aof.1.incr.aof is damaged at byte 52 of 210, and more follows than was being written",
    ),
    "NULs before a complete command": (
        f"{NULS}; {appended('SET', 'k9', 'v')}",
        "appendonly.aof.1.incr.aof is damaged at byte 529 of 657, and more follows than was being written",
    ),
    "a hole in the middle": (
        f"printf '\\0\\0\\0\\0' | dd of={AOF} bs=1 seek=52 conv=notrunc",
        "appendonly.aof.1.incr.aof is damaged at byte 52 of 529, and more follows than was being written",
    ),
}


@pytest.mark.parametrize(("damage", "says"), REFUSED.values(), ids=REFUSED)
def test_what_may_have_been_answered_for_is_never_cut_off(
    start: Start, run: Run, damage: str, says: str
) -> None:
    """The file stays as it is, to the byte; the log names it and the cure."""
    run(damage)
    before = run(f"md5sum {AOF}")
    redis = start()
    assert not until_up(redis)
    assert says in redis.logs().decode()
    assert "redis-check-aof --fix" in redis.logs().decode()
    assert run(f"md5sum {AOF}") == before


def test_it_is_stopped_in_order(start: Start) -> None:
    """Redis is told, and its exit code is the container's."""
    redis = start()
    assert until_up(redis)
    redis.stop(timeout=60)
    redis.reload()
    assert redis.attrs["State"]["ExitCode"] == 0
    assert "Redis is now ready to exit, bye bye" in redis.logs().decode()


def test_how_redis_ended_is_how_the_container_ends(start: Start) -> None:
    """So that the engine starts it again."""
    redis = start()
    assert until_up(redis)
    with suppress(Refused):  # the container ends with it
        run_in(redis, "kill -KILL $(cat /proc/[0-9]*/stat | sed -n 's/ (redis-server).*//p')")
    redis.wait(timeout=120)
    redis.reload()
    assert redis.attrs["State"]["ExitCode"] == 137


def test_a_full_disk_is_waited_out(image: str) -> None:
    """Redis ends at the first write that fails; the container stays, and goes on with what was written."""
    engine = docker.from_env()
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=16m,uid=999,gid=999"}
    small = engine.volumes.create(f"{NAME}-small", driver_opts=options, labels=LABELS)
    redis = run_redis(image, small.name)
    try:
        assert until_up(redis)
        assert run_in(redis, FILL)[0] == 0
        run_in(redis, "dd if=/dev/zero of=/data/ballast bs=4k")
        run_in(redis, "redis-cli -a pw set large $(head -c 100000 /dev/zero | tr '\\0' x)")
        wait_until(lambda: b"with the disk full: it is started again once there is room" in redis.logs())
        assert run_in(redis, "rm /data/ballast")[0] == 0
        assert until_up(redis)
        assert keys(redis) == 8
        run_in(redis, "dd if=/dev/zero of=/data/ballast bs=4k")
        run_in(redis, "redis-cli -a pw set large $(head -c 100000 /dev/zero | tr '\\0' x)")
        wait_until(lambda: redis.logs().count(b"once there is room") == 2)
        redis.stop(timeout=60)  # while it waits, too
        redis.reload()
        assert redis.attrs["State"]["ExitCode"] != 137
    finally:
        redis.remove(force=True)
        small.remove()


def test_an_empty_volume_is_where_it_begins(image: str) -> None:
    """There is no file to look at."""
    engine = docker.from_env()
    volume = engine.volumes.create(f"{NAME}-empty", labels=LABELS)
    redis = run_redis(image, volume.name)
    try:
        assert until_up(redis)
        assert keys(redis) == 0
    finally:
        redis.remove(force=True)
        volume.remove()
