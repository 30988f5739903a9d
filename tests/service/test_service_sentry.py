"""Sentry: each alarm with its level, seldom, with nothing of what people wrote, and in nobody's way."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
import structlog
from sentry_kit import HANGS_S, Received, options, running_sentry
from service_kit import CLIENT, SECRET, Processes, Stub, event, wait_until
from structlog.testing import LogCapture

from contracts.webhook import WEBHOOK_PATH, signed_headers
from service.telemetry.alarms import Alarm, Level, NoAlarms
from service.telemetry.sentry import FLUSH_S, SentryAlarms, _client, open_alarms, scrubbed

TEXT = "my secret diagnosis"
NUMBER = "491701234567"
CHAT = f"{NUMBER}@c.us"
TOKEN = "sk-live-8a7b6c5d4e3f"
SIGNATURE = "deadbeef" * 16
PLANTED = (TEXT, NUMBER, TOKEN, SIGNATURE, "diagnosis", "1701234567")


@pytest.fixture
def sentry() -> Iterator[Received]:
    """A Sentry that keeps all it gets."""
    with running_sentry() as received:
        yield received


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end in this process waits until all is told, also on a slow machine."""
    monkeypatch.setattr("service.telemetry.sentry.FLUSH_S", 30.0)


def quiet_log() -> structlog.typing.FilteringBoundLogger:
    """A log that nobody reads."""
    return structlog.wrap_logger(None, processors=[LogCapture()])


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_each_alarm_arrives_with_its_level(sentry: Received) -> None:
    """Critical ones are fatal in Sentry's words, the others warnings; each is a group of its own."""
    async with open_alarms(options(sentry.dsn, signature_failures_per_minute=1), quiet_log()) as alarms:
        for alarm in Alarm:
            for _ in range(2):  # one wrong signature is nobody's alarm
                alarms.raise_alarm(alarm, status=503)
    levels = {event["message"]: event["level"] for event in sentry.events}
    assert levels == {
        "database_down": "fatal",
        "waha_unreachable": "fatal",
        "signature_failures": "fatal",
        "credit_failure": "fatal",
        "memory_full": "fatal",
        "rate_limited": "warning",
        "slow_request": "warning",
        "invalid_payload": "warning",
    }
    assert [event["fingerprint"] for event in sentry.events] == [[message] for message in sentry.messages()]


async def test_event_says_where_it_comes_from(sentry: Received) -> None:
    """Release, environment and process mark each event, and the fields that are listed go along."""
    async with open_alarms(options(sentry.dsn), quiet_log()) as alarms:
        alarms.raise_alarm(Alarm.SLOW_REQUEST, path="/api/webhooks/whatsapp", durationMs=3100, status=202)
    (event,) = sentry.events
    assert (event["release"], event["environment"], event["tags"]) == ("r-1", "staging", {"process": "web"})
    assert event["extra"] == {
        "path": "/api/webhooks/whatsapp",
        "durationMs": 3100,
        "status": 202,
        "suppressed": 0,
    }


async def test_same_alarm_is_told_once_a_minute(sentry: Received) -> None:
    """A flood of one alarm is one event; the next one, a minute later, says how many there were."""
    clock, sentry_options = Clock(), options(sentry.dsn)
    client = _client(sentry_options, quiet_log())
    assert client is not None
    alarms = SentryAlarms(client, sentry_options, clock)
    for _ in range(500):
        alarms.raise_alarm(Alarm.RATE_LIMITED)
    alarms.raise_alarm(Alarm.INVALID_PAYLOAD)
    clock.now += 60
    alarms.raise_alarm(Alarm.RATE_LIMITED)
    client.close(30)
    told = [(event["message"], event["extra"]["suppressed"]) for event in sentry.events]
    assert told == [("rate_limited", 0), ("invalid_payload", 0), ("rate_limited", 499)]


async def test_wrong_signatures_alarm_above_their_rate(sentry: Received) -> None:
    """Three a minute are allowed here: the fourth is told, and four in twice the time are not."""
    clock, sentry_options = Clock(), options(sentry.dsn)
    client = _client(sentry_options, quiet_log())
    assert client is not None
    alarms = SentryAlarms(client, sentry_options, clock)
    for _ in range(4):
        clock.now += 30
        alarms.raise_alarm(Alarm.SIGNATURE_FAILURES)
    client.flush(30)
    assert sentry.events == []
    for _ in range(3):
        alarms.raise_alarm(Alarm.SIGNATURE_FAILURES)
    client.close(30)
    assert sentry.messages() == ["signature_failures"]


def fail_with_secrets(text: str) -> None:
    """Raise an error that quotes, and whose frames hold, what must not be told."""
    chat, token = CHAT, TOKEN
    try:
        raise ValueError(f"cannot send {text!r} to {chat}")
    except ValueError as error:
        raise RuntimeError(f"Bearer {token} was refused") from error


async def test_nothing_planted_reaches_sentry(sentry: Received) -> None:
    """Whatever fields and exceptions hold, no text, number, token or signature leaves."""
    async with open_alarms(options(sentry.dsn), quiet_log()) as alarms:
        alarms.raise_alarm(
            Alarm.INVALID_PAYLOAD,
            text=TEXT,
            chat=CHAT,
            reason=f"refused: {TEXT}",
            requestId=NUMBER,
            ip="203.0.113.9",
            path=f"/api/{NUMBER}",
            code=TEXT,
            status=int(NUMBER),
            outcome=TOKEN,
            error=SIGNATURE,
        )
        try:
            fail_with_secrets(TEXT)
        except RuntimeError as error:
            alarms.report_error("Request failed", error)
    everything, planted = "\n".join(sentry.raw), (*PLANTED, "203.0.113.9", socket.gethostname())
    assert sentry.messages() == ["invalid_payload", "Request failed"]
    assert [secret for secret in planted if secret in everything] == []


async def test_error_arrives_with_its_type_and_place(sentry: Received) -> None:
    """An exception is told by type and frames, causes included, without messages, variables or code."""
    async with open_alarms(options(sentry.dsn), quiet_log()) as alarms:
        try:
            fail_with_secrets(TEXT)
        except RuntimeError as error:
            alarms.report_error("Message failed", error)
    (event,) = sentry.events
    assert (event["level"], event["message"]) == ("error", "Message failed")
    assert [value["type"] for value in event["exception"]["values"]] == ["ValueError", "RuntimeError"]
    (_, last) = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert (last["function"], "vars" in last, "context_line" in last) == ("fail_with_secrets", False, False)


def test_scrubbing_lets_only_the_list_through() -> None:
    """Parts of an event that nobody listed are gone: requests, users, breadcrumbs, contexts, the host."""
    event = {
        "message": "rate_limited",
        "level": "warning",
        "request": {"data": TEXT},
        "user": {"ip_address": "203.0.113.9"},
        "breadcrumbs": {"values": [{"message": TEXT}]},
        "contexts": {"trace": {"data": TOKEN}},
        "server_name": "host",
        "logentry": {"message": TEXT},
    }
    assert scrubbed(event, {}) == {  # type: ignore[arg-type]
        "message": "rate_limited",
        "level": "warning",
        "tags": {},
        "extra": {},
    }


@pytest.mark.parametrize(
    "dsn", ["nonsense", "https://key@host/", "https://host/1", "https://key@[::1/1", "http://k@h:port/1"]
)
async def test_wrong_dsn_is_one_warning(dsn: str) -> None:
    """A DSN that cannot work costs a line in the log, which does not quote it, and nothing else."""
    logs = LogCapture()
    async with open_alarms(options(dsn), structlog.wrap_logger(None, processors=[logs])) as alarms:
        alarms.raise_alarm(Alarm.DATABASE_DOWN)
        assert isinstance(alarms, NoAlarms)
    (line,) = logs.entries
    assert line["event"] == "Sentry is not used: SENTRY_DSN is wrong"
    assert dsn not in str(line)


async def test_hanging_sentry_delays_neither_alarm_nor_end(sentry: Received) -> None:
    """Alarms return at once while Sentry hangs, more than its queue holds too; the end waits a second."""
    sentry.hangs = True
    clock, sentry_options = Clock(), options(sentry.dsn)
    client = _client(sentry_options, quiet_log())
    assert client is not None
    alarms = SentryAlarms(client, sentry_options, clock)
    started = time.monotonic()
    for _ in range(300):
        clock.now += 60
        alarms.raise_alarm(Alarm.DATABASE_DOWN)
    raised_s = time.monotonic() - started
    client.close(FLUSH_S)
    ended_s = time.monotonic() - started - raised_s
    assert raised_s < HANGS_S / 2
    assert ended_s < FLUSH_S + HANGS_S / 2


async def test_end_sends_what_waits(sentry: Received) -> None:
    """What was raised just before the end arrives."""
    async with open_alarms(options(sentry.dsn), quiet_log()) as alarms:
        alarms.raise_alarm(Alarm.CREDIT_FAILURE)
    assert sentry.messages() == ["credit_failure"]


async def test_what_ends_the_process_is_told(sentry: Received) -> None:
    """An exception that ends the process arrives, and still ends it."""
    with pytest.raises(LookupError):
        async with open_alarms(options(sentry.dsn, process="worker"), quiet_log()):
            raise LookupError(TEXT)
    assert sentry.messages() == ["Worker failed"]


async def test_alarm_that_cannot_be_told_raises_nothing(sentry: Received) -> None:
    """Fields that no serializer takes do not hurt whoever raises the alarm."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    async with open_alarms(options(sentry.dsn), quiet_log()) as alarms:
        alarms.raise_alarm(Alarm.INVALID_PAYLOAD, status=Odd(), code=Odd())  # type: ignore[arg-type]
        alarms.raise_alarm(Alarm.RATE_LIMITED)
    assert "rate_limited" in sentry.messages()


def test_levels_are_the_runbooks() -> None:
    """What loses messages or money is critical; limits, slowness and payloads are warnings."""
    critical = {alarm for alarm in Alarm if alarm.level is Level.CRITICAL}
    assert critical == {
        Alarm.DATABASE_DOWN,
        Alarm.WAHA_UNREACHABLE,
        Alarm.SIGNATURE_FAILURES,
        Alarm.CREDIT_FAILURE,
        Alarm.MEMORY_FULL,
    }


@pytest.mark.integration
class TestProcess:
    """A web process with Sentry."""

    def test_health_raises_the_alarm_without_secrets(self, processes: Processes, sentry: Received) -> None:
        """WAHA being away arrives as critical; neither its key nor the webhook's secret does."""
        web = processes.web(
            SENTRY_DSN=sentry.dsn, WAHA_API_URL="http://127.0.0.1:1", WAHA_API_KEY=TOKEN, RELEASE="r-7"
        )
        assert CLIENT.get(f"{web.url}/api/health").status_code == 503
        wait_until(lambda: bool(sentry.events), "the alarm arrives")
        (told,) = sentry.events
        assert (told["message"], told["level"], told["release"]) == ("waha_unreachable", "fatal", "r-7")
        assert [secret for secret in (TOKEN, SECRET) if secret in "".join(sentry.raw)] == []

    @pytest.mark.parametrize("dsn", ["nonsense", "http://key@127.0.0.1:1/42"])
    def test_service_runs_with_a_sentry_that_is_none(
        self, processes: Processes, stub: Stub, dsn: str
    ) -> None:
        """A wrong DSN, or nobody there: webhooks are taken, the report says down, SIGTERM ends it in time."""
        web = processes.web(SENTRY_DSN=dsn, WAHA_API_URL=stub.url, STOP_GRACE_S="5")
        report = CLIENT.get(f"{web.url}/api/health")
        assert report.json()["services"]["sentry"]["status"] == "down"
        assert (report.status_code, report.json()["status"]) == (200, "degraded")
        web.logged("Sentry is not used: SENTRY_DSN is wrong", times=dsn == "nonsense")
        body = event()
        taken = CLIENT.post(f"{web.url}{WEBHOOK_PATH}", content=body, headers=signed_headers(body, SECRET))
        assert taken.status_code == 202
        assert web.stop(timeout_s=20) == 0

    def test_what_senders_write_stays_here(self, processes: Processes, sentry: Received) -> None:
        """Malformed events, wrong signatures and a flood become alarms, without a word of their content."""
        web = processes.web(
            SENTRY_DSN=sentry.dsn, SIGNATURE_ALARM_PER_MINUTE="2", RATE_LIMIT_PER_MINUTE="2", STOP_GRACE_S="5"
        )
        url = f"{web.url}{WEBHOOK_PATH}"
        malformed = json.dumps({"event": "message", "session": 7, "payload": {"body": TEXT, "from": CHAT}})
        taken = [event(f"{TEXT} {TOKEN} {number}", chat_id=CHAT) for number in range(9)]
        for body in (malformed.encode(), *taken):
            CLIENT.post(url, content=body, headers={**signed_headers(body, SECRET), "X-Request-Id": NUMBER})
        for body in taken:
            wrong = {**signed_headers(body, TOKEN), "X-Forwarded-For": "203.0.113.9", "X-Planted": TEXT}
            CLIENT.post(url, content=body, headers=wrong)
        wait_until(lambda: len(sentry.events) == 3, "the alarms arrive")
        assert web.stop(timeout_s=20) == 0
        everything = "\n".join(sentry.raw)
        assert sorted(sentry.messages()) == ["invalid_payload", "rate_limited", "signature_failures"]
        assert [secret for secret in (*PLANTED, SECRET, "203.0.113.9") if secret in everything] == []
