"""What a trial makes of what its suites and its containers show; the trial itself runs in whole stacks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.verdict import Check, Report, Verdict
from contracts.webhook_secret import BASELINE_NAME, NAME
from infra.dynamic import trial
from infra.dynamic.trial import lines_against, run_trial, verdict_of
from infra.errors import Refused
from infra.haproxy_config import Backend, route_config
from infra.release_record import ReleaseRecord
from infra.suite_run import Found, run_suite
from infra.suites import Depth


def report(suite: str, verdict: Verdict) -> Report:
    """A report with one check."""
    return Report.of(suite, [Check(name="a check", verdict=verdict, value=1, samples=1)], 1)


PASSED = Found(report("smoke", Verdict.PASS), [])
REFUSED = Found(report("load", Verdict.FAIL), ["gate: load refused release r-1 (fail):"])


@pytest.mark.parametrize("depth", Depth)
def test_nothing_is_said_against_a_release_that_passed(depth: Depth) -> None:
    """All suites passed, the containers were well."""
    assert lines_against("r-1", [PASSED, PASSED], report("containers", Verdict.PASS), depth) == []


@pytest.mark.parametrize("depth", Depth)
def test_a_container_that_failed_is_told_first(depth: Depth) -> None:
    """Whatever the gate's depth, whatever the suites said: it is why they found no answer."""
    failed = report("containers", Verdict.FAIL)
    assert lines_against("r-1", [PASSED], failed, depth)[0].startswith("gate: containers refused release r-1")
    lines = lines_against("r-1", [PASSED, REFUSED], failed, depth)
    assert lines[0].startswith("gate: containers refused release r-1 (fail)")
    assert lines[-1] == "gate: load refused release r-1 (fail):"


def test_containers_of_which_too_little_was_seen_are_no_pass() -> None:
    """A full gate takes long enough to see them; a shorter one does not, and a suite's refusal is enough."""
    unseen = report("containers", Verdict.NO_EVIDENCE)
    assert lines_against("r-1", [PASSED], unseen, Depth.FULL)[0].endswith("r-1 (no evidence):")
    assert lines_against("r-1", [PASSED], unseen, Depth.SHORT) == []
    assert lines_against("r-1", [PASSED, REFUSED], unseen, Depth.FULL) == REFUSED.refusal


@pytest.mark.parametrize(
    ("verdicts", "refusal", "verdict"),
    [
        (["pass", "pass", "pass"], [], Verdict.PASS),
        (["pass", "pass", "no evidence"], [], Verdict.PASS),
        (["pass", "fail", "pass"], ["error rate: fail"], Verdict.FAIL),
        (["pass", "no evidence", "pass"], ["generator CPU: no evidence"], Verdict.NO_EVIDENCE),
        (["pass"], ["gate: load on r-1 gave no report"], Verdict.NO_EVIDENCE),
    ],
)
def test_a_refusal_without_a_failure_is_no_evidence(
    verdicts: list[str], refusal: list[str], verdict: Verdict
) -> None:
    """The page and the state say which it was."""
    assert verdict_of([report("load", Verdict(each)) for each in verdicts], refusal) is verdict


class Proxy:
    """A proxy without a live release; somebody has asked whoever deploys to give up."""

    is_to_stop = True
    leads_to = "r-1"

    def __init__(self, _name: str) -> None:
        pass

    def live_route(self) -> None:
        return None

    def route(self, name: str) -> str:
        assert name == "candidate"
        return route_config("candidate", Backend(Proxy.leads_to, ("web-1",)))

    def clear_stop(self) -> None:
        Proxy.is_to_stop = False

    def stop_requested(self) -> bool:
        return self.is_to_stop


class ProxyBesideLive(Proxy):
    """A proxy with a live release."""

    def put_route(self, *_: object) -> None:
        pass

    def remove_route(self, *_: object) -> None:
        pass


def test_a_stop_that_was_asked_for_before_the_trial_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While images were built, or between two suites: it is the same update that is to give up."""

    def wait(suite: str, *arguments: Any) -> Found:
        return run_suite(suite, "r-1", ["sleep", "60"], *arguments[2:])

    monkeypatch.setattr(trial, "ProxyControl", Proxy)
    monkeypatch.setattr(trial, "run_suite", wait)
    with pytest.raises(Refused, match="gate: asked to stop; r-1 was not judged"):
        run_trial(props_of_r_1(tmp_path), {})
    assert json.loads((tmp_path / "r-1" / "release.json").read_text())["outcome"] == "not judged"


def test_containers_that_were_removed_are_no_fault_of_the_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The suites would wait for them, and refuse it: `pulumi up` compares nothing with the engine."""
    monkeypatch.setattr(trial, "ProxyControl", Proxy)
    monkeypatch.setattr(trial, "run_suite", lambda *_: pytest.fail("nothing is there to be asked"))
    with pytest.raises(Refused, match=r"web-none is gone from the engine.*r-1 was not judged") as told:
        run_trial({**props_of_r_1(tmp_path), "web": ["web-none"]}, {})
    assert "bin/runbook up" in told.value.hint


@pytest.mark.parametrize("moved", ["before", "meanwhile"])
def test_what_was_found_of_another_release_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moved: str
) -> None:
    """A rollback under a freeze, which holds no lock, has led the candidate's frontend to its own."""

    def run_suite(*_: object) -> Found:
        monkeypatch.setattr(Proxy, "leads_to", "r-9")
        return PASSED

    monkeypatch.setattr(trial, "ProxyControl", Proxy)
    monkeypatch.setattr(trial, "run_suite", run_suite)
    monkeypatch.setattr(Proxy, "leads_to", "r-9" if moved == "before" else "r-1")
    with pytest.raises(Refused, match="leads to r-9, not to r-1: nothing that was found there counts"):
        run_trial(props_of_r_1(tmp_path), {})


@pytest.mark.parametrize("kept", ["of-the-live-one", None])
def test_the_live_release_is_asked_with_its_own_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: str | None
) -> None:
    """As its containers have it: it may be from before a rotation. Where they are gone, nothing is given."""

    class Container:
        def __init__(self, name: str) -> None:
            self.name = name

        def read_file(self, path: str) -> str:
            assert (self.name, path) == ("web-0", f"/run/secrets/{NAME}")
            if kept is None:
                raise Refused("it is gone")
            return kept

    def run_suite(_suite: str, _release: str, _command: object, _report: Path, env: Any, *_: object) -> Found:
        given.append(env)
        return PASSED

    live = Backend("r-0", ("web-0",))
    given: list[dict[str, str]] = []
    monkeypatch.setattr(trial, "ProxyControl", ProxyBesideLive)
    monkeypatch.setattr(ProxyBesideLive, "live_route", lambda _self: SimpleNamespace(to=live))
    monkeypatch.setattr("infra.containers.ContainerExec", Container)
    monkeypatch.setattr(trial, "run_suite", run_suite)
    run_trial({**props_of_r_1(tmp_path), "webhook_secret": "of-the-candidate", "depth": "smoke"}, {})
    expected = {NAME: "of-the-candidate"}
    assert given == [expected if kept is None else {**expected, BASELINE_NAME: kept}]


def props_of_r_1(folder: Path) -> dict[str, Any]:
    """What the resource gets, for a full trial of r-1."""
    subject = dict.fromkeys(("candidate_url", "baseline_url", "webhook_secret", "faults_url"), "")
    subject |= {"release": "r-1", "proxy": "proxy"}
    record = ReleaseRecord(release="r-1").as_data()
    props = {**subject, "web": [], "workers": [], "record": record, "depth": "full"}
    return {**props, "reports": str(folder / "r-1")}
