"""What every database does alike; run on a real Redis and on the sandbox's Convex."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from database_kit import Backend, ConvexBackend, RedisBackend, record, running_convex

from sandbox.faults import Fault
from service.accounts.convex_database import ATTEMPTS, MAX_ANSWER_BYTES
from service.accounts.database import Database, DatabaseFailed, MessageOutcome, Reservation, Tenant

ANSWERED, FAILED, UNKNOWN = MessageOutcome.ANSWERED, MessageOutcome.FAILED, MessageOutcome.UNKNOWN
RESERVED, NO_CREDIT = Reservation.RESERVED, Reservation.NO_CREDIT
SHORT_S, IN_TIME_S = 2.0, 20.0
"""The time limit of a database that does not answer, and when it must be over, on a slow machine too."""


@pytest.fixture(scope="session")
def convex_server() -> Iterator[ConvexBackend]:
    """A Convex for all tests."""
    with running_convex() as backend:
        yield backend


@pytest.fixture
def convex(convex_server: ConvexBackend) -> Iterator[ConvexBackend]:
    """An empty Convex without faults."""
    convex_server.tables.tenants.clear()
    convex_server.tables.ledger.clear()
    convex_server.tables.messages.clear()
    yield convex_server
    convex_server.faults.end("convex")


@pytest.fixture(params=["redis", "convex"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each place where a database can be."""
    if request.param == "redis":
        return RedisBackend(request.getfixturevalue("redis_url"))
    found: ConvexBackend = request.getfixturevalue("convex")
    return found


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    """An empty database whose tenants start with ten credits."""
    async with backend.open(10) as database:
        yield database


async def account(database: Database, tenant: str = "t") -> tuple[int | None, int, int]:
    """The tenant's credits, and what is reserved and used of them."""
    found = await database.tenant(tenant)
    assert found is not None
    return found.credits, found.reserved, found.used


async def test_a_database_that_is_there_answers_a_ping(database: Database) -> None:
    """Ping returns when the database answers."""
    assert await database.ping() is None


async def test_the_same_message_reserves_once(database: Database) -> None:
    """Reserving again for the same message says RESERVED, and holds nothing more."""
    assert [await database.reserve("t", "m1") for _ in range(3)] == [RESERVED] * 3
    assert await account(database) == (10, 1, 0)


async def test_the_last_credit_is_still_there_for_the_message_that_holds_it(database: Database) -> None:
    """A message that holds the tenant's last credit is not refused when it asks again."""
    await database.save_tenant("t", credits=1, owner_email=None)
    assert [await database.reserve("t", "m1") for _ in range(2)] == [RESERVED] * 2


async def test_credits_are_not_given_twice_at_the_same_time(database: Database) -> None:
    """Of fifty messages that come at once, exactly as many are given a credit as there are credits."""
    answers = await asyncio.gather(*(database.reserve("t", f"m{number}") for number in range(50)))
    assert Counter(answers) == {RESERVED: 10, NO_CREDIT: 40}
    assert await account(database) == (10, 10, 0)


async def test_one_message_asked_for_at_the_same_time_holds_one_credit(database: Database) -> None:
    """Workers that reserve for one message at the same moment hold one credit between them."""
    answers = await asyncio.gather(*(database.reserve("t", "m1") for _ in range(20)))
    assert (set(answers), await account(database)) == ({RESERVED}, (10, 1, 0))


async def test_an_answer_charges_once(database: Database, backend: Backend) -> None:
    """However often a message is settled as answered, one credit is used and the log has one entry."""
    await database.reserve("t", "m1")
    await asyncio.gather(*(database.settle(record(ANSWERED)) for _ in range(5)))
    assert await account(database) == (10, 0, 1)
    assert await backend.logged("m1") == ["answered"]


async def test_an_answered_message_is_never_refused(database: Database) -> None:
    """Asked again for a message that was charged, the answer is RESERVED, also without credit left."""
    await database.save_tenant("t", credits=1, owner_email=None)
    await database.reserve("t", "m1")
    await database.settle(record(ANSWERED))
    assert [await database.reserve("t", "m1"), await database.reserve("t", "m2")] == [RESERVED, NO_CREDIT]
    assert await account(database) == (1, 0, 1)


@pytest.mark.parametrize("outcome", [FAILED, MessageOutcome.STORED, MessageOutcome.NO_CREDIT])
async def test_what_was_not_answered_gives_back_its_credit(
    database: Database, backend: Backend, outcome: MessageOutcome
) -> None:
    """A message that ends without a reply releases what it held, once, and is logged."""
    for message in ("m1", "m2"):
        await database.reserve("t", message)
    await database.settle(record(outcome))
    await database.settle(record(outcome))
    assert await account(database) == (10, 1, 0)
    assert await backend.logged("m1") == [outcome.value]


async def test_a_released_message_can_reserve_again(database: Database, backend: Backend) -> None:
    """A message that failed and is replayed holds a credit again, and is charged for its answer."""
    for outcome in (FAILED, FAILED, ANSWERED):
        assert await database.reserve("t", "m1") is RESERVED
        assert await account(database) == (10, 1, 0)
        await database.settle(record(outcome))
    assert await account(database) == (10, 0, 1)
    assert await backend.logged("m1") == ["failed", "failed", "answered"]


@pytest.mark.parametrize(("outcome", "used"), [(ANSWERED, 1), (FAILED, 0)])
async def test_an_unknown_outcome_keeps_the_credit_until_it_is_known(
    database: Database, backend: Backend, outcome: MessageOutcome, used: int
) -> None:
    """UNKNOWN keeps what is reserved; what it becomes then charges or releases it, once."""
    await database.reserve("t", "m1")
    await database.settle(record(UNKNOWN))
    await database.settle(record(UNKNOWN))
    assert await account(database) == (10, 1, 0)
    assert await database.reserve("t", "m1") is RESERVED
    assert await account(database) == (10, 1, 0)
    await database.settle(record(outcome))
    await database.settle(record(outcome))
    assert await account(database) == (10, 0, used)
    assert await backend.logged("m1") == ["unknown", outcome.value]


@pytest.mark.parametrize("later", [FAILED, UNKNOWN, MessageOutcome.STORED])
async def test_what_was_answered_stays_so(
    database: Database, backend: Backend, later: MessageOutcome
) -> None:
    """Nothing that is said of a message after ANSWERED gives back its credit or enters the log."""
    await database.settle(record(ANSWERED))
    await database.settle(record(later))
    assert await account(database) == (10, 0, 1)
    assert await backend.logged("m1") == ["answered"]


async def test_a_reply_that_nothing_was_reserved_for_is_charged(database: Database) -> None:
    """ANSWERED without a reservation opens the account and uses one credit: the reply was sent."""
    await database.settle(record(ANSWERED))
    assert await account(database) == (10, 0, 1)


async def test_without_starting_credits_nothing_is_refused(backend: Backend) -> None:
    """Where tenants start unlimited, every message is reserved and use is counted."""
    async with backend.open(None) as database:
        answers = await asyncio.gather(*(database.reserve("t", f"m{number}") for number in range(50)))
        await database.settle(record(ANSWERED, "m7"))
        assert (set(answers), await account(database)) == ({RESERVED}, (None, 49, 1))


async def test_a_tenant_that_starts_without_credit_gets_none(backend: Backend) -> None:
    """Zero starting credits are no unlimited ones."""
    async with backend.open(0) as database:
        assert await database.reserve("t", "m1") is NO_CREDIT
        assert await account(database) == (0, 0, 0)


async def test_saving_a_tenant_keeps_what_was_used(database: Database) -> None:
    """New credits and a new owner leave reserved and used as they are; None takes limit and owner away."""
    await database.settle(record(ANSWERED, "m1"))
    await database.reserve("t", "m2")
    limited = await database.save_tenant("t", credits=5, owner_email="owner@example.com")
    unlimited = await database.save_tenant("t", credits=None, owner_email=None)
    assert limited == Tenant("t", credits=5, reserved=1, used=1, owner_email="owner@example.com")
    assert unlimited == Tenant("t", credits=None, reserved=1, used=1, owner_email=None)
    assert await database.tenant("t") == unlimited


async def test_credits_below_what_was_used_refuse(database: Database) -> None:
    """An operator may take credits away: then messages are refused until there are more."""
    await database.settle(record(ANSWERED, "m1"))
    await database.save_tenant("t", credits=0, owner_email=None)
    assert await database.reserve("t", "m2") is NO_CREDIT
    await database.save_tenant("t", credits=2, owner_email=None)
    assert await database.reserve("t", "m2") is RESERVED


async def test_tenants_are_listed_by_id(database: Database) -> None:
    """Each account is listed once, however it was opened; one that was never seen is None."""
    await database.settle(record(ANSWERED, tenant="opened by an answer"))
    await database.save_tenant("by an operator: ü", credits=3, owner_email=None)
    await database.reserve("a message's", "m2")
    listed = [tenant.id for tenant in await database.tenants()]
    assert listed == ["a message's", "by an operator: ü", "opened by an answer"]
    assert await database.tenant("nobody") is None


async def test_texts_may_be_anything(database: Database, backend: Backend) -> None:
    """Texts that are huge, or no UTF-8, or full of control characters, do not keep a message from ending."""
    texts = {"m1": "x" * 1_000_000, "m2": "a\x00b\r\nc", "m3": "\ud800", "m4": "🙂" * 100_000, "m5": ""}
    for message, text in texts.items():
        await database.settle(record(ANSWERED, message, text=text, reply=text))
    assert await account(database) == (10, 0, 5)
    assert [await backend.logged(message) for message in texts] == [["answered"]] * 5


CALLS = {
    "ping": lambda database: database.ping(),
    "reserve": lambda database: database.reserve("t", "m1"),
    "settle": lambda database: database.settle(record(ANSWERED)),
    "tenant": lambda database: database.tenant("t"),
    "tenants": lambda database: database.tenants(),
    "save_tenant": lambda database: database.save_tenant("t", credits=1, owner_email=None),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    "where",
    [
        RedisBackend("redis://127.0.0.1:1/0", timeout_s=SHORT_S),
        ConvexBackend("http://127.0.0.1:1", timeout_s=SHORT_S),
    ],
)
async def test_a_database_that_is_down_fails_in_time(where: Backend, operation: str) -> None:
    """Each function of a database that cannot be reached raises DatabaseFailed within the time limit."""
    async with asyncio.timeout(IN_TIME_S), where.open(10) as database:
        with pytest.raises(DatabaseFailed):
            await CALLS[operation](database)


@pytest.mark.parametrize("fault", [Fault(hang=True), Fault(down=True), Fault(status=503), Fault(status=400)])
async def test_a_convex_that_does_not_answer_fails_in_time(convex: ConvexBackend, fault: Fault) -> None:
    """A Convex that hangs, hangs up or refuses is DatabaseFailed within the time limit."""
    convex.faults.set("convex", fault)
    hasty = ConvexBackend(convex.url, timeout_s=SHORT_S)
    async with asyncio.timeout(IN_TIME_S), hasty.open(10) as database:
        with pytest.raises(DatabaseFailed):
            await database.reserve("t", "m1")


async def test_a_lost_answer_of_convex_charges_nothing_twice(convex: ConvexBackend) -> None:
    """A mutation that was done and whose answer was lost may be called again, and changes nothing more."""
    convex.faults.set("convex", Fault(down=True, after=True))
    async with convex.open(10) as database:
        with pytest.raises(DatabaseFailed):
            await database.settle(record(ANSWERED))
        convex.faults.end("convex")
        await database.settle(record(ANSWERED))
        assert await account(database) == (10, 0, 1)
    assert await convex.logged("m1") == ["answered"]


def http(status: str, content: bytes, kind: str = "application/json") -> bytes:
    """An HTTP answer as it goes over the wire."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@asynccontextmanager
async def answering(answers: list[bytes]) -> AsyncIterator[Database]:
    """A Convex that gives these answers and takes each out of the list; at an empty one it hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answers and await reader.read(65_536):
            if not (content := answers.pop(0)):
                break
            writer.write(content)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with ConvexBackend(f"http://127.0.0.1:{port}").open(10) as database:
            yield database


WHOLE = b'{"status":"success","value":"reserved","logLines":[]}'
SUCCESS = http("200 OK", WHOLE)
BUSY = http("503 Busy", b"{}")


@pytest.mark.parametrize("first", [b"", BUSY])
async def test_convex_is_asked_again_within_the_call(first: bytes) -> None:
    """A connection that breaks, or a Convex that is busy, is no failure if the next attempt has an answer."""
    answers = [first, SUCCESS]
    async with answering(answers) as database:
        assert await database.reserve("t", "m1") is RESERVED
    assert not answers


@pytest.mark.parametrize(
    ("answer", "reason", "left"),
    [
        (BUSY, "HTTP 503", 0),
        (http("404 Not Found", b"<html>", "text/html"), "HTTP 404$", ATTEMPTS - 1),
        (http("302 Found", b"{}"), "HTTP 302$", ATTEMPTS - 1),
        (http("403 Forbidden", b'{"code":"BadDeployKey","message":"x"}'), "BadDeployKey$", ATTEMPTS - 1),
        (http("400 Bad", b'{"code":"m1 says hello","message":"x"}'), "HTTP 400$", ATTEMPTS - 1),
        (http("200 OK", b'{"status":"success","value":null}'), "something else", ATTEMPTS - 1),
        (http("200 OK", b'{"status":"success"}'), "something else", ATTEMPTS - 1),
        (http("200 OK", b"[]"), "something else", ATTEMPTS - 1),
        (http("200 OK", b"{"), "something else", ATTEMPTS - 1),
        (http("200 OK", b"hello", "text/plain"), "something else", ATTEMPTS - 1),
        (http("200 OK", b'{"status":"error","errorMessage":null}'), "something else", ATTEMPTS - 1),
        (http("200 OK", b"\xff"), "something else", ATTEMPTS - 1),
        (http("403 Forbidden", b""), "HTTP 403$", ATTEMPTS - 1),
        (http("200 OK", WHOLE + b" " * MAX_ANSWER_BYTES), "more than 1048576 bytes$", ATTEMPTS - 1),
    ],
)
async def test_an_answer_that_convex_does_not_give_fails(answer: bytes, reason: str, left: int) -> None:
    """What is no answer of our module is DatabaseFailed; what may pass is asked again, not for ever."""
    answers = [answer] * ATTEMPTS
    async with answering(answers) as database:
        with pytest.raises(DatabaseFailed, match=reason):
            await database.reserve("t", "m1")
    assert len(answers) == left


@pytest.mark.parametrize(
    ("deploy_key", "reason"),
    [("", "CONVEX_DEPLOY_KEY"), ("prod:other|key", "BadAdminKey")],
)
async def test_the_functions_of_convex_need_the_deploy_key(
    convex: ConvexBackend, deploy_key: str, reason: str
) -> None:
    """Without the key, or with another one, nothing can be called, and the error says what to look at."""
    stranger = ConvexBackend(convex.url, deploy_key=deploy_key)
    async with stranger.open(10) as database:
        with pytest.raises(DatabaseFailed, match=reason):
            await database.reserve("t", "m1")
    assert not convex.tables.tenants


async def test_an_error_of_convex_tells_no_text(convex: ConvexBackend) -> None:
    """Convex quotes the arguments that it refuses; our error has none of them, but the request's id."""
    refused = record(ANSWERED, text="a secret text", received_ms="yesterday")
    async with convex.open(10) as database:
        with pytest.raises(
            DatabaseFailed, match=r"runbook:settle \(request [0-9a-f]+ in its logs\)"
        ) as failure:
            await database.settle(refused)
    assert "secret" not in str(failure.value)


async def test_more_tenants_than_a_page_are_all_listed(convex: ConvexBackend) -> None:
    """Convex gives a thousand accounts at a time, and all of them are asked for."""
    for number in range(1001):
        convex.tables.account(f"t{number:04}", 1)
    async with convex.open(10) as database:
        assert [tenant.id for tenant in await database.tenants()] == [
            f"t{number:04}" for number in range(1001)
        ]
