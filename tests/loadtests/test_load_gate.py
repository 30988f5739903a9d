"""The whole gate, as a process of its own, against targets that are right or broken in one way."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from load_run import failed, finish, run_gate, run_gate_alone, start
from load_target import Behaviour, TellsOfTheFirst, serving
from load_targets import write_targets

from contracts.verdict import Verdict


def limits(folder: Path, **load: float) -> list[str]:
    """The arguments for the short limits with single ones changed."""
    return ["--targets", str(write_targets(folder, "changed.toml", **load))]


def test_right_target_passes(tmp_path: Path) -> None:
    """A target that answers and replies passes: exit 0, and every check is a printed line."""
    with serving() as url:
        run = run_gate(tmp_path, url)
    assert run.report is not None, run.output
    assert (run.code, run.report.verdict) == (0, Verdict.PASS), run.output
    assert run.check("lost").samples == 70
    assert all(str(check) in run.output.splitlines() for check in run.report.checks)
    assert "Traceback" not in run.output


class Silent(Behaviour):
    """Accepts every connection and never answers."""

    async def answer(self, number: int) -> int:
        """Never."""
        await asyncio.Event().wait()
        raise AssertionError("not reached")


def test_target_that_never_answers_fails(tmp_path: Path) -> None:
    """Requests that are never answered are errors, where Locust alone reports none at all."""
    with serving(Silent()) as url:
        run = run_gate(tmp_path, url, *limits(tmp_path, answer_timeout_s=1.5))
    check = run.check("error rate")
    assert (run.code, check.verdict, check.value) == (1, Verdict.FAIL, 1.0)
    assert check.detail == f"no answer within 1.5 s: {check.samples}"
    assert run.check("webhook p95").verdict is not Verdict.PASS


def test_refused_connections_fail(tmp_path: Path) -> None:
    """Where nothing listens, the gate fails: nothing that could be sent is not a pass."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        run = run_gate(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert (run.code, run.check("error rate").value) == (1, 1.0)
    assert "Connection refused" in run.check("error rate").detail


class HangsAtTheEnd(Behaviour):
    """Answers all but the last few."""

    async def answer(self, number: int) -> int:
        """Never, for the last three."""
        await (asyncio.Event().wait() if number >= 67 else asyncio.sleep(0))
        return 202


def test_requests_in_flight_at_the_end_count(tmp_path: Path) -> None:
    """Requests still unanswered when sending ends are waited for, and count as errors, not as nothing."""
    with serving(HangsAtTheEnd()) as url:
        run = run_gate(tmp_path, url, *limits(tmp_path, answer_timeout_s=2.5, slowest_ms=60_000))
    assert (run.code, failed(run)) == (1, {"error rate"})
    assert "no answer within 2.5 s" in run.check("error rate").detail


class Stalls(Behaviour):
    """Stands still for 4 s, one second after the first webhook."""

    def __init__(self) -> None:
        self._first_s: float | None = None

    async def answer(self, number: int) -> int:
        """At once, or when the stall is over."""
        now = time.monotonic()
        self._first_s = self._first_s or now
        since = now - self._first_s
        await asyncio.sleep(5 - since if 1 <= since < 5 else 0)
        return 202


def test_stall_shows_in_the_p95(tmp_path: Path) -> None:
    """A stall of 4 s shows as seconds: webhooks due meanwhile are sent, and timed from when they were due."""
    with serving(Stalls()) as url:
        run = run_gate(tmp_path, url, "--duration", "6", *limits(tmp_path, slowest_ms=60_000))
    p95 = run.check("webhook p95")
    assert (run.code, p95.verdict) == (1, Verdict.FAIL), run.output
    assert isinstance(p95.value, float)
    assert 3000 < p95.value < 8000


class SometimesFails(Behaviour):
    """Answers each 20th webhook with 500."""

    async def answer(self, number: int) -> int:
        """500 or 202."""
        return 500 if number % 20 == 19 else 202


def test_each_20th_500_fails(tmp_path: Path) -> None:
    """5 % of errors fail the error rate, which names their status; the run is given up before its end."""
    with serving(SometimesFails()) as url:
        run = run_gate(tmp_path, url, "--rate", "80", "--duration", "8")
    check = run.check("error rate")
    assert (run.code, check.verdict, check.value) == (1, Verdict.FAIL, pytest.approx(0.05, abs=0.01))
    assert check.detail.startswith("status 500: ")
    assert "stopped early" in run.check("sent on time").detail


class Slow(Behaviour):
    """Takes 4 s for each answer."""

    async def answer(self, number: int) -> int:
        """In 4 s."""
        await asyncio.sleep(4)
        return 202


def test_slow_answers_fail_the_p95(tmp_path: Path) -> None:
    """Answers in 4 s fail what is about their time alone, and sending goes on at its rate meanwhile."""
    with serving(Slow()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run)) == (1, {"webhook p95", "slowest webhook"})
    value = run.check("webhook p95").value
    assert isinstance(value, float)
    assert 4000 <= value < 8000
    assert run.check("sent on time").verdict is Verdict.PASS


class Drops(Behaviour):
    """Accepts every webhook and loses each 50th message."""

    def replies(self, number: int) -> int:
        """One, or none."""
        return 0 if number % 50 == 49 else 1


def test_dropped_messages_are_lost(tmp_path: Path) -> None:
    """Accepted messages without a reply are lost, however good every answer was."""
    with serving(Drops()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run)) == (1, {"lost"})
    assert (run.check("lost").value, run.check("lost").samples) == (1, 70)


class RepliesTwice(Behaviour):
    """Replies twice to one message."""

    def replies(self, number: int) -> int:
        """One, or two."""
        return 2 if number == 40 else 1


def test_second_reply_is_doubled(tmp_path: Path) -> None:
    """A message that is answered twice fails."""
    with serving(RepliesTwice()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run), run.check("doubled").value) == (1, {"doubled"}, 1)


def test_too_few_samples_are_no_evidence(tmp_path: Path) -> None:
    """A run too short to show anything exits 3, though nothing went wrong in it."""
    with serving() as url:
        run = run_gate(tmp_path, url, "--duration", "0.5")
    assert (run.code, failed(run)) == (3, set())
    assert run.check("webhook p95").verdict is Verdict.NO_EVIDENCE


def test_impossible_rate_is_no_evidence(tmp_path: Path) -> None:
    """A generator that cannot send as fast as asked exits 3: its figures are neither good nor bad."""
    with serving() as url:
        shape = ["--rate", "10000", "--warmup", "0", "--duration", "1"]
        run = run_gate(tmp_path, url, *shape, *limits(tmp_path, late_ms=100))
    assert (run.code, failed(run)) == (3, set())
    assert run.check("sent on time").verdict is Verdict.NO_EVIDENCE
    late_ms = run.check("webhook p95").value  # None where more than 5 % were too late to be sent at all
    assert late_ms is None or float(late_ms) > 100, "times count from when a webhook was due, not was sent"


class NoGate(Behaviour):
    """Takes webhooks, and has no gate lane: the public frontend."""

    gate_status = 404


def test_replies_that_cannot_be_had_are_no_evidence(tmp_path: Path) -> None:
    """Without the gate's replies nothing shows that messages are answered: exit 3, and it says why."""
    with serving(NoGate()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run)) == (3, set())
    assert "GET /api/gate/replies answered 404" in run.check("lost").detail


def test_replies_may_be_left_out_by_name(tmp_path: Path) -> None:
    """With `--no-replies` the answers alone decide, and the report says that replies were not checked."""
    with serving(NoGate()) as url:
        run = run_gate(tmp_path, url, "--no-replies")
    assert run.report is not None
    assert (run.code, run.report.suite) == (0, "load, replies not checked")


def test_sent_list_serves_instead_of_the_gate(tmp_path: Path) -> None:
    """With `--replies-url` the replies are read from the list of what was sent."""
    with serving(Drops()) as url:
        run = run_gate(tmp_path, url, "--replies-url", f"{url}/waha/sent")
    assert (run.code, failed(run), run.check("lost").value) == (1, {"lost"}, 1)


class ClockAhead(Behaviour):
    """Records replies by a clock that is 5 s ahead."""

    clock_ahead_s = 5.0


def test_differing_clocks_are_no_evidence(tmp_path: Path) -> None:
    """Reply times by another clock are no evidence."""
    with serving(ClockAhead()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run)) == (3, set())
    assert "clocks" in run.check("reply p95").detail


def certificate_for(name: str, folder: Path) -> Path:
    """A self-signed certificate for *name* (`IP:…` or `DNS:…`) with its key."""
    file = folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", f"subjectAltName={name}", "-keyout", file, "-out", folder / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + (folder / "crt").read_text())
    return file


def tls_with(certificate: Path) -> ssl.SSLContext:
    """A server's TLS with this certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    return tls


def test_certificates_are_verified(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused, where Locust's fast client takes any."""
    certificate = certificate_for("IP:127.0.0.1", tmp_path)
    with serving(tls=tls_with(certificate)) as url:
        unknown = run_gate_alone(tmp_path, url)
        known = run_gate_alone(tmp_path, url, SSL_CERT_FILE=str(certificate))
    assert "certificate not accepted" in unknown.check("error rate").detail
    assert (unknown.code, known.code) == (1, 0), known.output


def test_host_names_are_verified(tmp_path: Path) -> None:
    """A trusted certificate of another host is refused: it would be someone else answering."""
    certificate = certificate_for("DNS:elsewhere.example", tmp_path)
    with serving(tls=tls_with(certificate)) as url:
        run = run_gate_alone(tmp_path, url, SSL_CERT_FILE=str(certificate))
    assert run.code == 1, run.output
    assert "certificate not accepted" in run.check("error rate").detail


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_run_is_no_evidence(how: signal.Signals, tmp_path: Path) -> None:
    """A run that is ended from outside exits 3 and says in its report that it was interrupted."""
    behaviour = TellsOfTheFirst()
    with serving(behaviour) as url:
        process, report = start(tmp_path, url, "--duration", "30")
        assert behaviour.came.wait(120)
        process.send_signal(how)
        run = finish(process, report)
    assert (run.code, failed(run)) == (3, set())
    assert "interrupted" in run.check("sent on time").detail


class RemovesAFolder(Behaviour):
    """Does all right, and removes a folder when the first webhook comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, number: int) -> int:
        """At once."""
        if number == 0:
            self._folder.rmdir()
        return 202


def test_verdict_that_cannot_be_kept_is_no_pass(tmp_path: Path) -> None:
    """When the report cannot be written at the end, the run exits 3 with an error, however good it was."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with serving(RemovesAFolder(folder)) as url:
        run = run_gate(tmp_path, url, "--report", str(folder / "report.json"))
    assert run.code == 3, run.output
    assert "error: --report: " in run.output
    assert "Traceback" not in run.output


def test_run_time_that_cuts_the_plan_short_is_no_evidence(tmp_path: Path) -> None:
    """Locust's `--run-time` ends a run before its plan is sent: that is no evidence, not a short pass."""
    with serving() as url:
        run = run_gate(tmp_path, url, "--run-time", "1s", "--duration", "30")
    assert (run.code, failed(run)) == (3, set())
    assert "interrupted" in run.check("sent on time").detail


def test_missing_secret_exits_2_and_leaves_no_old_report(tmp_path: Path) -> None:
    """Without a secret nothing is sent: a clear error, exit 2, no traceback."""
    run = run_gate(tmp_path, "http://127.0.0.1:1", WAHA_WEBHOOK_SECRET="")
    assert (run.code, run.report) == (2, None)
    assert run.output.startswith("error: WAHA_WEBHOOK_SECRET: is missing")
    assert "Traceback" not in run.output


def test_old_report_does_not_outlive_a_killed_run(tmp_path: Path) -> None:
    """An earlier run's report is gone as soon as a run starts: it is never taken for this one's."""
    (tmp_path / "report.json").write_text('{"verdict": "pass"}')
    with serving() as url:
        process, report = start(tmp_path, url, "--duration", "600")
        deadline = time.monotonic() + 120
        while report.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        run = finish(process, report)
    assert (run.code, run.report) == (-signal.SIGKILL, None)
