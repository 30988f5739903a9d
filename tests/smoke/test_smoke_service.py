"""The suite and the service as it is: a Redis, the sandbox, a web and a worker process, all bare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from debian_programs import need
from reference_target import SECRET
from smoke_runs import Run, smoke

from benchmarks.programs import Program, free_port, is_listening, python, running
from benchmarks.servers import is_ready, redis_server, redis_url
from contracts.targets import TARGETS_FILE

LONGEST_S = 12
"""What the suite may take of a deployment's time."""


@dataclass(frozen=True)
class Release:
    """A running release, and the sandbox that it stands on."""

    web: Program
    worker: Program
    sandbox_url: str

    def smoke(self, folder: Path, *arguments: str) -> Run:
        """Run the suite against it; what it sends is read at the sandbox, for it has no proxy."""
        replies = f"{self.sandbox_url}/waha/sent"
        return smoke(
            f"http://127.0.0.1:{self.web.port}", TARGETS_FILE, folder, "--replies-url", replies, *arguments
        )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release that is ready, on programs of its own."""
    need("redis-server")
    folder = tmp_path_factory.mktemp("release")
    ports = {name: free_port() for name in ("sandbox", "web", "worker")}
    sandbox_url = f"http://127.0.0.1:{ports['sandbox']}"
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        env = {
            "REDIS_URL": redis_url(redis),
            "WAHA_API_URL": f"{sandbox_url}/waha",
            "NEXT_PUBLIC_CONVEX_URL": f"{sandbox_url}/convex",
            "AI_API_URL": f"{sandbox_url}/ai",
        }
        own = {
            "sandbox": {},
            "web": {**env, "WAHA_WEBHOOK_SECRET": SECRET},
            "worker": {**env, "HEARTBEAT_FILE": str(folder / "heartbeat")},
        }
        started = {}
        for name, command in (
            ("sandbox", ["sandbox"]),
            ("web", ["service", "web"]),
            ("worker", ["service", "worker"]),
        ):
            port = {"PORT": str(ports[name]), "METRICS_PORT": str(ports[name])}
            program = running(
                name, python(*command), folder=folder, port=ports[name], env={**own[name], **port}
            )
            started[name] = stack.enter_context(program)
            started[name].wait_until(is_ready if name == "web" else is_listening)
        yield Release(started["web"], started["worker"], sandbox_url)


def test_the_service_passes_in_time(release: Release, tmp_path: Path) -> None:
    """Every check but TLS passes, within the time that a deployment has for it."""
    logs = f"cat {release.web.log} {release.worker.log}"
    faults = f"{release.sandbox_url}/faults"
    run = release.smoke(
        tmp_path, "--logs-command", logs, "--faults-url", faults, "--fault-hosts", "127.0.0.1"
    )
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    assert run.report.left_out == ["TLS, --base-url is http"]
    assert run.report.duration_s <= LONGEST_S, run.output
    assert httpx.get(faults, trust_env=False).json() == {}


def test_the_short_form_passes(release: Release, tmp_path: Path) -> None:
    """The five checks of a rollback pass, in a fraction of that time."""
    run = release.smoke(tmp_path, "--short")
    assert (run.exit_code, run.report.suite, len(run.report.checks)) == (0, "smoke, short", 5), run.output
    assert run.report.duration_s <= LONGEST_S / 4


def test_a_fault_for_other_hosts_is_not_the_releases(release: Release, tmp_path: Path) -> None:
    """Where the database is down for others only, health says that it is up, and the check says for whom."""
    faults = f"{release.sandbox_url}/faults"
    arguments = ("--faults-url", faults, "--fault-hosts", "192.0.2.1", "-k", "truth")
    run = release.smoke(tmp_path, *arguments)
    assert (run.exit_code, run.not_passed) == (1, ["health tells the truth"])
    assert (
        "down for 192.0.2.1, and at last GET /api/health answered 200"
        in run.check("health tells the truth").detail
    )
