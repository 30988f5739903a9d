"""Inngest's calls: only signed ones run anything, and the answer says what Inngest is to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from inngest_kit import EVENT_KEY, FUNCTION, SIGNING_KEY, call_body, signed_call
from prometheus_client import CollectorRegistry
from service_kit import Answer, call, raw
from structlog.testing import LogCapture

from sandbox.inngest_signature import canonical
from service.by_inngest.endpoint import MAX_CALL_BYTES, PATH, InngestEndpoint, InngestOptions
from service.by_inngest.runs import Later, NoMessage
from service.lanes import LaneName
from service.telemetry.alarms import Alarm, NoAlarms
from service.telemetry.metrics import WebMetrics
from service.webhooks.middleware import Stopwatch
from service.webhooks.rejected import TooLarge

OTHER_KEY = "signkey-test-aabbcc"
QUERY = f"fnId={FUNCTION}&stepId=step".encode()
OPTIONS = InngestOptions(
    event_key=EVENT_KEY,
    signing_key=SIGNING_KEY,
    fallback_key=None,
    event_api_url=None,
    api_url=None,
    app_url="https://assistant.example",
    checks_signatures=True,
)


@dataclass
class FakeRuns:
    """Keeps what was run, and ends as told."""

    failure: Exception | None = None
    ran: list[object] = field(default_factory=list)

    async def run(self, entry_id: object) -> None:
        self.ran.append(entry_id)
        if self.failure:
            raise self.failure


@dataclass
class KeptAlarms(NoAlarms):
    """Keeps what was raised."""

    raised: list[Alarm] = field(default_factory=list)

    def raise_alarm(self, alarm: Alarm, **_fields: str | int | float) -> None:
        self.raised.append(alarm)


@dataclass
class Fixture:
    """An endpoint, and what is seen of it."""

    runs: FakeRuns
    options: InngestOptions = OPTIONS
    logs: LogCapture = field(default_factory=LogCapture)
    alarms: KeptAlarms = field(default_factory=KeptAlarms)

    async def call(self, method: str, headers: dict[str, str], body: bytes, query: bytes = b"") -> Answer:
        endpoint = InngestEndpoint(
            self.options,
            self.runs,  # type: ignore[arg-type]  # it has what is used
            timeout_s=1,
            alarms=self.alarms,
            log=structlog.wrap_logger(None, processors=[self.logs]),
        )
        answer = await call(endpoint, method, PATH, headers=raw(headers), chunks=[body], query=query)
        assert answer is not None
        return answer


@pytest.fixture
def endpoint() -> Fixture:
    """An endpoint whose runs succeed."""
    return Fixture(FakeRuns())


async def test_signed_call_runs_its_message(endpoint: Fixture) -> None:
    """A call with the right signature runs the message that its event names."""
    body = call_body("1-0")
    answer = await endpoint.call("POST", signed_call(body), body, QUERY)
    assert (answer.status, endpoint.runs.ran) == (200, ["1-0"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Inngest-Signature": ""},
        {"X-Inngest-Signature": "t=1&s=00"},
        {"X-Inngest-Signature": "s=\xe9"},
        {"X-Inngest-Signature": "t=1&s=%C3%A9"},
        {"X-Inngest-Signature": "t=" + "9" * 5000 + "&s=00"},
        signed_call(call_body("1-0"), OTHER_KEY),
        signed_call(call_body("2-0")),
        {"X-Inngest-Server-Kind": "dev"},
    ],
)
async def test_wrong_signature_runs_nothing(endpoint: Fixture, headers: dict[str, str]) -> None:
    """Without a signature of this body by our key the answer is 401, told of in the runbook's fields."""
    answer = await endpoint.call("POST", headers, call_body("1-0"), QUERY)
    assert (answer.status, endpoint.runs.ran) == (401, [])
    (line,) = endpoint.logs.entries
    assert (line["event"], line["security"], line["action"]) == (
        "Invalid Inngest signature",
        True,
        "invalid_signature",
    )
    assert endpoint.alarms.raised == [Alarm.SIGNATURE_FAILURES]


@pytest.mark.parametrize("key", [SIGNING_KEY, OTHER_KEY])
async def test_both_keys_are_right_while_they_are_rotated(endpoint: Fixture, key: str) -> None:
    """With a fallback key, calls signed by either are run."""
    endpoint.options = replace(OPTIONS, fallback_key=OTHER_KEY)
    body = call_body("1-0")
    assert (await endpoint.call("POST", signed_call(body, key), body, QUERY)).status == 200
    assert endpoint.runs.ran == ["1-0"]


async def test_dev_mode_checks_no_signature(endpoint: Fixture) -> None:
    """Where the settings turn the checks off, as for a dev server, an unsigned call runs."""
    endpoint.options = replace(OPTIONS, checks_signatures=False, signing_key=None)
    assert (await endpoint.call("POST", {}, call_body("1-0"), QUERY)).status == 200
    assert endpoint.runs.ran == ["1-0"]


async def test_later_is_told_when(endpoint: Fixture) -> None:
    """A message that is not done is a 500 with the time of the next call, and no trace of the code."""
    endpoint.runs.failure = Later("not answered yet", 90_000)
    body = call_body("1-0")
    answer = await endpoint.call("POST", signed_call(body), body, QUERY)
    wait = datetime.fromisoformat(answer.headers["retry-after"]) - datetime.now(UTC)
    assert answer.status == 500
    assert 80 < wait.total_seconds() <= 90
    assert "x-inngest-no-retry" not in answer.headers


async def test_no_message_is_not_called_again(endpoint: Fixture) -> None:
    """An event that names no message is refused for good."""
    endpoint.runs.failure = NoMessage("the event names no message")
    body = call_body(None)
    answer = await endpoint.call("POST", signed_call(body), body, QUERY)
    assert (answer.status, answer.headers["x-inngest-no-retry"]) == (500, "true")


@pytest.mark.parametrize("failure", [Later("x", 1), NoMessage("x"), RuntimeError("a text of the message")])
async def test_answer_tells_nothing_of_us(endpoint: Fixture, failure: Exception) -> None:
    """Neither places in the code nor what an unforeseen error says leaves through Inngest."""
    endpoint.runs.failure = failure
    body = call_body("1-0")
    answer = await endpoint.call("POST", signed_call(body), body, QUERY)
    assert (answer.status, b"service/" in answer.body, b"a text" in answer.body) == (500, False, False)


async def test_function_is_told_to_a_signed_request(endpoint: Fixture) -> None:
    """Inngest's own sync is given the function, its trigger, and the public address, whoever asked where."""
    body = canonical({"url": "http://elsewhere/api/inngest"})
    headers = {**signed_call(body), "X-Inngest-Sync-Kind": "in_band"}
    answer: Any = json.loads((await endpoint.call("PUT", headers, body)).body)
    (function,) = answer["functions"]
    assert (function["id"], function["triggers"]) == (FUNCTION, [{"event": "whatsapp/message.received"}])
    step = function["steps"]["step"]
    assert step["runtime"]["url"].startswith("https://assistant.example/api/inngest?")
    assert step["retries"] == {"attempts": 20}


@pytest.mark.parametrize("headers", [{}, {"X-Inngest-Sync-Kind": "in_band"}])
async def test_nobody_else_has_us_registered(endpoint: Fixture, headers: dict[str, str]) -> None:
    """A request to sync that is not signed is refused, and we ask nobody."""
    answer = await endpoint.call("PUT", headers, b"{}")
    assert answer.status == 401


async def test_body_is_bounded(endpoint: Fixture) -> None:
    """A body that is too long is refused before its signature is looked at."""
    with pytest.raises(TooLarge):
        await endpoint.call("POST", {}, b"x" * (MAX_CALL_BYTES + 1), QUERY)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 30_000, b"\xff", b"1e999999", b"null"])
async def test_nonsense_is_refused(endpoint: Fixture, body: bytes) -> None:
    """What is not JSON, or not Inngest's, is 401 as long as nobody signed it."""
    answer = await endpoint.call("POST", signed_call(b"{}", OTHER_KEY), body, QUERY)
    assert (answer.status, endpoint.runs.ran) == (401, [])


def test_long_run_is_no_slow_request() -> None:
    """A run takes as long as an answer does: it is measured, and nobody is told that it was slow."""
    logs, metrics, alarms = LogCapture(), WebMetrics(CollectorRegistry()), KeptAlarms()
    log = structlog.wrap_logger(None, processors=[logs])
    stopwatch = Stopwatch(frozenset({PATH}), metrics, log, alarms, clock=lambda: 10.0)
    stopwatch.observe("POST", PATH, 200, LaneName.LIVE, "r", started=0.0)
    assert (logs.entries, alarms.raised) == ([], [])
    labels = {"method": "POST", "path": PATH, "status": "200", "lane": "live"}
    assert metrics.registry.get_sample_value("http_request_duration_seconds_sum", labels) == 10.0
