"""One request, one answer, in whatever pieces and company the request comes."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chaos_form import SEED, sized
from chaos_programs import service
from chaos_redis import RedisServer
from chaos_requests import KINDS, MAX_BODY, Asked, message, plain
from chaos_rig import READY_WITHIN_S, WEB
from chaos_waiting import until
from chaos_wire import READY, Wire, all_read

from contracts.free_ports import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

BATCH = 250
PACKS = sized(60, 1000)
CLOSING = "too long"
"""Its answer ends the connection."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web process."""
    folder, port = tmp_path_factory.mktemp("http"), free_port()
    redis = RedisServer.at(free_port(), folder / "redis")
    own = {"PORT": str(port), "REDIS_URL": redis.url, "MAX_BODY_BYTES": str(MAX_BODY), "BODY_TIMEOUT_S": "60"}
    web = service("web", "web", folder, {**WEB, **own})
    for program in (redis.program, web):
        program.start()
    try:
        asyncio.run(until(lambda: is_up(port), "the web process is up", READY_WITHIN_S))
        yield port
    finally:
        web.kill()
        redis.program.kill()


@pytest.fixture(scope="module")
def whole(port: int) -> dict[str, Any]:
    """What each kind of request gets when it arrives in one piece on a connection of its own."""
    return whole_answers(port)


def is_up(port: int) -> bool:
    """Whether the web process takes webhooks."""
    try:
        with Wire(port) as wire:
            wire.send(READY)
            answer = wire.answer()
    except OSError:
        return False
    return answer is not None and answer.status == 200


def whole_answers(port: int) -> dict[str, Any]:
    """See `whole`."""
    answers = {}
    for _ in range(2):  # the second time everything that should be known is
        for kind, (make, status) in KINDS.items():
            with Wire(port) as wire:
                wire.send(make().whole())
                answer = wire.answer()
            assert answer is not None
            answers[kind] = plain(answer)
            assert answer.status == status or kind == "known", kind
    return answers


def test_split_at_every_byte(port: int, whole: dict[str, Any]) -> None:
    """The answer to a request that comes in two pieces is the one to the request that comes in one."""
    for kind, (make, _) in KINDS.items():
        every = sized(1 if kind == "new" else 13, 1)
        if kind == CLOSING:
            every *= 8  # its body is many blanks
        offsets = range(1, len(make().whole()), every)
        for first in range(0, len(offsets), BATCH):
            split_at(port, make, offsets[first : first + BATCH], whole[kind], kind)


def split_at(port: int, make: Callable[[], Asked], offsets: range, expected: object, kind: str) -> None:
    """Send the first piece of many requests, see that all were read, then the second pieces."""
    wires = []
    for offset in offsets:
        data, wire = make().whole(), Wire(port)
        wire.send(data[:offset])
        wires.append((offset, wire, data[offset:]))
    all_read(port)
    for offset, wire, rest in wires:
        with wire:
            wire.send(rest)
            assert plain(wire.answer()) == expected, f"{kind}, split after {offset} bytes"


def test_pipelined(port: int, whole: dict[str, Any]) -> None:
    """Several requests in one packet, whole or cut anywhere, are answered each, in their order."""
    choice = random.Random(SEED)
    open_kinds = [kind for kind in KINDS if kind != CLOSING]
    for _ in range(PACKS):
        kinds = choice.choices(open_kinds, k=choice.randint(2, 24))
        asked = [KINDS[kind][0]() for kind in kinds]
        data = b"".join(one.whole() for one in asked)
        cut = choice.choice([len(data), choice.randrange(1, len(data))])
        with Wire(port) as wire:
            wire.send(data[:cut])
            if cut < len(data):
                all_read(port)
                wire.send(data[cut:])
            for number, (kind, one) in enumerate(zip(kinds, asked, strict=True)):
                answer = wire.answer()
                assert plain(answer) == whole[kind], f"{number} of {kinds}, cut after {cut}"
                if kind == "new" and answer is not None:
                    expected = json.loads(one.body)["payload"]["id"]
                    assert json.loads(answer.body)["messageId"] == expected
            assert wire.end() == b""


def test_other_ways(port: int, whole: dict[str, Any]) -> None:
    """Chunked, HTTP/1.0, closing, asking first: the same status and body as sent whole."""
    for kind, (make, _) in KINDS.items():
        status, _, body = whole[kind]
        for way, answer in other_ways(port, make):
            found = plain(answer)
            assert found is not None, f"{kind}, {way}: no answer"
            assert (found[0], found[2]) == (status, body), f"{kind}, {way}"


def other_ways(port: int, make: Callable[[], Asked]) -> Any:
    """Each way by its name, and the answer; after those that ask for it, the connection must be closed."""
    for size in (1, 7, 1000, 100_000):
        with Wire(port) as wire:
            wire.send(make().chunked(size))
            yield f"chunks of {size}", wire.answer()
    for way, data in {
        "HTTP/1.0": make().whole(version="HTTP/1.0"),
        "Connection: close": make().whole(("Connection", "close")),
        "in lower case": _lower(make().whole(("Connection", "close"))),
    }.items():
        with Wire(port) as wire:
            wire.send(data)
            answer = wire.answer()
            assert wire.answer() is None, f"{way}: the connection stays open"
            yield way, answer
    with Wire(port) as wire:
        first, rest = make().in_two()
        wire.send(first)
        answer = wire.answer(interim=True) if rest else None
        if rest and answer is not None and answer.status == 100:
            wire.send(rest)
            answer = None
        yield "Expect", answer or wire.answer()


def _lower(data: bytes) -> bytes:
    """With the names of its headers in lowercase."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    names = [line.partition(b":") for line in lines]
    return (
        b"\r\n".join([first, *(name.lower() + b":" + value for name, _, value in names)]) + b"\r\n\r\n" + body
    )


def test_one_connection_for_all(port: int, whole: dict[str, Any]) -> None:
    """A kept-alive connection takes requests of every kind and form, one after another, for ever."""
    choice = random.Random(SEED)
    with Wire(port) as wire:
        for number in range(sized(300, 5000)):
            kind = choice.choice([kind for kind in KINDS if kind != CLOSING])
            asked = KINDS[kind][0]()
            forms = [asked.whole()] * 2 + [asked.chunked(choice.randint(1, 400))]
            wire.send(choice.choice(forms))
            found = plain(wire.answer())
            assert found is not None, f"closed after {number} requests"
            assert found == whole[kind], kind


def test_what_follows_a_request_too_long_is_not_a_request(port: int, whole: dict[str, Any]) -> None:
    """The rest of a body that was refused is never read as the next request."""
    smuggled = message("SMUGGLED").whole()
    body = b" " * (5 * MAX_BODY) + smuggled
    too_long = Asked(body, KINDS["forged"][0]().fields).whole()
    with Wire(port) as wire:
        wire.send(too_long)
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 413
        assert wire.end() == b""
    with Wire(port) as wire:
        wire.send(message("SMUGGLED").whole())
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 202, "the smuggled request was taken"


def test_answered_before_its_body(port: int, whole: dict[str, Any]) -> None:
    """A long body that nobody reads, since its path or method is wrong, does not stall its connection."""
    for size in (1_000, 70_000, 300_000):
        for kind, method in (("nowhere", "POST"), ("wrong method", "PUT")):
            asked = KINDS[kind][0]()
            with Wire(port) as wire:
                wire.send(Asked(b"x" * size, (), method, asked.path).whole())
                assert plain(wire.answer()) == whole[kind]
                wire.send(message().whole())
                assert plain(wire.answer()) == whole["new"], f"after {size} bytes to {asked.path}"
