from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_stack import FakeStack, backend
from fake_workspace import FakeWorkspace
from records import GATE, deployed, manifest, outputs_of, record

from contracts.webhook import signed_headers
from contracts.webhook_secret import NAME
from infra.haproxy_config import route_config
from infra.proxy_control import ProxyControl
from infra.stack_settings import RELEASE_KEY
from runbook.errors import RunbookError
from runbook.secret_values import change, known_secrets
from runbook.suites import candidate_url, given_secret, read_report, webhook_secret

SECRET = "hunter2"


def test_a_secret_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The file is named; where there is none and no variable, the secret is the stack's."""
    file = tmp_path / "secret"
    with pytest.raises(RunbookError, match=f"WAHA_WEBHOOK_SECRET_FILE: '{file}' cannot be read"):
        given_secret({"WAHA_WEBHOOK_SECRET_FILE": str(file)})
    assert given_secret({}) is None


def test_a_stack_without_the_secret_says_how_it_is_set() -> None:
    """Nothing can be signed without."""
    workspace = FakeWorkspace("production")
    with pytest.raises(RunbookError, match="stack production has no WAHA_WEBHOOK_SECRET") as refusal:
        webhook_secret(workspace)
    assert "secrets set WAHA_WEBHOOK_SECRET" in refusal.value.hint
    workspace.keep_secrets({"current": {"WAHA_WEBHOOK_SECRET": SECRET}, "retired": {}})
    assert webhook_secret(workspace) == SECRET


def test_the_live_release_is_tested_with_the_secret_that_it_takes(stack: FakeStack) -> None:
    """Not with one that was set since: it takes that with the next `up`, and refuses it until then."""
    workspace = FakeWorkspace()
    workspace.keep_secrets({"current": {RELEASE_KEY: "key", NAME: SECRET}, "retired": {}})
    digest = known_secrets(workspace).digest(SECRET)
    workspace.found_outputs = outputs_of(record("r-1", manifest=manifest("r-1", secrets={NAME: digest})))
    stack.deploy("r-1")
    assert webhook_secret(workspace) == SECRET
    change(workspace, {NAME: "set since"})
    assert webhook_secret(workspace) == SECRET
    workspace.keep_secrets({"current": {RELEASE_KEY: "key", NAME: "set since"}, "retired": {}})
    assert webhook_secret(workspace) == "set since", "the live one's is not known any more"


def test_a_stack_on_which_nothing_went_live_cannot_be_tested(stack: FakeStack) -> None:
    """Its outputs come with the first update that ends well."""
    with pytest.raises(RunbookError, match="nothing to test") as refusal:
        candidate_url(FakeWorkspace("dev-2"))
    assert "bin/runbook up --stack dev-2" in refusal.value.hint
    assert candidate_url(FakeWorkspace(found_outputs=deployed("r-1"))) == "http://127.0.0.1:8081"


def test_what_is_tested_is_said_where_it_is_not_the_live_release(
    stack: FakeStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused release is behind the candidate frontend still."""
    workspace = FakeWorkspace(found_outputs=deployed("r-1"))
    stack.deploy("r-1")
    proxy = ProxyControl("runbook-dev-proxy")
    warning = "warning: it leads to r-9, which is tested now; r-1 is live\n"
    for release, said in (("r-1", ""), ("r-9", warning)):
        proxy.put_route("candidate", route_config("candidate", backend(release)))
        assert candidate_url(workspace) == "http://127.0.0.1:8081"
        assert capsys.readouterr().err == said


def test_the_report_is_what_the_suite_wrote(tmp_path: Path) -> None:
    """Its checks, and the verdict that follows from them."""
    report = GATE[1]
    (tmp_path / "report.json").write_text(report.model_dump_json())
    assert read_report("load", tmp_path / "report.json", 0) == report


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_a_suite_without_a_report_is_an_error(tmp_path: Path, content: str | None) -> None:
    """It ended before it could judge, and its own words are above."""
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RunbookError, match=r"load gave no report \(exit code 3\)"):
        read_report("load", file, 3)


@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_sign_prints_the_headers_of_the_body(algorithm: str, tmp_path: Path) -> None:
    """One `Name: value` a line, over exactly the bytes that were read; the secret is not among them."""
    body = b'{"event":"message"}\r\n\xff'
    done = run_sign(body, "--algorithm", algorithm, WAHA_WEBHOOK_SECRET=SECRET)
    headers = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    expected = signed_headers(body, SECRET, algorithm)
    assert headers.keys() == expected.keys()
    assert headers["X-Webhook-Hmac"] == expected["X-Webhook-Hmac"]
    assert headers["X-Webhook-Hmac-Algorithm"] == algorithm
    assert SECRET.encode() not in done.stdout + done.stderr


def test_sign_takes_the_file(tmp_path: Path) -> None:
    """The same headers as with the secret itself; a file that cannot be read is an error."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    done = run_sign(b"x", WAHA_WEBHOOK_SECRET_FILE=str(tmp_path / "secret"))
    assert f"X-Webhook-Hmac: {signed_headers(b'x', SECRET)['X-Webhook-Hmac']}" in done.stdout.decode()
    refused = run_sign(b"x", WAHA_WEBHOOK_SECRET_FILE=str(tmp_path / "none"))
    assert refused.returncode == 1
    assert refused.stdout == b""
    assert refused.stderr.startswith(b"error: WAHA_WEBHOOK_SECRET_FILE")
    assert b"Traceback" not in refused.stderr


def run_sign(body: bytes, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """`bin/runbook sign`, with no other environment than *env*."""
    command = [sys.executable, "-m", "runbook", "sign", *words]
    return subprocess.run(
        command,
        input=body,
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        check=False,
        timeout=60,
    )
