"""Sending for real, by processes that are killed and peers that fail: once, charged once, never guessed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import redis as blocking_redis
from database_kit import DEPLOY_KEY, ConvexBackend, running_convex
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
from contracts.webhook import WEBHOOK_PATH
from sandbox.faults import Fault
from service.lanes import LIVE

pytestmark = pytest.mark.integration

KEY = "a key that web and worker share"


@pytest.fixture
def store(redis_url: str) -> Any:
    """A client of the processes' Redis."""
    with blocking_redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def convex() -> Iterator[ConvexBackend]:
    """A database that can fail."""
    with running_convex() as backend:
        yield backend


def send(web: Running, body: bytes, status: int = 202) -> None:
    """Have a signed webhook answered with *status*."""
    assert post_to(web, body).status_code == status


def ask(web: Running, name: str = "A", **more: Any) -> None:
    """Have a message accepted."""
    send(web, event("hello", chat_id=CHAT, message_id=name, **more))


def echo(web: Running, sent: dict[str, Any]) -> None:
    """Tell, as WAHA does, that this was sent."""
    payload = {
        "id": f"true_{CHAT}_OURS",
        "from": "15550000000@c.us",
        "fromMe": True,
        "replyTo": {"id": sent["reply_to"].split("_")[2]},
    }
    send(web, event(sent["text"], chat_id=CHAT, event="message.any", payload=payload), 200)


def idle(store: Any) -> bool:
    """Whether no live message waits or is in work."""
    return bool(store.xlen(LIVE.stream) == 0)


def account(store: Any) -> tuple[int, int]:
    """Credits held and used by the tenant of all messages."""
    return store.zcard("{wa}:held:default"), int(store.hget("{wa}:tenant:default", "used") or 0)


def metric(port: int, name: str) -> float:
    """A metric without labels other than the lane, of a worker on this port."""
    for line in CLIENT.get(f"http://127.0.0.1:{port}/metrics").text.splitlines():
        if line.startswith(f'{name}{{lane="live"}} '):
            return float(line.rpartition(" ")[2])
    return 0


def hang_first(path: str = "/api/sendText") -> Callable[[str, int], int | float]:
    """The first call of *path* takes what was asked and says nothing for long."""
    return lambda asked, number: 30.0 if asked == path and number == 1 else 200


def test_waha_is_treated_politely(processes: Processes, stub: Stub, store: Any) -> None:
    """Seen, typing, no longer typing, text: in this order, for one message."""
    web = processes.web()
    processes.worker(stub)
    ask(web)
    wait_until(lambda: idle(store), "it is answered")
    names = ("sendSeen", "startTyping", "stopTyping", "sendText")
    assert [path for path, _ in stub.seen] == [f"/api/{name}" for name in names]
    assert stub.seen[0][1]["messageIds"] == [f"false_{CHAT}_A"]


def test_typing_is_shown_while_the_model_writes(processes: Processes, stub: Stub, store: Any) -> None:
    """The model is not waited for before the customer sees that somebody writes."""
    stub.behave = lambda path, _: 2.0 if path.startswith("/v1") else 200
    web = processes.web()
    processes.worker(stub, AI_API_URL=stub.url)
    ask(web)
    wait_until(lambda: "/api/startTyping" in [path for path, _ in stub.seen], "it shows")
    assert not stub.sent
    wait_until(lambda: idle(store), "it is answered")
    assert [path for path, _ in stub.seen][-2:] == ["/api/stopTyping", "/api/sendText"]


class TestUnknown:
    """WAHA took the reply and did not say so."""

    def test_proof_before_the_timeout_makes_it_sent(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """WAHA's own message.any comes before we give up: answered, charged, never unknown."""
        stub.behave = hang_first()
        web = processes.web(PSEUDONYM_KEY=KEY)
        worker = processes.worker(stub, PSEUDONYM_KEY=KEY, WAHA_TIMEOUT_S="4")
        ask(web)
        wait_until(lambda: len(stub.sent) == 1, "it is being sent")
        echo(web, stub.sent[0])
        wait_until(lambda: idle(store), "it is done")
        assert (store.xlen(LIVE.unknown), account(store), len(stub.sent)) == (0, (0, 1), 1)
        wait_until(lambda: bool(worker.lines("Message reconciled")), "it is logged")

    def test_proof_after_the_timeout_reconciles(self, processes: Processes, stub: Stub, store: Any) -> None:
        """Recorded as unknown, its credit held; then message.any comes: answered, charged once, counted."""
        stub.behave = hang_first()
        port = free_port()
        web = processes.web(PSEUDONYM_KEY=KEY)
        worker = processes.worker(stub, PSEUDONYM_KEY=KEY, WAHA_TIMEOUT_S="1", METRICS_PORT=str(port))
        ask(web)
        wait_until(lambda: store.xlen(LIVE.unknown) == 1, "it is recorded")
        wait_until(lambda: account(store) == (1, 0), "its credit is held")
        echo(web, stub.sent[0])
        wait_until(lambda: store.xlen(LIVE.unknown) == 0, "it is reconciled")
        assert (account(store), len(stub.sent)) == ((0, 1), 1)
        wait_until(lambda: metric(port, "messages_reconciled_total") == 1, "it is counted")
        worker.logged("Message reconciled")
        assert not [key for key in store.scan_iter() if ":expected:" in key or ":said:" in key]

    @pytest.mark.parametrize("is_early", [True, False], ids=["echo first", "takeover first"])
    def test_worker_killed_while_sending_is_reconciled(
        self, processes: Processes, stub: Stub, store: Any, is_early: bool
    ) -> None:
        """SIGKILL while WAHA has the reply: not sent again, and charged once, whenever message.any comes."""
        stub.behave = hang_first()
        web = processes.web(PSEUDONYM_KEY=KEY)
        first = processes.worker(stub, PSEUDONYM_KEY=KEY)
        ask(web)
        wait_until(lambda: len(stub.sent) == 1, "it is being sent")
        first.kill()
        if is_early:
            echo(web, stub.sent[0])
        for _ in range(2):
            processes.worker(stub, PSEUDONYM_KEY=KEY)
        wait_until(lambda: idle(store), "another has taken it over")
        assert store.xlen(LIVE.unknown) == (0 if is_early else 1)
        if not is_early:
            echo(web, stub.sent[0])
            wait_until(lambda: store.xlen(LIVE.unknown) == 0, "it is reconciled")
        assert (account(store), len(stub.sent)) == ((0, 1), 1)

    def test_waha_that_sent_and_answered_500_is_not_asked_again(
        self, processes: Processes, stub: Stub, store: Any
    ) -> None:
        """Its message.any says that it was sent, whatever its API said: no second reply."""
        stub.behave = lambda path, number: 500 if path == "/api/sendText" and number == 1 else 200
        web = processes.web(PSEUDONYM_KEY=KEY)
        processes.worker(stub, PSEUDONYM_KEY=KEY, RETRY_BASE_S="1")
        ask(web)
        wait_until(lambda: len(stub.asked) == 1, "it was asked")
        echo(web, stub.asked[0])
        wait_until(lambda: account(store) == (0, 1), "it is charged")
        wait_until(lambda: store.xlen(LIVE.unknown) == 0, "it is known")
        assert (len(stub.sent), len(stub.asked), idle(store)) == (0, 1, True)

    def test_nobody_tells_and_it_stays_unknown(self, processes: Processes, stub: Stub, store: Any) -> None:
        """Without a proof nothing is assumed, and nothing sent."""
        stub.behave = hang_first()
        web = processes.web(PSEUDONYM_KEY=KEY)
        processes.worker(stub, PSEUDONYM_KEY=KEY, WAHA_TIMEOUT_S="1")
        ask(web)
        wait_until(lambda: store.xlen(LIVE.unknown) == 1, "it is recorded")
        echo(web, {"text": "I answer by hand.", "reply_to": f"false_{CHAT}_A"})
        ask(web, "B")
        wait_until(lambda: idle(store), "the next is answered")
        wait_until(lambda: account(store) == (1, 1), "one is held, one charged")
        assert (store.xlen(LIVE.unknown), len(stub.sent)) == (1, 2)


@contextmanager
def running_sandbox(port: int, webhook_url: str) -> Iterator[str]:
    """The sandbox, whose WAHA tells *webhook_url* of what it sent; its URL."""
    settings = {
        "PORT": str(port),
        "SANDBOX_WAHA_WEBHOOK_URL": webhook_url,
        "SANDBOX_WAHA_WEBHOOK_SECRET": SECRET,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        env={"PATH": os.environ["PATH"], **settings},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is None and _is_up(f"{url}/healthz"), "the sandbox answers")
        yield url
    finally:
        process.kill()
        process.wait()


def _is_up(url: str) -> bool:
    try:
        return CLIENT.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_health_asks_waha_with_the_key(processes: Processes) -> None:
    """A key that WAHA does not take is down before a single message has failed for it."""
    port = free_port()
    with running_sandbox(port, "http://127.0.0.1:1/api/webhooks/whatsapp") as sandbox:
        web = processes.web(WAHA_API_URL=f"{sandbox}/waha", WAHA_API_KEY="ours")

        def waha() -> tuple[int, str]:
            answer = CLIENT.get(f"{web.url}/api/health")
            return answer.status_code, answer.json()["services"]["waha"]["status"]

        assert waha() == (200, "up")
        assert CLIENT.put(f"{sandbox}/waha/key", json={"key": "another"}).status_code == 204
        wait_until(lambda: waha() == (503, "down"), "health notices")
        assert CLIENT.put(f"{sandbox}/waha/key", json={"key": "ours"}).status_code == 204
        wait_until(lambda: waha() == (200, "up"), "health notices that too")


def test_waha_s_own_webhook_reconciles(processes: Processes, store: Any) -> None:
    """From end to end: WAHA sends and hangs, its signed webhook is the proof; one reply, charged once."""
    web, port = processes.web(PSEUDONYM_KEY=KEY), free_port()
    with running_sandbox(port, f"{web.url}{WEBHOOK_PATH}") as sandbox:
        worker = processes.worker(
            PSEUDONYM_KEY=KEY, WAHA_API_URL=f"{sandbox}/waha", WAHA_TIMEOUT_S="1", WAHA_TYPING="false"
        )
        CLIENT.put(f"{sandbox}/faults/waha", json={"hang": True, "after": True})
        ask(web)
        wait_until(lambda: bool(worker.lines("Message reconciled")), "it is reconciled")
        assert [sent["replyTo"] for sent in CLIENT.get(f"{sandbox}/waha/sent").json()] == [f"false_{CHAT}_A"]
    assert (idle(store), account(store), store.xlen(LIVE.unknown)) == (True, (0, 1), 0)


class TestCredit:
    """The billing guard."""

    def test_no_credit_is_no_reply_and_one_mail(self, processes: Processes, stub: Stub, store: Any) -> None:
        """The owner hears of it once; the messages end, each with a line in the guard's words."""
        store.hset("{wa}:tenant:default", mapping={"credits": 1, "used": 0, "owner": "o@example.com"})
        store.sadd("{wa}:tenants", "default")
        web = processes.web()
        mail = {"RESEND_API_KEY": "re_x", "RESEND_API_URL": stub.url, "EMAIL_FROM": "a@example.com"}
        worker = processes.worker(stub, **mail)
        for name in "ABCD":
            ask(web, name)
        wait_until(lambda: idle(store), "all have ended")
        wait_until(lambda: len(worker.lines("Billing guard: no credit")) == 3, "it is logged")
        wait_until(lambda: "/emails" in [path for path, _ in stub.seen], "the owner is told")
        (told,) = [content for path, content in stub.seen if path == "/emails"]
        assert (told["to"], len(stub.sent), account(store)) == (["o@example.com"], 1, (0, 1))
        outcomes = [fields["outcome"] for _, fields in store.xrange("{wa}:log")]
        assert sorted(outcomes) == ["answered", "no_credit", "no_credit", "no_credit"]
        assert store.xlen(LIVE.dead) == 0

    def test_database_down_before_a_reply_holds_it_back(
        self, processes: Processes, stub: Stub, store: Any, convex: ConvexBackend
    ) -> None:
        """Nothing is sent that might not be paid; when it is back, all is answered in order, charged once."""
        convex.faults.set("convex", Fault(status=503))
        web = processes.web()
        worker = processes.worker(stub, **convex_settings(convex))
        for name in "ABC":
            ask(web, name)
        wait_until(lambda: bool(worker.lines("Message failed")), "it is tried")
        assert (stub.sent, store.xlen(LIVE.stream)) == ([], 3)
        convex.faults.end("convex")
        wait_until(lambda: idle(store), "all are answered")
        assert [sent["reply_to"][-1] for sent in stub.sent] == list("ABC")
        wait_until(lambda: used(convex) == 3, "all are charged")

    def test_database_down_after_a_reply_is_told_later(
        self, processes: Processes, stub: Stub, store: Any, convex: ConvexBackend
    ) -> None:
        """It goes down while WAHA sends: the chat goes on, nothing is sent twice, and it is charged once."""

        def behave(path: str, number: int) -> int | float:
            if path == "/api/sendText" and number == 1:
                convex.faults.set("convex", Fault(status=503))
            return 200

        stub.behave = behave
        web = processes.web()
        processes.worker(stub, **convex_settings(convex))
        ask(web)
        wait_until(lambda: store.xlen(LIVE.unsettled) == 1, "the database was not told")
        wait_until(lambda: idle(store), "the message is done with")
        assert used(convex) == 0
        convex.faults.end("convex")
        wait_until(lambda: store.xlen(LIVE.unsettled) == 0, "it is told")
        ask(web, "B")
        wait_until(lambda: used(convex) == 2, "both are charged")
        assert len(stub.sent) == 2


def convex_settings(convex: ConvexBackend) -> dict[str, str]:
    """What a worker is told of its database."""
    return {
        "NEXT_PUBLIC_CONVEX_URL": convex.url,
        "CONVEX_DEPLOY_KEY": DEPLOY_KEY,
        "DATABASE_TIMEOUT_S": "5",
        "RETRY_CAP_S": "0.5",
    }


def used(convex: ConvexBackend) -> int:
    """Credits charged."""
    return sum(tenant["used"] for tenant in convex.tables.tenants.values())


def test_old_backlog_is_stored(processes: Processes, stub: Stub, store: Any) -> None:
    """What was written two hours ago is kept in the log and not answered; what is new is."""
    web, worker = processes.web(), processes.worker(stub)
    ask(web, "OLD", payload={"timestamp": int(time.time() - 7200)})
    ask(web, "NEW")
    wait_until(lambda: idle(store), "both have ended")
    wait_until(lambda: len(worker.lines("Message stored")) == 1, "it is logged once")
    assert [sent["reply_to"] for sent in stub.sent] == [f"false_{CHAT}_NEW"]
    logged = {fields["payloadId"]: fields["outcome"] for _, fields in store.xrange("{wa}:log")}
    assert logged[f"false_{CHAT}_OLD"] == "stored"


def test_waha_coming_back_finds_all_in_order(processes: Processes, stub: Stub, store: Any) -> None:
    """Down for several attempts: no dead letter, nothing doubled, and each chat in its order."""
    nowhere = free_port()
    web = processes.web()
    away = processes.worker(WAHA_API_URL=f"http://127.0.0.1:{nowhere}", RETRY_CAP_S="0.3")
    for number in range(3):
        for chat in range(5):
            send(web, event("hello", chat_id=f"{chat}@c.us", message_id=f"{chat}x{number}"))
    wait_until(lambda: len(away.lines("Message failed")) > 15, "it is tried again and again")
    away.stop()
    processes.worker(stub)
    wait_until(lambda: idle(store), "all are answered", timeout_s=120)
    for chat in range(5):
        order = [sent["reply_to"][-1] for sent in stub.sent if sent["chatId"] == f"{chat}@c.us"]
        assert order == list("012")
    assert (store.xlen(LIVE.dead), store.xlen(LIVE.unknown)) == (0, 0)


def test_nothing_private_is_logged(processes: Processes, stub: Stub, store: Any) -> None:
    """Neither side's text, nor a number, nor a tenant that looks like one, in any line of either process."""
    stub.behave = lambda path, number: 500 if path == "/api/sendText" and number == 1 else 200
    web = processes.web(PSEUDONYM_KEY=KEY, BILLING_CREDITS="1")
    worker = processes.worker(stub, PSEUDONYM_KEY=KEY, BILLING_CREDITS="1", AI_API_URL=stub.url)
    for name in "AB":
        body = json.loads(event("a secret text", chat_id=CHAT, message_id=name))
        body["metadata"] = {"tenant": "+1 555 7654321"}
        send(web, json.dumps(body).encode())
    wait_until(lambda: idle(store), "both have ended")
    wait_until(lambda: bool(worker.lines("Billing guard: no credit")), "one is refused")
    assert worker.stop() == 0
    written = web.output.read_text() + worker.output.read_text()
    assert not [
        part for part in ("secret", "the model's answer", PART_OF_NUMBER, "7654321") if part in written
    ]
