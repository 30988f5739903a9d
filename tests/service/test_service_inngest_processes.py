"""Messages through Inngest for real: web, worker and sandbox as processes, and what may happen to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as blocking_redis
from inngest_kit import EVENT_KEY, FUNCTION, SIGNING_KEY, call_body, signed_call
from service_kit import CHAT, CLIENT, PART_OF_NUMBER, SECRET, Processes, Running, event, wait_until

from contracts.free_ports import free_ports
from contracts.webhook import WEBHOOK_PATH, signed_headers
from service.by_inngest.custody import HOLDER
from service.lanes import GROUP, LIVE

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CALL_PATH = f"/api/inngest?fnId={FUNCTION}&stepId=step"


class Rig:
    """Web, worker and sandbox, which know each other, over one Redis."""

    def __init__(self, processes: Processes, store: Any) -> None:
        self._processes = processes
        self._sandbox: subprocess.Popen[bytes] | None = None
        self._sandbox_port, self._web_port = free_ports(2)
        self.store = store
        self.url = f"http://127.0.0.1:{self._sandbox_port}"

    def sandbox(self, *, calls: bool = True) -> None:
        """Start the sandbox; without *calls* its Inngest takes events and never calls."""
        app_url = f"http://127.0.0.1:{self._web_port}/api/inngest"
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self._sandbox_port),
            "SANDBOX_INNGEST_SIGNING_KEY": SIGNING_KEY,
            **({"SANDBOX_INNGEST_APP_URL": app_url} if calls else {}),
        }
        self._sandbox = subprocess.Popen([sys.executable, "-m", "sandbox"], cwd=ROOT, env=environment)
        wait_until(lambda: answers(f"{self.url}/healthz"), "the sandbox answers")

    def web(self, **environment: str) -> Running:
        """Start the web process, at the same port each time."""
        return self._processes.web(PORT=str(self._web_port), **self._environment(environment))

    def worker(self, **environment: str) -> Running:
        """Start a worker."""
        return self._processes.worker(**self._environment(environment))

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {
            "WAHA_API_URL": f"{self.url}/waha",
            "INNGEST_EVENT_KEY": EVENT_KEY,
            "INNGEST_SIGNING_KEY": SIGNING_KEY,
            "INNGEST_EVENT_API_BASE_URL": f"{self.url}/inngest",
            "LEASE_S": "1",
            "RETRY_BASE_S": "0.2",
            **more,
        }

    def fault(self, service: str, **fault: Any) -> None:
        """Set a fault of the sandbox, or end it where none is given."""
        url = f"{self.url}/faults/{service}"
        (CLIENT.put(url, json=fault) if fault else CLIENT.delete(url)).raise_for_status()

    def runs(self) -> list[dict[str, Any]]:
        """What Inngest has run."""
        return list(CLIENT.get(f"{self.url}/inngest/runs").json())

    def sent(self) -> list[dict[str, Any]]:
        """What was sent through WAHA."""
        return list(CLIENT.get(f"{self.url}/waha/sent").json())

    def idle(self) -> bool:
        """Whether no live message waits or is in work."""
        return bool(self.store.xlen(LIVE.stream) == 0)

    def in_inngests_hand(self) -> list[str]:
        """The messages that Inngest was told of."""
        try:
            pending = self.store.xpending_range(LIVE.stream, GROUP, "-", "+", 1000)
        except blocking_redis.ResponseError:  # no worker has opened the stream yet
            return []
        return [found["message_id"] for found in pending if found["consumer"] == HOLDER]

    def end(self) -> None:
        """Stop the sandbox."""
        if self._sandbox:
            self._sandbox.terminate()
            self._sandbox.wait(60)


@pytest.fixture
def rig(processes: Processes, redis_url: str) -> Iterator[Rig]:
    """The three, not started."""
    with blocking_redis.Redis.from_url(redis_url, decode_responses=True) as client:
        rig = Rig(processes, client)
        yield rig
        rig.end()


def answers(url: str) -> bool:
    """Whether anybody is there."""
    try:
        return CLIENT.get(url).is_success
    except httpx.HTTPError:
        return False


def send(web: Running, messages: int, *, chats: int) -> set[str]:
    """Have so many messages accepted, over so many chats by turns; the ids that replies will refer to."""
    return {send_one(web, number, chats) for number in range(messages)}


def send_one(web: Running, number: int, chats: int) -> str:
    """Have one message accepted, if need be after some attempts, as WAHA does; the id of its payload."""
    chat, name = f"{number % chats}@c.us", f"N{number:04}"
    body = event(str(number), chat_id=chat, message_id=name)

    def is_accepted() -> bool:
        try:
            headers = signed_headers(body, SECRET)
            return CLIENT.post(f"{web.url}{WEBHOOK_PATH}", content=body, headers=headers).is_success
        except httpx.HTTPError:
            return False

    wait_until(is_accepted, "it is accepted")
    return f"false_{chat}_{name}"


def replied(rig: Rig) -> list[str]:
    """What was replied to, in order."""
    return [sent["replyTo"] for sent in rig.sent()]


def records(rig: Rig) -> tuple[int, int]:
    """Dead letters and unknown outcomes."""
    return rig.store.xlen(LIVE.dead), rig.store.xlen(LIVE.unknown)


def post_call(web: Running, entry_id: str, key: str = SIGNING_KEY) -> int:
    """Call the function for a message as Inngest does; the status of the answer."""
    body = call_body(entry_id)
    return CLIENT.post(f"{web.url}{CALL_PATH}", content=body, headers=signed_call(body, key)).status_code


def test_every_message_is_answered_once_by_a_run(rig: Rig) -> None:
    """200 messages of 20 chats are each answered once, all by Inngest's runs, and in each chat in order."""
    web, _ = rig.web(), rig.sandbox()
    worker = rig.worker(LEASE_S="30")
    ids = send(web, 200, chats=20)
    wait_until(rig.idle, "all are done", timeout_s=240)
    order = replied(rig)
    assert Counter(order) == Counter(ids)
    for chat in range(20):
        of_chat = [reply for reply in order if reply.startswith(f"false_{chat}@")]
        assert of_chat == sorted(of_chat)
    wait_until(lambda: all(run["status"] == "completed" for run in rig.runs()), "the runs have ended")
    assert len(rig.runs()) == len(web.logged("Message processed", 200))
    assert worker.lines("Message processed") == []


def test_nothing_leaves_through_inngest(rig: Rig) -> None:
    """Neither the number of the chat nor the text is in what Inngest gets, and no key is in a log."""
    web, _, worker = rig.web(), rig.sandbox(), rig.worker()
    body = event("a secret text", chat_id=CHAT)
    CLIENT.post(f"{web.url}{WEBHOOK_PATH}", content=body, headers=signed_headers(body, SECRET))
    wait_until(rig.idle, "it is answered")
    wait_until(lambda: rig.runs()[0]["status"] == "completed", "the run has ended")
    told = str(rig.runs())
    logged = web.output.read_text() + worker.output.read_text()
    assert ("secret" in told, PART_OF_NUMBER in told, PART_OF_NUMBER in logged) == (False, False, False)
    assert not [key for key in (EVENT_KEY, SIGNING_KEY, "00ffee") if key in logged]


def test_nothing_is_lost_while_inngest_is_down(rig: Rig) -> None:
    """What came while Inngest could not be told is answered once, whether by it or by the worker."""
    web, _ = rig.web(), rig.sandbox()
    worker = rig.worker()
    rig.fault("inngest", down=True)
    ids = send(web, 30, chats=10)
    wait_until(lambda: bool(worker.lines("Inngest was not told")), "the worker has tried")
    rig.fault("inngest")
    wait_until(rig.idle, "all are done", timeout_s=120)
    assert (Counter(replied(rig)), records(rig)) == (Counter(ids), (0, 0))


def test_worker_answers_what_inngest_never_runs(rig: Rig) -> None:
    """An Inngest that takes events and never calls loses nothing: the worker answers after some leases."""
    web, _ = rig.web(), rig.sandbox(calls=False)
    worker = rig.worker()
    ids = send(web, 5, chats=5)
    wait_until(rig.idle, "all are done", timeout_s=120)
    assert (Counter(replied(rig)), records(rig)) == (Counter(ids), (0, 0))
    worker.logged("Message processed", 5)


def test_calls_that_come_many_times_answer_once(rig: Rig) -> None:
    """Each call comes three times at once, until all say that it is done: each message is answered once."""
    web, _ = rig.web(), rig.sandbox(calls=False)
    rig.worker(LEASE_S="60")
    ids = send(web, 20, chats=20)
    wait_until(lambda: len(rig.in_inngests_hand()) == 20, "Inngest was told of all")
    waiting = rig.in_inngests_hand() * 3
    with ThreadPoolExecutor(12) as pool:
        while waiting:
            statuses = pool.map(lambda entry_id: post_call(web, entry_id), waiting)
            waiting = [entry for entry, status in zip(waiting, statuses, strict=True) if status != 200]
    assert (Counter(replied(rig)), records(rig), rig.idle()) == (Counter(ids), (0, 0), True)


def test_wrong_signature_runs_nothing(rig: Rig) -> None:
    """A call by another key is 401: the message stays where it is, and the log says so."""
    web, _ = rig.web(), rig.sandbox(calls=False)
    rig.worker(LEASE_S="60")
    send(web, 1, chats=1)
    wait_until(lambda: bool(rig.in_inngests_hand()), "Inngest was told")
    (entry_id,) = rig.in_inngests_hand()
    assert post_call(web, entry_id, "signkey-test-aabb") == 401
    assert (rig.sent(), rig.in_inngests_hand()) == ([], [entry_id])
    (line,) = web.logged("Invalid Inngest signature")
    assert (line["security"], line["action"]) == (True, "invalid_signature")
    assert post_call(web, entry_id) == 200


def test_web_killed_before_it_sent_is_no_loss(rig: Rig) -> None:
    """A web process that dies while the model writes leaves the message, and it is answered once."""
    web, _ = rig.web(AI_API_URL=f"{rig.url}/ai"), rig.sandbox()
    rig.worker()
    rig.fault("ai", hang=True)
    ids = send(web, 1, chats=1)
    wait_until(lambda: rig.store.xpending(LIVE.stream, GROUP)["pending"] == 1, "the worker has read it")
    wait_until(lambda: run_has_it(rig), "a run has it")
    web.kill()
    rig.fault("ai")
    rig.web(AI_API_URL=f"{rig.url}/ai")
    wait_until(rig.idle, "it is done", timeout_s=120)
    assert (Counter(replied(rig)), records(rig)) == (Counter(ids), (0, 0))


def test_web_killed_while_it_sent_is_recorded(rig: Rig) -> None:
    """A web process that dies before WAHA has answered leaves an unknown outcome, never a second reply."""
    web, _ = rig.web(), rig.sandbox()
    rig.worker()
    rig.fault("waha", latency_ms=60_000, after=True)
    ids = send(web, 1, chats=1)
    wait_until(lambda: bool(rig.sent()), "WAHA has sent it")
    web.kill()
    rig.fault("waha")
    rig.web()
    wait_until(rig.idle, "it is done", timeout_s=120)
    assert (Counter(replied(rig)), records(rig)) == (Counter(ids), (0, 1))


def test_waha_that_is_down_is_tried_again(rig: Rig) -> None:
    """What WAHA surely did not send goes back to Inngest, which calls again until WAHA is there."""
    web, _ = rig.web(), rig.sandbox()
    rig.worker(LEASE_S="30")
    rig.fault("waha", status=429)
    ids = send(web, 3, chats=3)
    wait_until(lambda: sum(len(run["answers"]) for run in rig.runs()) >= 3, "each was tried")
    rig.fault("waha")
    wait_until(rig.idle, "all are done", timeout_s=120)
    assert (Counter(replied(rig)), records(rig)) == (Counter(ids), (0, 0))
    web.logged("Message processed", 3)


def test_stopped_web_finishes_its_run(rig: Rig) -> None:
    """SIGTERM in the middle of a run: its message is answered, once, before the process ends."""
    web, _ = rig.web(), rig.sandbox()
    rig.worker(LEASE_S="30")
    rig.fault("waha", latency_ms=1500, after=True)
    ids = send(web, 1, chats=1)
    wait_until(lambda: bool(rig.sent()), "WAHA has sent it")
    assert web.stop() == 0
    assert (rig.idle(), Counter(replied(rig)), records(rig)) == (True, Counter(ids), (0, 0))


def test_without_a_signing_key_the_worker_answers(rig: Rig) -> None:
    """Nobody could be let in to run anything: both say so, no event is sent, and messages are answered."""
    web, _ = rig.web(INNGEST_SIGNING_KEY=""), rig.sandbox()
    worker = rig.worker(INNGEST_SIGNING_KEY="")
    ids = send(web, 2, chats=2)
    wait_until(rig.idle, "all are done")
    assert (Counter(replied(rig)), rig.runs()) == (Counter(ids), [])
    assert CLIENT.post(f"{web.url}{CALL_PATH}", content=b"{}").status_code == 405
    for process in (web, worker):
        assert [line for line in process.lines() if "INNGEST_SIGNING_KEY" in line["msg"]]


def test_kills_lose_nothing_and_double_nothing(rig: Rig) -> None:
    """Web and worker killed in the middle of 150 messages, four times: each is answered once, or recorded."""
    web, _ = rig.web(), rig.sandbox()
    worker = rig.worker()
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send_one, web, number, 40) for number in range(150)]
        for killed in range(4):
            wait_until(lambda least=20 * (killed + 1): len(rig.sent()) >= least, "some are answered")
            web.kill()
            rig.web()
            worker.kill()
            worker = rig.worker()
        ids = {future.result() for future in sending}
    wait_until(rig.idle, "all are done", timeout_s=240)
    answered = Counter(replied(rig))
    assert (rig.store.xlen(LIVE.dead), max(answered.values())) == (0, 1)
    assert ids - answered.keys() == unanswered(rig)


def unanswered(rig: Rig) -> set[str]:
    """The messages of unknown outcome that were not sent, as the sandbox knows and the service cannot."""
    events = [json.loads(fields["event"]) for _, fields in rig.store.xrange(LIVE.unknown)]
    return {event["payload"]["id"] for event in events} - set(replied(rig))


def run_has_it(rig: Rig) -> bool:
    """Whether a message was received by a run: the web's consumers are not the worker's."""
    (pending,) = rig.store.xpending_range(LIVE.stream, GROUP, "-", "+", 1)
    return pending["consumer"].startswith("web:")
