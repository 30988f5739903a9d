"""The other endpoints, and what every answer has."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from service_kit import NO_REDIS, Fixture, build_web, call, event, post, raw, signed
from starlette.types import Receive, Scope, Send
from store_kit import PAUSED_S, keeping_writes_back

from service.lanes import LIVE, gate_lane
from service.messages.replies import RecordedReplies, Reply
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.webhooks.admission import StreamAdmission
from service.webhooks.caller import client_address, request_id
from service.webhooks.headroom import Headroom
from service.webhooks.middleware import RequestContext, Stopwatch
from service.webhooks.signature import headers_of

GATE = [(b"x-gate-lane", b"1")]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/metrics/", 404, "not_found"),
        ("POST", "/api/webhooks/whatsapp/", 404, "not_found"),
        ("GET", "/api/webhooks/whatsapp", 405, "method_not_allowed"),
        ("DELETE", "/api/health", 405, "method_not_allowed"),
        ("POST", "/api/inngest", 405, "method_not_allowed"),
        ("BREW", "/metrics", 405, "method_not_allowed"),
    ],
)
async def test_unknown_path_or_method_is_a_json_error(
    web: Fixture, method: str, path: str, status: int, code: str
) -> None:
    """Errors of routing look like all others and carry the request's id."""
    answer = await call(web.app, method, path)
    assert answer
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/health/live", 200),
        ("GET", "/api/health", 200),
        ("GET", "/api/health/ready", 503),
        ("GET", "/metrics", 200),
        ("POST", "/api/webhooks/whatsapp", 401),
        ("GET", "/nowhere", 404),
    ],
)
async def test_no_answer_is_kept_or_taken_for_another_thing(
    web: Fixture, method: str, path: str, status: int
) -> None:
    """Good ones and errors alike say nosniff and no-store."""
    answer = await call(web.app, method, path)
    assert answer
    headers = answer.headers
    assert (answer.status, headers["x-content-type-options"], headers["cache-control"]) == (
        status,
        "nosniff",
        "no-store",
    )


async def test_live_touches_no_dependency(web: Fixture) -> None:
    """The process lives although its Redis is away."""
    answer = await call(web.app, "GET", "/api/health/live")
    assert answer
    assert answer.status == 200


async def test_ready_needs_redis(web: Fixture) -> None:
    """Without Redis no webhook can be taken, so the process is not ready."""
    answer = await call(web.app, "GET", "/api/health/ready")
    assert answer
    assert (answer.status, answer.json["error"]["code"]) == (503, "not_ready")


async def test_unreachable_redis_is_503_with_retry_after(web: Fixture) -> None:
    """A webhook that Redis cannot take is 503, to be sent again soon, and not an error of ours."""
    nowhere = RedisStore(NO_REDIS, timeout_s=2)
    admission = StreamAdmission(LIVE, nowhere, Headroom(nowhere), per_minute=10, max_length=10)
    answer = await post(build_web(nowhere, admission=admission).app, event())
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")


async def test_replies_are_404_outside_the_gate(web: Fixture) -> None:
    """Recorded replies exist for the private frontend only."""
    answer = await call(web.app, "GET", "/api/gate/replies")
    assert answer
    assert answer.status == 404


async def test_inngest_tells_its_configuration(web: Fixture) -> None:
    """It says which keys there are, and shows none."""
    answer = await call(web.app, "GET", "/api/inngest")
    assert answer
    assert answer.json == {"configured": False, "has_event_key": True, "has_signing_key": False}


async def test_metrics_have_latency_outcomes_and_depth(web: Fixture) -> None:
    """The histogram, the webhooks' outcomes and the depth (-1 without Redis) are exposed."""
    await post(web.app, event())
    answer = await call(web.app, "GET", "/metrics")
    assert answer
    text = answer.body.decode()
    path = 'path="/api/webhooks/whatsapp"'
    assert f'http_request_duration_seconds_count{{lane="live",method="POST",{path},status="202"}} 1.0' in text
    assert 'webhooks_total{lane="live",outcome="accepted"} 1.0' in text
    assert 'queue_depth{lane="live"} -1.0' in text


async def test_unknown_paths_and_methods_share_a_label(web: Fixture) -> None:
    """No client can fill the metrics with labels of its own."""
    await call(web.app, "BREW", "/made/up")
    answer = await call(web.app, "GET", "/metrics")
    assert answer
    text = answer.body.decode()
    assert 'method="other",path="other",status="404"' in text
    assert "/made" not in text


async def test_bug_is_a_bare_500_with_id(web: Fixture) -> None:
    """An error of ours is a JSON 500 that tells nothing but the id, and one log line."""

    class Broken:
        def admit(self, *_: object) -> None:
            raise KeyError("a very private text")

    broken = build_web(web.web.store, admission=Broken())
    answer = await post(
        broken.app, body := event(), signed(body, X_Request_Id="r-1", X_Webhook_Request_Id="r-1")
    )
    assert (answer.status, answer.headers["x-request-id"]) == (500, "r-1")
    assert b"private" not in answer.body
    (line,) = broken.lines("Request failed")
    assert line["requestId"] == "r-1"


async def test_slow_request_is_logged(web: Fixture) -> None:
    """A request that took more than a second is a warning in the runbook's words; a quicker one is none."""
    times = iter([0.0, 1.2, 2.0, 2.9])

    async def quiet(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = RequestContext(
        quiet,
        stopwatch=Stopwatch(
            frozenset({"/a", "/b"}), web.web.metrics, web.web.log, web.alarms, clock=lambda: next(times)
        ),
        log=web.web.log,
    )
    await call(app, "GET", "/a")
    await call(app, "GET", "/b")
    ((path, duration_ms),) = [
        (line["path"], line["durationMs"]) for line in web.lines("Slow request detected")
    ]
    assert (path, duration_ms) == ("/a", 1200)


class TestCaller:
    """Whom the service believes about who calls."""

    @pytest.mark.parametrize(
        ("forwarded", "trusted", "untrusted"),
        [
            ([], "192.0.2.7", "192.0.2.7"),
            (["203.0.113.9"], "203.0.113.9", "192.0.2.7"),
            (["10.0.0.1, 203.0.113.9"], "203.0.113.9", "192.0.2.7"),
            (["10.0.0.1", "203.0.113.9"], "203.0.113.9", "192.0.2.7"),
            (["2001:DB8::1"], "2001:db8::1", "192.0.2.7"),
            (["203.0.113.9\n{wa}:live"], "192.0.2.7", "192.0.2.7"),
            (["é"], "192.0.2.7", "192.0.2.7"),
            ([""], "192.0.2.7", "192.0.2.7"),
        ],
    )
    def test_address(self, forwarded: list[str], trusted: str, untrusted: str) -> None:
        """Only a proxy of ours is believed, only its own entry, and only an address."""
        headers = headers_of([(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded])
        assert client_address(headers, "192.0.2.7", trust_proxy=True) == trusted
        assert client_address(headers, "192.0.2.7", trust_proxy=False) == untrusted

    @pytest.mark.parametrize("odd", ["", "a b", "x" * 65, 'a"b', "a\nb", "é"])
    def test_odd_request_ids_are_replaced(self, odd: str) -> None:
        """An id from outside is only taken over if it is plain and short."""
        made = request_id(headers_of(raw({"X-Request-Id": odd})))
        assert made != odd
        assert len(made) == 32

    def test_wahas_id_comes_first(self) -> None:
        """WAHA's id, the same on each retry, is preferred to the proxy's."""
        headers = raw({"X-Request-Id": "proxy", "X-Webhook-Request-Id": "waha"})
        assert request_id(headers_of(headers)) == "waha"


@pytest.mark.integration
class TestWithRedis:
    """What needs a real Redis."""

    async def test_ready_until_draining(self, store: Store) -> None:
        """With Redis the process is ready, until it drains."""
        web = build_web(store)
        before = await call(web.app, "GET", "/api/health/ready")
        web.web.draining.begun = True
        after = await call(web.app, "GET", "/api/health/ready")
        assert before
        assert after
        assert (before.status, after.status) == (200, 503)

    async def test_replies_are_paged(self, store: Store) -> None:
        """Replies come in the order of their recording, each once, from cursor to cursor."""
        web = build_web(store)
        recorded = RecordedReplies(store, gate_lane("r-test"))
        for number in range(5):
            await recorded.record(Reply("default", "1@c.us", f"text {number}", f"false_1@c.us_{number}"))
        seen, after = [], "0"
        while True:
            query = f"after={after}&limit=2".encode()
            answer = await call(web.app, "GET", "/api/gate/replies", headers=GATE, query=query)
            assert answer
            if not answer.json["replies"]:
                break
            seen += answer.json["replies"]
            after = answer.json["next"]
        assert [reply["text"] for reply in seen] == [f"text {number}" for number in range(5)]
        assert seen[0].keys() == {"session", "chatId", "text", "replyTo", "time"}
        assert isinstance(seen[0]["time"], int)

    @pytest.mark.parametrize(
        "query", [b"after=x", b"after=-", b"after=1-2-3", b"limit=0", b"limit=1001", b"limit=x", b"limit=-1"]
    )
    async def test_odd_page_is_400(self, store: Store, query: bytes) -> None:
        """A cursor or limit that is none is refused before Redis sees it."""
        answer = await call(build_web(store).app, "GET", "/api/gate/replies", headers=GATE, query=query)
        assert answer
        assert answer.status == 400

    async def test_replies_expire_by_themselves(self, redis: Redis, store: Store) -> None:
        """A gate's keys are gone an hour after the last use."""
        lane = gate_lane("r-test")
        await RecordedReplies(store, lane).record(Reply("default", "1@c.us", "text", "false_1@c.us_A"))
        assert 0 < await redis.ttl(lane.replies) <= 3600

    async def test_stuck_redis_is_503_in_time(self, redis: Redis, redis_url: str) -> None:
        """A Redis that does not answer costs a webhook its timeout, and no more."""
        slow = RedisStore(redis_url, timeout_s=0.2)
        admission = StreamAdmission(LIVE, slow, Headroom(slow), per_minute=10, max_length=10)
        web = build_web(slow, admission=admission)
        async with keeping_writes_back(redis), asyncio.timeout(PAUSED_S / 3):
            answer = await post(web.app, event())
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")

    async def test_depth_counts_what_waits(self, redis: Redis, store: Store) -> None:
        """The depth is the number of messages not yet done."""
        await redis.xadd(LIVE.stream, {"a": "b"})
        answer = await call(build_web(store).app, "GET", "/metrics")
        assert answer
        assert 'queue_depth{lane="live"} 1.0' in answer.body.decode()
