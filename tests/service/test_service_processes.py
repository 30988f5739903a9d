"""The two processes for real: started bare, fed over HTTP, stopped, killed, robbed of what they need."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis as blocking_redis
from service_kit import (
    CHAT,
    CLIENT,
    PART_OF_NUMBER,
    SECRET,
    Processes,
    Running,
    Stub,
    event,
    post_to,
    wait_until,
)

from contracts.free_ports import free_port
from contracts.gate_lane import ASK_MODEL, GATE_REPLY
from contracts.webhook import LANE_HEADER, REPLIES_PATH, WEBHOOK_PATH, signed_headers
from service.healthcheck import DEFAULT_HEARTBEAT_FILE, DEFAULT_HOST, DEFAULT_PORT
from service.lanes import LIVE, gate_lane
from service.settings import WebSettings, WorkerSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def store(redis_url: str) -> Any:
    """A client of the processes' Redis."""
    with blocking_redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def send(web: Running, *texts: str, chat: str = CHAT) -> None:
    """Have messages with these texts accepted."""
    for text in texts:
        assert post_to(web, event(text, chat_id=chat)).status_code == 202


def idle(store: Any) -> bool:
    """Whether no live message waits or is in work."""
    return store.xlen(LIVE.stream) == 0


def healthcheck(role: str, **environment: str) -> int:
    """The exit code of the container's health check."""
    return subprocess.run(
        [sys.executable, "-m", "service", "healthcheck", role], env=environment, check=False
    ).returncode


class TestAnswering:
    """Messages get their replies."""

    def test_message_is_answered_once(self, processes: Processes, stub: Stub, store: Any) -> None:
        """A signed message, sent twice, is answered once through WAHA, and nothing is left of it."""
        web = processes.web()
        worker = processes.worker(stub)
        body = event("hello", chat_id=CHAT, message_id="AAA")
        assert [post_to(web, body).status_code for _ in range(2)] == [202, 200]
        wait_until(lambda: idle(store), "the message is done")
        ((sent,),) = [stub.sent]
        assert (sent["session"], sent["chatId"], sent["reply_to"]) == ("default", CHAT, f"false_{CHAT}_AAA")
        assert (store.xlen(LIVE.dead), store.xlen(LIVE.unknown)) == (0, 0)
        wait_until(lambda: bool(worker.lines("Message processed")), "it is logged")

    def test_id_is_carried_from_webhook_to_reply(self, processes: Processes, stub: Stub) -> None:
        """The lines of both processes about one message have the same request id, and no number."""
        web, worker = processes.web(), processes.worker(stub)
        post_to(web, event("hello", chat_id=CHAT), X_Webhook_Request_Id="waha-1")
        worker.logged("Message processed")
        web.logged("Webhook verified")
        told = [line["event"] for line in web.lines() + worker.lines() if line.get("requestId") == "waha-1"]
        assert told == ["received", "verified", "processed"]
        assert PART_OF_NUMBER not in web.output.read_text() + worker.output.read_text()

    def test_model_writes_the_reply(self, processes: Processes, stub: Stub) -> None:
        """With a model configured the reply is its answer to the message."""
        web = processes.web()
        processes.worker(stub, AI_API_URL=stub.url, AI_MODEL="m")
        send(web, "what?")
        wait_until(lambda: bool(stub.sent), "it is answered")
        assert stub.sent[0]["text"] == "the model's answer"
        assert stub.asked[0]["messages"][-1]["content"] == "what?"

    def test_order_is_kept_within_chats_over_two_workers(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """Two workers share ten chats, and each chat's replies come in the order of its messages."""
        web = processes.web()
        for number in range(2):
            processes.worker(stub, CONCURRENCY=str(number + 1))
        for number in range(8):
            for chat in range(10):
                body = event(str(number), chat_id=f"{chat}@c.us", message_id=f"{chat}x{number}")
                assert post_to(web, body).status_code == 202
        wait_until(lambda: idle(store), "all are done", timeout_s=120)
        for chat in range(10):
            order = [sent["reply_to"][-1] for sent in stub.sent if sent["chatId"] == f"{chat}@c.us"]
            assert order == list("01234567")


class TestLanes:
    """Who takes which messages."""

    def test_gate_messages_are_recorded_and_not_sent(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """Through the gate's lane a message goes all the way to a recorded reply, WAHA and model unasked."""
        web = processes.web(RELEASE="r-1")
        processes.worker(stub, RELEASE="r-1", AI_API_URL=stub.url, GATE_REPLY_DELAY_MS="10")
        body = event("hello", chat_id=CHAT, message_id="AAA")
        post_to(web, body, **{LANE_HEADER: "1"})

        def replies() -> list[dict[str, Any]]:
            answer = CLIENT.get(f"{web.url}{REPLIES_PATH}?after=0", headers={LANE_HEADER: "1"})
            found: list[dict[str, Any]] = answer.json()["replies"]
            return found

        wait_until(lambda: bool(replies()), "the reply is recorded")
        assert (replies()[0]["replyTo"], replies()[0]["text"]) == (f"false_{CHAT}_AAA", GATE_REPLY)
        assert (stub.sent, stub.asked) == ([], [])
        wait_until(lambda: store.xlen(gate_lane("r-1").stream) == 0, "it is done")
        post_to(web, event(f"{ASK_MODEL}hello"), **{LANE_HEADER: "1"})
        wait_until(lambda: len(replies()) == 2, "the reply is recorded")
        assert (replies()[1]["text"], stub.sent, len(stub.asked)) == ("the model's answer", [], 1)

    def test_gate_is_not_held_to_the_limit_of_the_live_lane(self, processes: Processes) -> None:
        """A gate sends all its load from one address, whatever an operator allows one."""
        web = processes.web(RELEASE="r-1", RATE_LIMIT_PER_MINUTE="2")
        assert [post_to(web, event()).status_code for _ in range(3)] == [202, 202, 429]
        assert [post_to(web, event(), **{LANE_HEADER: "r-1"}).status_code for _ in range(9)] == [202] * 9

    def test_live_messages_wait_until_the_release_is_live(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """A worker leaves live messages alone until the proxy names its release."""
        web = processes.web(RELEASE="r-2")
        worker = processes.worker(stub, RELEASE="r-2", LIVE_RELEASE_URL=stub.url)
        send(web, "hello")
        worker.logged("Which release is live is not known: the proxy does not say")
        stub.live_release = "r-1"
        post_to(web, event("gated", chat_id=CHAT), **{LANE_HEADER: "1"})
        wait_until(lambda: bool(store.xlen(gate_lane("r-2").replies)), "it serves its gate")
        assert (store.xlen(LIVE.stream), stub.sent) == (1, [])
        stub.live_release = "r-2"
        wait_until(lambda: len(stub.sent) == 1, "it takes live messages")
        stub.live_release = None
        store.flushall()
        send(web, "after Redis lost its data, the proxy being away")
        wait_until(lambda: len(stub.sent) == 2, "it takes live messages still")

    def test_gate_messages_of_another_release_are_left(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """A release's gate is answered by that release alone."""
        other = processes.web(RELEASE="r-1")
        own = processes.web(RELEASE="r-2")
        processes.worker(stub, RELEASE="r-2")
        post_to(other, event("other"), **{LANE_HEADER: "1"})
        post_to(own, event("own"), **{LANE_HEADER: "1"})
        wait_until(lambda: bool(store.xlen(gate_lane("r-2").replies)), "its own is answered")
        assert store.xlen(gate_lane("r-1").stream) == 1


class TestFailures:
    """What fails is tried again, recorded, and never sent twice."""

    def test_refused_reply_is_sent_later(self, processes: Processes, stub: Stub, store: Any) -> None:
        """WAHA answers 429 twice: the third attempt sends the reply, once, and the chat's order is kept."""
        stub.behave = lambda path, number: 429 if path == "/api/sendText" and number <= 2 else 200
        web = processes.web()
        processes.worker(stub)
        send(web, "first", "second")
        wait_until(lambda: idle(store), "both are done")
        assert len(stub.sent) == 2
        assert stub.sent[0]["reply_to"] != stub.sent[1]["reply_to"]
        assert store.xlen(LIVE.dead) == 0

    def test_stopped_session_delays_no_other_s_customer(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """Who writes to two shops is answered by the one that works; what the other got waits on."""
        stub.stopped.add("shop-a")
        web = processes.web()
        processes.worker(stub, RETRY_BASE_S="60", RETRY_CAP_S="60")
        assert post_to(web, event("to a", message_id="A", session="shop-a")).status_code == 202
        wait_until(lambda: "/api/sendText" in (path for path, _ in stub.seen), "shop a is tried")
        assert post_to(web, event("to b", message_id="B", session="shop-b")).status_code == 202
        wait_until(lambda: len(stub.sent) == 1, "shop b's customer is answered")
        assert stub.sent[0]["session"] == "shop-b"
        wait_until(lambda: store.xlen(LIVE.stream) == 1, "what is answered waits no more, and the other does")

    def test_many_chats_of_a_stopped_session_keep_no_slots(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """WAHA takes its time to refuse: it is asked no more, and another session's customer is answered."""
        stub.stopped.add("shop-a")
        stub.refuses_after_s = 2
        web = processes.web()
        processes.worker(stub, RETRY_BASE_S="60", RETRY_CAP_S="60", CONCURRENCY="4")
        for number in range(40):
            chat = f"1555{number}@c.us"
            answer = post_to(web, event(chat_id=chat, message_id=f"A{number}", session="shop-a"))
            assert answer.status_code == 202
        assert post_to(web, event("to b", message_id="B", session="shop-b")).status_code == 202
        wait_until(lambda: len(stub.sent) == 1, "shop b's customer is answered")
        asked = [content["session"] for path, content in stub.seen if path == "/api/sendText"]
        before = asked[: asked.index("shop-b")]  # a slow machine may be there only after shop a's rest
        assert (set(before), len(before) <= 8) == ({"shop-a"}, True)
        wait_until(lambda: store.xlen(LIVE.stream) == 40, "shop a's messages stay")

    def test_a_busy_chat_holds_up_no_other(self, processes: Processes, stub: Stub, store: Any) -> None:
        """Whoever writes 40 messages at once is answered in their order; who writes after that, meanwhile."""
        stub.behave = lambda path, _: 0.2 if path == "/v1/chat/completions" else 200
        web = processes.web()
        numbers = [str(number) for number in range(40)]
        for number in numbers:
            assert (
                post_to(web, event(number, chat_id="busy@c.us", message_id=f"x{number}")).status_code == 202
            )
        send(web, "another customer's")
        processes.worker(stub, AI_API_URL=stub.url, CONCURRENCY="2")
        wait_until(lambda: idle(store), "all are done", timeout_s=120)
        chats = [sent["chatId"] for sent in stub.sent]
        assert chats.index(CHAT) < 20
        busy = [sent["reply_to"].rpartition("x")[2] for sent in stub.sent if sent["chatId"] != CHAT]
        assert busy == numbers
        assert (store.xlen(LIVE.dead), store.xlen(LIVE.unknown)) == (0, 0)

    def test_waha_that_comes_back_gets_what_waited(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """While nothing listens at WAHA's address messages stay; each is sent once when it is back."""
        nowhere = free_port()
        web = processes.web()
        away = processes.worker(WAHA_API_URL=f"http://127.0.0.1:{nowhere}")
        send(web, "hello")
        wait_until(lambda: bool(away.lines("Message failed")), "the first attempt fails")
        assert away.stop() == 0
        processes.worker(stub)
        wait_until(lambda: idle(store), "it is done")
        assert len(stub.sent) == 1

    def test_hopeless_message_is_a_dead_letter(self, processes: Processes, stub: Stub, store: Any) -> None:
        """After the last attempt the message is kept with its reason, and its chat goes on."""
        stub.behave = lambda path, number: 401 if path == "/api/sendText" and number <= 2 else 200
        web = processes.web()
        processes.worker(stub, MAX_ATTEMPTS="2")
        send(web, "hopeless", "fine")
        wait_until(lambda: idle(store), "both are done")
        ((_, dead),) = store.xrange(LIVE.dead)
        assert (dead["reason"], dead["attempts"]) == ("WAHA refused: HTTP 401", "2")
        assert json.loads(dead["event"])["payload"]["body"] == "hopeless"
        assert len(stub.sent) == 1

    def test_waha_that_answers_500_is_not_asked_again(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """The text may have been sent: it is recorded as unknown, and the chat goes on."""
        stub.behave = lambda path, number: 500 if path == "/api/sendText" and number == 1 else 200
        web = processes.web()
        processes.worker(stub)
        send(web, "perhaps", "fine")
        wait_until(lambda: idle(store), "both are done")
        assert (len(stub.asked), len(stub.sent), store.xlen(LIVE.unknown)) == (1, 1, 1)

    def test_silent_waha_leaves_the_outcome_unknown(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """A reply that WAHA took without answering is recorded as unknown and not sent again."""
        stub.behave = lambda path, _: 3.0 if path == "/api/sendText" else 200
        web = processes.web()
        processes.worker(stub, WAHA_TIMEOUT_S="1")
        send(web, "hello")
        wait_until(lambda: store.xlen(LIVE.unknown) == 1, "it is recorded")
        assert (len(stub.sent), idle(store)) == (1, True)

    def test_message_of_a_worker_killed_before_sending_is_answered_once(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """SIGKILL while the model is asked: another worker takes the message over and answers it once."""
        stub.behave = lambda path, number: 30.0 if path == "/v1/chat/completions" and number == 1 else 200
        web = processes.web()
        first = processes.worker(stub, AI_API_URL=stub.url)
        send(web, "hello")
        wait_until(lambda: len(stub.asked) == 1, "the first asks the model")
        first.kill()
        processes.worker(stub, AI_API_URL=stub.url)
        wait_until(lambda: idle(store), "the second has done it")
        assert (len(stub.sent), len(stub.asked)) == (1, 2)
        assert (store.xlen(LIVE.unknown), store.xlen(LIVE.dead)) == (0, 0)

    def test_message_of_a_worker_killed_while_sending_is_not_sent_again(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """SIGKILL after the request went to WAHA: it is recorded as unknown, and the chat goes on."""
        stub.behave = lambda path, number: 30.0 if path == "/api/sendText" and number == 1 else 200
        web = processes.web()
        first = processes.worker(stub)
        send(web, "hello")
        wait_until(lambda: len(stub.sent) == 1, "it is being sent")
        first.kill()
        send(web, "and then")
        processes.worker(stub)
        wait_until(lambda: idle(store), "both are done")
        ((_, unknown),) = store.xrange(LIVE.unknown)
        assert json.loads(unknown["event"])["payload"]["body"] == "hello"
        assert len({sent["reply_to"] for sent in stub.sent}) == len(stub.sent) == 2

    def test_worker_that_takes_long_keeps_its_message(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """A model that needs more than two leases is asked once, although another worker stands by."""
        stub.behave = lambda path, _: 4.5 if path == "/v1/chat/completions" else 200
        web = processes.web()
        for _ in range(2):
            processes.worker(stub, AI_API_URL=stub.url, LEASE_S="2")
        send(web, "hello")
        wait_until(lambda: idle(store), "it is done")
        assert (len(stub.asked), len(stub.sent)) == (1, 1)

    def test_workers_killed_at_random_lose_and_double_nothing(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """Five workers killed one after another under load: accepted = sent + unknown, and none twice."""
        stub.behave = lambda _path, _number: 0.02
        web = processes.web()
        worker = processes.worker(stub)
        accepted = 0
        for _ in range(5):
            for chat in range(20):
                send(web, "hello", chat=f"{chat}@c.us")
                accepted += 1
            worker.kill()
            worker = processes.worker(stub)
        wait_until(lambda: idle(store), "all are done", timeout_s=120)
        unknown = {json.loads(fields["event"])["payload"]["id"] for _, fields in store.xrange(LIVE.unknown)}
        sent = [reply["reply_to"] for reply in stub.sent]
        assert len(sent) == len(set(sent))
        assert len(set(sent) | unknown) == accepted
        assert store.xlen(LIVE.dead) == 0


class TestRedisAway:
    """Redis may go and come back."""

    def test_cut_connections_are_mended(self, processes: Processes, stub: Stub, store: Any) -> None:
        """When Redis drops all connections the next webhook is accepted and answered."""
        web = processes.web()
        worker = processes.worker(stub)
        send(web, "before")
        wait_until(lambda: len(stub.sent) == 1, "it is answered")
        store.client_kill_filter(_type="normal", skipme=True)
        send(web, "after")
        wait_until(lambda: len(stub.sent) == 2, "the next too")
        assert worker.process.poll() is None

    def test_lost_data_is_no_end(self, processes: Processes, stub: Stub, store: Any) -> None:
        """When Redis lost streams, groups and scripts, both processes make them again."""
        web = processes.web()
        worker = processes.worker(stub)
        send(web, "before")
        wait_until(lambda: len(stub.sent) == 1, "it is answered")
        store.flushall()
        store.script_flush()
        wait_until(lambda: bool(worker.lines("Redis is away, waiting")), "the worker notices")
        send(web, "after")
        wait_until(lambda: len(stub.sent) == 2, "the next is answered too")

    def test_no_memory_is_called_so(self, processes: Processes, stub: Stub, store: Any) -> None:
        """The sender, the log, the metric and the health report say memory, however empty the queue is."""
        web = processes.web(WAHA_API_URL=stub.url)

        def refused() -> bool:
            answer = post_to(web, event())
            return answer.status_code == 503 and answer.json()["error"]["code"] == "memory"

        def health() -> tuple[int, str]:
            answer = CLIENT.get(f"{web.url}/api/health")
            return answer.status_code, answer.json()["status"]

        assert health() == (200, "healthy")
        store.config_set("maxmemory", int(store.info("memory")["used_memory"] * 1.05))
        try:
            wait_until(refused, "webhooks are refused")
            wait_until(lambda: health() == (200, "degraded"), "health says so")
            assert web.lines("Webhook refused")[0]["code"] == "memory"
            assert 'outcome="memory"' in CLIENT.get(f"{web.url}/metrics").text
        finally:
            store.config_set("maxmemory", "0")
        wait_until(lambda: health() == (200, "healthy"), "it is over")

    def test_full_redis_is_emptied(self, processes: Processes, stub: Stub, store: Any) -> None:
        """A worker that starts while Redis has no room for a single key answers all that waits."""
        send(processes.web(), *(str(number) for number in range(20)))
        store.config_set("maxmemory", "1mb")
        try:
            processes.worker(stub)
            wait_until(lambda: idle(store), "all are done")
            with pytest.raises(blocking_redis.exceptions.OutOfMemoryError):
                store.set("key", "value")
        finally:
            store.config_set("maxmemory", "0")
        assert len(stub.sent) == 20

    def test_both_start_without_redis(self, processes: Processes) -> None:
        """Without Redis web lives, is not ready, and refuses with Retry-After; the worker waits."""
        nowhere = f"redis://127.0.0.1:{free_port()}/0"
        web = processes.web(REDIS_URL=nowhere)
        worker = processes.worker(REDIS_URL=nowhere)
        ready = CLIENT.get(f"{web.url}/api/health/ready")
        refused = post_to(web, event())
        assert (ready.status_code, refused.status_code, refused.headers["retry-after"]) == (503, 503, "2")
        assert CLIENT.get(f"{web.url}/api/health").json()["status"] == "unhealthy"
        wait_until(lambda: bool(worker.lines("Redis is away, waiting")), "the worker says so")
        assert worker.stop() == 0


HELD_UP_S = 20
"""An end that takes so long has waited for the model, which hangs for 30 s, or for nothing at all."""


class TestStopping:
    """SIGTERM: an orderly end."""

    def test_worker_finishes_what_it_sends(self, processes: Processes, stub: Stub, store: Any) -> None:
        """A reply that is under way when the worker is stopped is finished: sent once, nothing unknown."""
        stub.behave = lambda path, _: 0.5 if path == "/api/sendText" else 200
        web = processes.web()
        worker = processes.worker(stub)
        send(web, "hello")
        wait_until(lambda: len(stub.sent) == 1, "it is being sent")
        assert worker.stop() == 0
        assert (len(stub.sent), store.xlen(LIVE.unknown), idle(store)) == (1, 0, True)

    def test_worker_ends_within_its_grace(self, processes: Processes, stub: Stub, store: Any) -> None:
        """A model that hangs does not hold the end up: the message stays, for another worker to answer."""
        stub.behave = lambda path, number: 30.0 if path == "/v1/chat/completions" and number == 1 else 200
        web = processes.web()
        worker = processes.worker(stub, AI_API_URL=stub.url, STOP_GRACE_S="6")
        send(web, "hello")
        wait_until(lambda: len(stub.asked) == 1, "it asks the model")
        started = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - started < HELD_UP_S
        processes.worker(stub, AI_API_URL=stub.url)
        wait_until(lambda: idle(store), "another has done it")
        assert (len(stub.sent), store.xlen(LIVE.unknown)) == (1, 0)

    def test_full_worker_ends_too(self, processes: Processes, stub: Stub, store: Any) -> None:
        """A worker that holds as much as it may, all of it stuck, still ends within its grace."""
        stub.behave = lambda path, _: 30.0 if path == "/v1/chat/completions" else 200
        web = processes.web()
        worker = processes.worker(stub, AI_API_URL=stub.url, STOP_GRACE_S="6", CONCURRENCY="1")
        send(web, *"abcdefgh")
        wait_until(lambda: len(stub.asked) == 1, "it is stuck")
        started = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - started < HELD_UP_S
        assert store.xlen(LIVE.stream) == 8

    def test_web_turns_not_ready_and_finishes_its_requests(self, processes: Processes) -> None:
        """After SIGTERM a request in the middle of its body is still taken; then the process ends with 0."""
        web = processes.web(DRAIN_DELAY_S="1.5")
        body = event("hello")
        head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in signed_headers(body, SECRET).items())
        with socket.create_connection(("127.0.0.1", web.port), timeout=60) as connection:
            connection.sendall(head.encode() + b"\r\n" + body[:50])
            web.process.terminate()
            ready = f"{web.url}/api/health/ready"
            wait_until(lambda: CLIENT.get(ready).status_code == 503, "it is not ready")
            wait_until(lambda: bool(web.lines("Shutting down")), "it closes its port")
            connection.sendall(body[50:])
            assert connection.recv(12) == b"HTTP/1.1 202"
        assert web.process.wait(60) == 0


class TestEnvironment:
    """What is wrong around a process is said in its log, in one line of JSON."""

    @pytest.mark.parametrize(
        "environment", [{"HEARTBEAT_FILE": "/nowhere/beat"}, {"METRICS_PORT": "busy"}], ids=["file", "port"]
    )
    def test_worker_that_cannot_run_says_so(self, redis_url: str, environment: dict[str, str]) -> None:
        """A file or port that cannot be had ends the worker with 1, and no traceback."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            named = {
                name: value.replace("busy", str(taken.getsockname()[1]))
                for name, value in environment.items()
            }
            done = subprocess.run(
                [sys.executable, "-m", "service", "worker"],
                env={"REDIS_URL": redis_url, "METRICS_PORT": "0", **named},
                capture_output=True,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (1, "")
        assert json.loads(done.stdout.splitlines()[-1])["msg"] == "Worker failed"

    @pytest.mark.parametrize("fields", [{"what": "ever"}, {"chat": b"\xff"}, {"requestId": b"\xff"}])
    def test_foreign_entry_is_a_dead_letter(
        self, processes: Processes, stub: Stub, store: Any, fields: dict[str, Any]
    ) -> None:
        """Something in the stream that is no message of ours ends there, and the others go on."""
        web = processes.web()
        processes.worker(stub, MAX_ATTEMPTS="2")
        store.xadd(LIVE.stream, fields)
        send(web, "hello")
        wait_until(lambda: idle(store), "both are done")
        assert (store.xlen(LIVE.dead), len(stub.sent)) == (1, 1)


class TestHealthCheck:
    """What Docker asks."""

    def test_web(self, processes: Processes) -> None:
        """0 while the web process answers, 1 when it is gone."""
        web = processes.web()
        port = str(web.port)
        assert healthcheck("web", PORT=port, HOST="0.0.0.0") == 0
        web.kill()
        assert healthcheck("web", PORT=port) == 1

    def test_worker(self, processes: Processes, tmp_path: Any) -> None:
        """0 while the worker's loops turn, 1 when they stopped long ago or never began."""
        beat = tmp_path / "beat"
        processes.worker(HEARTBEAT_FILE=str(beat))
        wait_until(beat.exists, "it beats")
        assert healthcheck("worker", HEARTBEAT_FILE=str(beat)) == 0
        assert healthcheck("worker", HEARTBEAT_FILE=str(tmp_path / "none")) == 1

    def test_it_knows_the_defaults(self) -> None:
        """Without an environment it asks where the processes are by default."""
        web, worker = WebSettings.model_fields, WorkerSettings.model_fields
        assert (web["port"].default, web["host"].default) == (DEFAULT_PORT, DEFAULT_HOST)
        assert worker["heartbeat_file"].default == Path(DEFAULT_HEARTBEAT_FILE)

    def test_it_is_fast(self) -> None:
        """It imports none of the service's packages: they would cost each container CPU every few seconds."""
        listing = "import sys, service.healthcheck, service.__main__; print(*sys.modules)"
        loaded = subprocess.run(
            [sys.executable, "-c", listing], capture_output=True, text=True, check=True
        ).stdout
        assert not {"pydantic", "redis", "starlette", "uvicorn", "httpx", "structlog", "asyncio"} & set(
            loaded.split()
        )


def test_worker_exposes_its_metrics(processes: Processes, stub: Stub) -> None:
    """Replies and their delay are counted on the worker's own port."""
    port = free_port()
    web = processes.web()
    processes.worker(stub, METRICS_PORT=str(port))
    send(web, "hello")

    def metrics() -> str:
        return CLIENT.get(f"http://127.0.0.1:{port}/metrics").text

    wait_until(lambda: 'messages_total{lane="live",outcome="sent"} 1.0' in metrics(), "the reply is counted")
    assert 'reply_duration_seconds_count{lane="live"} 1.0' in metrics()
    assert "worker_live 1.0" in metrics()


POST = b"POST /api/webhooks/whatsapp HTTP/1.1\r\nHost: x\r\n"

BROKEN: dict[str, bytes] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "no version": b"GET\r\n\r\n",
    "length no number": POST + b"Content-Length: x\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "broken chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "broken header": POST + b"X-Webhook-Hmac: a\nb\r\nContent-Length: 0\r\n\r\n",
    "odd path": b"POST /%00%ff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", BROKEN.values(), ids=BROKEN)
def test_broken_http_is_a_4xx(processes: Processes, request_bytes: bytes) -> None:
    """What is not even HTTP is refused or hung up on; no answer is a 5xx and no line of the log is broken."""
    web = processes.web()
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as connection:
        connection.sendall(request_bytes)
        answer = connection.recv(12)
    assert answer in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 404")
    assert CLIENT.get(f"{web.url}/api/health/live").status_code == 200
    assert web.lines()
