"""`--junitxml`: one case a check, and for each that failed the reason, as CI servers show it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from reference_flaws import Flaws
from reference_target import SECRET, running
from smoke_runs import smoke


def test_the_file_names_every_check_and_why_it_failed(limits: Path, tmp_path: Path) -> None:
    """Cases are named by file and test; a failure says value, limit and answer, without a traceback."""
    file = tmp_path / "reports" / "smoke.xml"
    with running(Flaws(is_limited_to_32_kb=True, lacks_a_metric=True)) as url:
        run = smoke(url, limits, tmp_path, f"--junitxml={file}")
    suite = ElementTree.fromstring(file.read_text()).find("testsuite")
    assert suite is not None
    assert (int(suite.get("tests", 0)), int(suite.get("failures", 0))) == (len(run.report.checks), 2)
    failed = {case.get("name"): case.find("failure") for case in suite if case.find("failure") is not None}
    assert failed.keys() == {"test_metrics_are_there", "test_message_is_answered_once[60 KB]"}
    reason = failed["test_message_is_answered_once[60 KB]"]
    assert reason is not None
    assert "message is answered once [60 KB]: fail: 413, limit 2xx, samples 1" in reason.get("message", "")
    assert "answered 413" in (reason.text or "")
    assert {case.get("classname") for case in suite} >= {"smoke.test_kinds", "smoke.test_health"}
    assert "File " not in file.read_text()
    assert SECRET not in file.read_text()
