"""The gate as several processes: Locust's master and workers, one verdict."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from load_run import CHECKOUT, LOCUST, Run, failed, finish, run_gate_alone, start
from load_target import SECRET, Behaviour, TellsOfTheFirst, serving
from load_targets import write_scenarios

from contracts.free_ports import free_ports
from contracts.verdict import Verdict


def processes(number: int) -> list[str]:
    """The arguments for so many workers on this machine."""
    port = str(free_ports(1)[0])
    bound = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(number), *bound]


def test_workers_share_the_plan_and_the_master_judges_it(tmp_path: Path) -> None:
    """Two workers send every webhook once, of all kinds; Locust's own files have what came in its time."""
    scenarios = write_scenarios(
        tmp_path, '[all]\nabout = "x"\nduplicates = 0.2\nbad_signatures = 0.4\nhealth_per_s = 5'
    )
    table = tmp_path / "table"
    with serving() as url:
        run = run_gate_alone(
            tmp_path, url, *processes(2), "--scenarios-file", str(scenarios), "--scenario", "all",
            "--duration", "4", "--json-file", str(table), "--html", str(tmp_path / "page.html"),
        )  # fmt: skip
    assert run.report is not None, run.output
    assert (run.code, run.report.verdict) == (0, Verdict.PASS), run.output
    samples = {check.name: check.samples for check in run.report.checks}
    assert (samples["error rate"], samples["bad signatures"], samples["lost"]) == (170, 67, 70)
    assert samples["health"] == 22
    assert samples["generator CPU"] == 3, "two workers and the master"
    counted = {row["name"]: row["num_requests"] for row in json.loads((tmp_path / "table.json").read_text())}
    # Locust waits half a second for its workers' last figures; the gate has figures of its own.
    assert 0 < counted["/api/webhooks/whatsapp (all)"] <= 170
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "Traceback" not in run.output


def test_wrong_call_leaves_no_worker_behind(tmp_path: Path) -> None:
    """They are there before the options are read; the output ends only when all of them have."""
    run = run_gate_alone(tmp_path, "http://127.0.0.1:9", *processes(2), "--rate", "-1")
    assert run.code == 2
    assert "error: --rate" in run.output


class Refuses(Behaviour):
    """Answers each fifth webhook with 500."""

    async def answer(self, number: int) -> int:
        """500 or 202."""
        return 500 if number % 5 == 4 else 202


def test_workers_are_stopped_when_the_run_cannot_pass(tmp_path: Path) -> None:
    """Errors that several workers saw add up, and end the run of all long before its time."""
    with serving(Refuses()) as url:
        run = run_gate_alone(tmp_path, url, *processes(2), "--duration", "25")
    check = run.check("error rate")
    assert (run.code, check.verdict) == (1, Verdict.FAIL)
    assert check.detail.startswith("status 500: ")
    assert "stopped early" in run.check("sent on time").detail
    assert check.samples < 500


def run_and_kill_a_worker(folder: Path, *arguments: str) -> Run:
    """A run of which one worker is killed as soon as the first webhook has come."""
    behaviour = TellsOfTheFirst()
    with serving(behaviour) as url:
        process, report = start(folder, url, *arguments)
        assert behaviour.came.wait(120)
        psutil.Process(process.pid).children()[0].kill()
        return finish(process, report)


def test_dead_worker_is_never_a_pass(tmp_path: Path) -> None:
    """What a killed worker had to send is unsent, and there is no evidence; the others send all the same."""
    run = run_and_kill_a_worker(tmp_path, *processes(2), "--duration", "4")
    assert (run.code, failed(run)) == (3, set())
    assert "workers were lost" in run.check("sent on time").detail
    assert "generator: 1 of 2 workers were lost: " in run.check("error rate").detail
    assert run.check("error rate").samples == 170


def test_last_worker_dead_is_never_a_pass(tmp_path: Path) -> None:
    """Where nobody is left to send, the run ends without evidence instead of waiting."""
    run = run_and_kill_a_worker(tmp_path, *processes(1), "--duration", "600")
    assert (run.code, failed(run)) == (3, set())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_master_is_no_evidence(how: signal.Signals, tmp_path: Path) -> None:
    """A run that is ended from outside exits 3 and leaves no worker behind."""
    behaviour = TellsOfTheFirst()
    with serving(behaviour) as url:
        process, report = start(tmp_path, url, *processes(2), "--duration", "600")
        assert behaviour.came.wait(120)
        workers = psutil.Process(process.pid).children()
        process.send_signal(how)
        run = finish(process, report)
    assert (run.code, failed(run)) == (3, set())
    assert "interrupted" in run.check("sent on time").detail
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def start_worker(port: int, **env: str) -> subprocess.Popen[str]:
    """A worker for the master at *port*, as one would be started on another machine."""
    return subprocess.Popen(
        [*LOCUST, "--worker", "--master-port", str(port)],
        cwd=CHECKOUT,
        env={**os.environ, "WAHA_WEBHOOK_SECRET": SECRET, **env},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def start_waiting_worker(port: int, **env: str) -> subprocess.Popen[str]:
    """A worker that is loaded, and asks again and again for the master that will be at *port*."""
    with socket.create_server(("127.0.0.1", port)) as there:
        there.settimeout(120)
        worker = start_worker(port, **env)
        there.accept()[0].close()
    return worker


def test_workers_elsewhere_are_told_all_they_need(tmp_path: Path) -> None:
    """A worker that knows only its master and the secret sends its part; it ends with its master."""
    for _ in range(5):
        (port,) = free_ports(1)
        workers = [start_worker(port) for _ in range(2)]
        with serving() as url:
            expected = ["--expect-workers", "2", "--expect-workers-max-wait", "120"]
            run = run_gate_alone(tmp_path, url, "--master", "--master-bind-port", str(port), *expected)
        # Locust takes a worker for lost that a busy machine does not let send its sign of life for 3 s.
        if "workers were lost" not in run.output:
            break
    assert run.code == 0, run.output
    assert run.check("lost").samples == 70
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert "Traceback" not in "".join(worker.communicate()[0] for worker in workers)


def test_missing_worker_is_no_evidence(tmp_path: Path) -> None:
    """Where too few workers come, nothing is sent, and the report says so for every check."""
    (port,) = free_ports(1)
    worker = start_waiting_worker(port)
    arguments = ["--expect-workers", "2", "--expect-workers-max-wait", "3"]
    with serving() as url:
        run = run_gate_alone(tmp_path, url, "--master", "--master-bind-port", str(port), *arguments)
    assert run.report is not None, run.output
    assert (run.code, run.report.verdict) == (3, Verdict.NO_EVIDENCE)
    assert {check.detail for check in run.report.checks} == {"1 of 2 workers came within 3 s"}
    assert worker.wait(60) == 0


def test_worker_without_the_secret_says_so(tmp_path: Path) -> None:
    """The secret is never sent over the wire: each worker has it from its own environment."""
    (port,) = free_ports(1)
    worker = start_waiting_worker(port, WAHA_WEBHOOK_SECRET="")
    arguments = ["--expect-workers", "1", "--expect-workers-max-wait", "2"]
    with serving() as url:
        run = run_gate_alone(tmp_path, url, "--master", "--master-bind-port", str(port), *arguments)
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 2, output
    assert "error: WAHA_WEBHOOK_SECRET: is missing" in output
    assert run.code != 0
