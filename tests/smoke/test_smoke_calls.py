"""How the suite is called: what is wrong in a call is said before anything is sent."""

from __future__ import annotations

import pytest
from reference_target import SECRET
from smoke_runs import pytest_smoke

HERE = ["--base-url", "http://127.0.0.1:9"]


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (["--base-url", "http://127.0.0.1:9"], {}, "WAHA_WEBHOOK_SECRET"),
        (["--base-url", "http://127.0.0.1:9"], {"WAHA_WEBHOOK_SECRET_FILE": "/nowhere"}, "/nowhere"),
        ([], {"WAHA_WEBHOOK_SECRET": SECRET}, "--base-url"),
        (["--base-url", "localhost:80"], {"WAHA_WEBHOOK_SECRET": SECRET}, "localhost:80"),
        (
            ["--base-url", "http://127.0.0.1:9", "--targets", "/nowhere.toml"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "nowhere.toml",
        ),
        (
            ["--base-url", "http://127.0.0.1:9", "--report", "/nowhere/report.json"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "/nowhere/report.json",
        ),
        ([*HERE, "--report", "smoke"], {"WAHA_WEBHOOK_SECRET": SECRET}, "Is a directory"),
        (
            [*HERE, "--logs-command", "no-such-program -f"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "no-such-program -f",
        ),
        ([*HERE, "--logs-command", "cat 'log"], {"WAHA_WEBHOOK_SECRET": SECRET}, "No closing quotation"),
        ([*HERE, "--logs-command", "  "], {"WAHA_WEBHOOK_SECRET": SECRET}, "--logs-command"),
        ([*HERE, "--faults-url", "sandbox/faults"], {"WAHA_WEBHOOK_SECRET": SECRET}, "'sandbox/faults'"),
        ([*HERE, "--baseline", "live"], {"WAHA_WEBHOOK_SECRET": SECRET}, "--baseline: should start with"),
        ([*HERE, "--fault-hosts", "a,b"], {"WAHA_WEBHOOK_SECRET": SECRET}, "without --faults-url"),
        (
            [*HERE, "--faults-url", "http://127.0.0.1:9", "--fault-hosts", "a,,b"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "'a,,b'",
        ),
    ],
    ids=[
        *("no secret", "no secret file", "no base url", "no scheme", "no targets", "no report folder"),
        *(
            "a folder as report",
            "no program",
            "no words",
            "blank command",
            "no faults url",
            "no live release",
        ),
        "hosts alone",
        "an empty host",
    ],
)
def test_a_wrong_call_is_one_clear_usage_error(arguments: list[str], env: dict[str, str], named: str) -> None:
    """What is missing or wrong in the call is named, with pytest's exit code for it, and nothing is tried."""
    done = pytest_smoke(*arguments, env=env)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert named in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
