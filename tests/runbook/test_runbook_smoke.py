"""`smoke`: the suite's options by the verb's names, and its report as the verb's result."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from in_thread import answering

from contracts.verdict import Report
from runbook.verbs.smoke import arguments_of

SECRET = "hunter2"


class AnotherService(BaseHTTPRequestHandler):
    """Answers, and knows no webhooks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.send_error(404)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where something answers that is no release of ours."""
    with answering(ThreadingHTTPServer(("127.0.0.1", 0), AnotherService)) as url:
        yield url


def run_smoke(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`bin/runbook smoke` of *url*, typed in *folder*."""
    return subprocess.run(
        [sys.executable, "-m", "runbook", "smoke", "--url", url, *words],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "WAHA_WEBHOOK_SECRET": SECRET,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_options_nothing_is_added() -> None:
    """The suite is run whole, and writes what the verb reads."""
    assert arguments_of(short=False, junit=None, report=None, baseline=None) == []


def test_options_are_passed_on(tmp_path: Path) -> None:
    """By the names that pytest has for them."""
    files = {"junit": tmp_path / "j.xml", "report": tmp_path / "r.json"}
    words = arguments_of(short=True, **files, baseline="http://live")
    assert words[:5] == ["--short", "--junitxml", f"{tmp_path}/j.xml", "--report", f"{tmp_path}/r.json"]
    assert words[5:] == ["--baseline", "http://live"]


@pytest.fixture(scope="module")
def refused(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A run that refused what answered, and the folder where it was started."""
    folder = tmp_path_factory.mktemp("smoke")
    words = ("--short", "--json", "--junit", "smoke.xml", "--report", "smoke.json")
    return run_smoke(url, folder, *words), folder


def test_a_refusal_is_exit_code_1_and_a_hint(
    refused: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """What did not pass is counted; the suite's own lines stand above; no secret does."""
    done, _ = refused
    assert done.returncode == 1
    assert "error: smoke: fail: " in done.stderr
    assert "\nhint: " in done.stderr
    assert "smoke, short: fail" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_the_report_is_printed_and_written_where_it_was_asked_for(
    refused: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """Files are those of the folder where the verb was typed; all three tell the same."""
    done, folder = refused
    printed = Report.model_validate(json.loads(done.stdout))
    assert Report.model_validate_json((folder / "smoke.json").read_bytes()) == printed
    assert printed.suite == "smoke, short"
    assert 'name="test_ready"' in (folder / "smoke.xml").read_text()


def test_a_report_that_cannot_be_written_is_an_error(url: str, tmp_path: Path) -> None:
    """It is said before anything is sent."""
    done = run_smoke(url, tmp_path, "--report", "no-such-folder/smoke.json")
    assert done.returncode == 1
    assert "no-such-folder/smoke.json' cannot be written: No such file or directory" in done.stderr
