"""What a real Prometheus and Alertmanager have, and what is said where they are not as they should be."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from in_thread import answering
from monitors import behind_one_port, running_alertmanager, running_prometheus
from waiting import wait_until

from infra.stack_settings import StackSettings
from runbook.alert_state import read_alerts
from runbook.errors import RunbookError
from runbook.monitoring_api import Alert, monitors_of
from runbook.verbs.alerts import alerts, lines

NOW = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)
NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
RULES = """
groups:
  - name: all
    interval: 1s
    rules:
      - {alert: Watchdog, expr: vector(1), labels: {severity: P3}}
      - {alert: QueueOld, expr: vector(1), labels: {severity: P2}}
      - {alert: Waits, expr: vector(1), for: 1h, labels: {severity: P0}}
      - {alert: Odd, expr: vector(1)}
      - {alert: Quiet, expr: vector(0) > 1, labels: {severity: P0}}
      - alert: Slow
        expr: vector(1)
        labels: {severity: P1}
        annotations: {summary: "612 ms\\n  of 500", description: "\\e[31mred", runbook: docs/runbook.md}
"""

Answers = dict[str, object]


def prometheus_config(folder: Path, alertmanager: str, rules: str = RULES) -> str:
    """Of a stack: its rules, and to whom it tells of what they find."""
    (folder / "rules.yml").write_text(rules)
    host = alertmanager.split("/")[2]
    return json.dumps(
        {
            "global": {"external_labels": {"stack": "dev"}},
            "rule_files": [str(folder / "rules.yml")],
            "alerting": {
                "alertmanagers": [
                    {"path_prefix": "/alertmanager", "static_configs": [{"targets": [host]}]},
                ]
            },
        }
    )


@pytest.fixture(scope="module")
def stack_of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Where both answer, and Alertmanager's own address; it has got everything that fires."""
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        running_alertmanager(tmp_path_factory.mktemp("am"), NOBODY, "/alertmanager") as alertmanager,
        running_prometheus(folder, prometheus_config(folder, alertmanager), "/prometheus") as prometheus,
        behind_one_port(prometheus=prometheus, alertmanager=alertmanager) as url,
    ):
        wait_until(lambda: len(httpx.get(f"{alertmanager}/api/v2/alerts").json()) == 4)
        yield url, alertmanager


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the stack's monitors answer at an address."""

    def set_layout(url: str) -> None:
        layout = StackSettings(monitoring=True, monitoring_port=int(url.rpartition(":")[2]))
        monkeypatch.setattr("runbook.monitoring_api.layout_of", lambda _: layout)
        monkeypatch.setattr("runbook.monitoring_api.refuse_unless_running", lambda _: None)

    return set_layout


def test_what_fires_is_listed_worst_first(
    stack_of_two: tuple[str, str], at: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is pending too; not the Watchdog, of which it is only said that it lives."""
    at(stack_of_two[0])
    alerts(as_json=True)
    told = json.loads(capsys.readouterr().out)
    found = [(alert["severity"], alert["name"], alert["state"]) for alert in told["alerts"]]
    assert found == [
        ("P0", "Waits", "pending"),
        ("P1", "Slow", "firing"),
        ("P2", "QueueOld", "firing"),
        ("", "Odd", "firing"),
    ]
    assert (told["rules"], told["problems"]) == (6, [])
    alerts()
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines() if line[:1] == "P"] == [
        ["P0", "Waits"],
        ["P1", "Slow"],
        ["P2", "QueueOld"],
    ]
    assert "3 firing, 1 pending; 6 rules, evaluated " in said.err
    assert "the Watchdog is alive" in said.err


def test_check_is_for_scripts(stack_of_two: tuple[str, str], at: Callable[[str], None]) -> None:
    """Exit 1 where a P0 or P1 fires: a pending one does not count, a P2 neither."""
    at(stack_of_two[0])
    with pytest.raises(RunbookError, match=r"^urgent alerts fire: Slow\n"):
        alerts(check=True)


def silenced_by_hand(alertmanager: str, but: str = "nothing") -> str:
    """A silence of all alerts *but* one, as somebody makes it on Alertmanager's page; its id."""
    now = datetime.datetime.now(datetime.UTC)
    matchers = [
        {"name": "stack", "value": "dev", "isRegex": False, "isEqual": True},
        {"name": "alertname", "value": but, "isRegex": False, "isEqual": False},
    ]
    times = {"startsAt": now.isoformat(), "endsAt": (now + datetime.timedelta(seconds=600)).isoformat()}
    asked = {"matchers": matchers, **times, "createdBy": "somebody", "comment": "by hand"}
    answer = httpx.post(f"{alertmanager}/api/v2/silences", json=asked)
    return str(answer.raise_for_status().json()["silenceID"])


def test_a_silenced_watchdog_is_no_working_alerting(
    stack_of_two: tuple[str, str], at: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever silenced everything has silenced the dead man's switch."""
    url, alertmanager = stack_of_two
    at(url)
    silence = silenced_by_hand(alertmanager)
    try:
        wait_until(
            lambda: all(
                each["status"]["silencedBy"] for each in httpx.get(f"{alertmanager}/api/v2/alerts").json()
            )
        )
        with pytest.raises(RunbookError, match="all alerts are silenced by somebody until"):
            alerts()
    finally:
        httpx.delete(f"{alertmanager}/api/v2/silence/{silence}").raise_for_status()
    wait_until(
        lambda: (
            not any(
                each["status"]["silencedBy"] for each in httpx.get(f"{alertmanager}/api/v2/alerts").json()
            )
        )
    )


def test_a_silence_is_shown(
    stack_of_two: tuple[str, str], at: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Until when and by whom; the label of the stack is Alertmanager's only."""
    url, alertmanager = stack_of_two
    at(url)
    silence = silenced_by_hand(alertmanager, but="Watchdog")
    wait_until(
        lambda: all(
            each["status"]["silencedBy"] or each["labels"]["alertname"] == "Watchdog"
            for each in httpx.get(f"{alertmanager}/api/v2/alerts").json()
        )
    )
    try:
        alerts()
        assert capsys.readouterr().out.count("    silenced until 20") == 3
    finally:
        httpx.delete(f"{alertmanager}/api/v2/silence/{silence}").raise_for_status()
    wait_until(
        lambda: (
            not any(
                each["status"]["silencedBy"] for each in httpx.get(f"{alertmanager}/api/v2/alerts").json()
            )
        )
    )
    alerts()
    assert "silenced" not in capsys.readouterr().out


def test_what_an_alert_says_stays_on_its_line() -> None:
    """Nothing in it can steer the terminal."""
    alert = Alert.model_validate(
        {
            "labels": {"alertname": "Slow\n", "severity": "P1"},
            "annotations": {
                "summary": "612 ms\n  of 500",
                "description": "\x1b[31mred",
                "runbook": "docs/x.md",
            },
            "state": "firing",
            "activeAt": "2026-11-24T11:48:00.123456789Z",
            "silence": {
                "id": "s-1",
                "endsAt": "2026-11-24T12:30:00Z",
                "createdBy": "anna@laptop",
                "comment": "a longer test",
                "status": {"state": "active"},
            },
        }
    )
    assert list(lines(alert, NOW)) == [
        "P1  Slow?  firing for 11 min, since 2026-11-24 11:48:00 UTC",
        "    612 ms of 500",
        "    ?[31mred",
        "    runbook: docs/x.md",
        "    silenced until 2026-11-24 12:30:00 UTC by anna@laptop",
    ]


@pytest.fixture
def stand_in(at: Callable[[str], None]) -> Iterator[Answers]:
    """What is answered at each path, as JSON, or as it is if it is bytes; 404 where there is nothing."""
    answers: Answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        at(url)
        yield answers


def rule(
    name: str, *, fires_since: str | None = None, evaluated: str = "2026-11-24T11:59:58Z", error: str = ""
) -> Answers:
    """A rule as Prometheus tells of it."""
    fires = {"labels": {"alertname": name}, "annotations": {}, "state": "firing", "activeAt": fires_since}
    return {
        "name": name,
        "lastEvaluation": evaluated,
        "lastError": error,
        "alerts": [fires] if fires_since else [],
    }


def problems(answers: Answers, *rules: Answers, sent: object = ()) -> list[str]:
    """What is said of these rules and of what Alertmanager got."""
    answers["/prometheus/api/v1/rules"] = {"status": "success", "data": {"groups": [{"rules": rules}]}}
    answers["/alertmanager/api/v2/silences"] = []
    if sent is not None:
        answers["/alertmanager/api/v2/alerts"] = sent
    return read_alerts(*monitors_of("dev"), NOW).problems


LIVES = rule("Watchdog", fires_since="2026-11-24T09:00:00Z")
ARRIVED = [{"labels": {"alertname": "Watchdog", "stack": "dev"}, "status": {"silencedBy": ["gone"]}}]


@pytest.mark.parametrize(
    ("rules", "sent", "said"),
    [
        ([LIVES], ARRIVED, []),
        ([rule("Watchdog", fires_since="2026-11-24T11:59:00Z")], [], []),
        ([], ARRIVED, ["the alert Watchdog, which always fires, does not"]),
        ([rule("Watchdog")], [], ["the alert Watchdog, which always fires, does not"]),
        ([LIVES], [], ["Alertmanager has not got the alert Watchdog: it would get no other"]),
        ([LIVES], None, ["nobody is told of an alert: Alertmanager: "]),
        ([LIVES, rule("A", error="many-to-many")], ARRIVED, ["rule A cannot be evaluated: many-to-many"]),
        (
            [LIVES, rule("A", evaluated="2026-11-24T11:54:00Z")],
            ARRIVED,
            ["rule A was last evaluated at 2026-11-24 11:54:00 UTC"],
        ),
        (
            [LIVES, rule("A", evaluated="0001-01-01T00:00:00Z")],
            ARRIVED,
            ["rule A was last evaluated at "],
        ),
    ],
)
def test_alerting_that_does_not_work_is_told_of(
    stand_in: Answers, rules: list[Answers], sent: object, said: list[str]
) -> None:
    """By what is wrong with it; a Prometheus that has just started may not have told anybody yet."""
    found = problems(stand_in, *rules, sent=sent)
    assert len(found) == len(said)
    assert all(line.startswith(begin) for line, begin in zip(found, said, strict=True))


def test_it_is_said_loudly_with_what_is_known(stand_in: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    """What fires is listed all the same; exit 1, whatever fires."""
    problems(stand_in, rule("Down", fires_since="2026-11-24T11:59:00Z"), sent=[])
    with pytest.raises(RunbookError, match="THE ALERTING ITSELF DOES NOT WORK") as refusal:
        alerts()
    assert "Watchdog" in refusal.value.message
    assert "bin/runbook metrics" in refusal.value.hint
    assert "Down  firing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer", [b"<html>Sign in</html>", {}, [], {"data": {"groups": [{"rules": [{}]}]}}, None]
)
def test_what_is_no_prometheus_is_an_error(stand_in: Answers, answer: object) -> None:
    """Without a traceback, with its address."""
    if answer is not None:
        stand_in["/prometheus/api/v1/rules"] = answer
    with pytest.raises(
        RunbookError, match=r"^Prometheus: GET http://127\.0\.0\.1:\d+/prometheus/api/v1/rules answered"
    ):
        alerts()


def test_no_certificates_are_wanted_on_this_machine(
    stand_in: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the environment names may be gone."""
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    assert problems(stand_in, LIVES, sent=ARRIVED) == []


def test_a_prometheus_that_does_not_answer_is_an_error(at: Callable[[str], None]) -> None:
    """With what to do."""
    at("http://127.0.0.1:1")
    with pytest.raises(RunbookError, match=r"^Prometheus: GET http://127\.0\.0\.1:1/prometheus") as refusal:
        alerts()
    assert "`bin/runbook up`" in refusal.value.hint


def test_no_proxy_is_asked(
    stack_of_two: tuple[str, str], at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitors are on this machine's loopback."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    at(stack_of_two[0])
    alerts()
