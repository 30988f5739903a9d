"""`Trial`: the suites' evidence on the release that is to go live, and on those refused, in the state.

It does not raise for a release that is bad: then its evidence would be lost. The `Gate` behind it does.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from contracts.targets import read_targets
from contracts.verdict import Report, Verdict
from contracts.webhook_secret import BASELINE_NAME, NAME
from infra import release_report
from infra.baseline import baseline, baseline_secret
from infra.container_watch import ContainerWatch
from infra.errors import Refused
from infra.haproxy_config import Backend, backend_in
from infra.log_digest import log_digest
from infra.proxy_control import ProxyControl
from infra.release_record import ReleaseRecord
from infra.suite_run import Found, refusal_lines, run_suite
from infra.suites import Depth, Suite, suite_command

MAX_REFUSED = 30


class TrialProvider(ResourceProvider):
    """Runs the suites as subprocesses and judges their reports."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Try the first release."""
        return CreateResult("trial", run_trial(props, {}))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Try another release, or one that did not pass again."""
        return UpdateResult(run_trial(news, olds))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """What a release consists of is in its id: one that passed is not tried again.

        Unless that was a shorter gate than the one asked for now, or it lost the traffic since.
        """
        return DiffResult(
            changes=olds["release"] != news["release"]
            or bool(olds["refusal"])
            or not Depth(olds["depth"]).covers(Depth(news["depth"]))
            or olds.get("attempt", 0) != news["attempt"]
        )


class Trial(Resource):
    """The evidence on one release.

    `figures`: the suites' reports; `refusal`: the lines against the release, none if it passed; `refused`: an
    entry for each trial that a release did not pass, oldest first.
    """

    figures: pulumi.Output[list[dict[str, Any]]]
    refusal: pulumi.Output[list[str]]
    refused: pulumi.Output[list[dict[str, Any]]]

    def __init__(
        self,
        *,
        release: str,
        subject: dict[str, pulumi.Input[Any]],
        record: dict[str, Any],
        depth: Depth,
        attempt: int,
        reports: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """*subject*: the fields of `Subject`; *record*: the `ReleaseRecord` that one which is refused gets.

        *attempt*: how often the release got the traffic and lost it.
        """
        outputs = {"figures": None, "refusal": None, "refused": None}
        inputs = {"release": release, **subject, "record": record, "reports": str(reports)}
        inputs |= {"depth": str(depth), "attempt": attempt}
        super().__init__(TrialProvider(), "trial", {**inputs, **outputs}, opts)


@dataclass(frozen=True)
class Subject:
    """What is tried, and how it is reached."""

    release: str
    candidate_url: str
    baseline_url: str
    webhook_secret: str
    proxy: str
    web: list[str]
    workers: list[str]
    faults_url: str

    @classmethod
    def of(cls, props: dict[str, Any]) -> Subject:
        """As the resource's inputs have it."""
        return cls(**{name: props[name] for name in cls.__dataclass_fields__})


def run_trial(props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
    """The resource's outputs after a trial. A release that has the traffic already is not tried again."""
    refused = olds.get("refused") or []
    subject, depth, reports = Subject.of(props), Depth(props["depth"]), Path(props["reports"])
    record = ReleaseRecord.model_validate(props["record"])
    proxy = ProxyControl(subject.proxy)
    route = proxy.live_route()
    live = route.to if route else None
    if live is not None and live.release == subject.release:
        figures = olds["figures"] if olds.get("release") == subject.release else []
        return {**props, "figures": figures, "refusal": [], "refused": refused}
    shutil.rmtree(reports, ignore_errors=True)  # an earlier trial's evidence is not this one's
    reports.mkdir(parents=True)
    before = {
        "release": subject.release,
        "live_before": live.release if live else None,
        "outcome": "testing",
        "verdict": Verdict.NO_EVIDENCE,
    }
    release_report.write(reports, {**release_report.facts_of(record), **before})
    try:
        found, refusal = _run_suites(subject, depth, live, reports)
    except Refused:  # what was found says nothing against it: the next `up` tries it anew
        release_report.write(reports, {"outcome": "not judged"})
        raise
    outcome = {"outcome": "refused" if refusal else "testing", "refusal": refusal}
    release_report.write(reports, {**outcome, "verdict": verdict_of(found, refusal)})
    if refusal:
        against = record.model_copy(update={"gate": found, "refusal": refusal})
        refused = [*refused, against.as_data()][-MAX_REFUSED:]
    figures = [report.model_dump(mode="json") for report in found]
    return {**props, "figures": figures, "refusal": refusal, "refused": refused}


def _run_suites(
    subject: Subject, depth: Depth, live: Backend | None, reports: Path
) -> tuple[list[Report], list[str]]:
    """The reports as the state keeps them, and the lines that refuse the release."""
    found: list[Found] = []
    roles = dict.fromkeys(subject.web, "web") | dict.fromkeys(subject.workers, "worker")
    beside = baseline(ProxyControl(subject.proxy), live, subject.baseline_url)
    env = {NAME: subject.webhook_secret}
    if live is not None and (secret := baseline_secret(live)):
        env[BASELINE_NAME] = secret
    with ContainerWatch(roles) as watch, beside as baseline_url:
        if gone := watch.gone():
            raise Refused(
                f"gate: {', '.join(gone)} is gone from the engine, which the state does not know: "
                f"{subject.release} was not judged",
                "`bin/runbook up` makes it again, as `bin/pulumi up --refresh` does",
            )
        for suite in depth.suites:
            found.append(_run(suite, subject, depth, baseline_url, reports, env))
            if found[-1].refusal:
                break
    containers = watch.report(read_targets().containers)
    logs = watch.logs()
    _keep(watch, containers, logs, reports)
    lines = lines_against(subject.release, found, containers, depth)
    lines += [f"  {complaint}" for complaint in log_digest(logs)] if lines else []
    return [_in_short(report) for report in [*(each.report for each in found), containers] if report], lines


def lines_against(release: str, found: list[Found], containers: Report, depth: Depth) -> list[str]:
    """Why *release* is refused, if it is. What a shorter gate sees of containers is seldom evidence."""
    lines = [line for each in found for line in each.refusal]
    if containers.verdict is Verdict.FAIL or (containers.not_passed and depth is Depth.FULL and not lines):
        # First: a container that ended is why a suite found no answer.
        return [*refusal_lines(containers, release), *lines]
    return lines


def verdict_of(figures: list[Report], refusal: list[str]) -> Verdict:
    """Of the trial as a whole: a release may be refused for what could not be seen of it."""
    if not refusal:
        return Verdict.PASS
    return Verdict.worst([Verdict.NO_EVIDENCE, *(report.verdict for report in figures)])


def _run(
    suite: Suite,
    subject: Subject,
    depth: Depth,
    baseline_url: str | None,
    reports: Path,
    env: dict[str, str],
) -> Found:
    pulumi.log.info(f"gate: {suite} on {subject.release} at {subject.candidate_url}")
    report = reports / f"{suite}.json"
    options = _smoke_options(subject, depth, reports) if suite == "smoke" else _load_options(reports)
    against = ["--baseline", baseline_url] if baseline_url else []
    command = suite_command(suite, subject.candidate_url, report, *options, *against)
    within_s, stop_requested = read_targets().gate.within_s, ProxyControl(subject.proxy).stop_requested
    _ensure_tested(subject)
    found = run_suite(suite, subject.release, command, report, env, within_s, stop_requested)
    _ensure_tested(subject)
    return found


def _ensure_tested(subject: Subject) -> None:
    """See that the suites' requests reach the release that they judge.

    Raises:
        Refused: somebody has led them to another one.
    """
    tested = backend_in(ProxyControl(subject.proxy).route("candidate") or "")
    if tested is None or tested.release != subject.release:
        raise Refused(
            f"gate: the candidate frontend leads to {tested.release if tested else 'no release'}, not to "
            f"{subject.release}: nothing that was found there counts",
            "another rollback or update has moved it; run the same command again",
        )


def _smoke_options(subject: Subject, depth: Depth, reports: Path) -> list[str]:
    if depth is Depth.SHORT:
        return ["--short"]
    containers = [*subject.web, *subject.workers]
    logs = shlex.join([sys.executable, "-m", "infra.container_logs", *containers])
    faults = ["--faults-url", subject.faults_url, "--fault-hosts", ",".join(containers)]
    junit = str(reports / "smoke.xml")
    return ["--logs-command", logs, "--junitxml", junit, *(faults if subject.faults_url else [])]


def _load_options(reports: Path) -> list[str]:
    scenarios = [part for name in read_targets().gate.scenarios for part in ("--scenario", name)]
    return [*scenarios, "--series", str(reports / "load.series.json")]


def _keep(watch: ContainerWatch, report: Report, logs: dict[str, str], reports: Path) -> None:
    (reports / "containers.json").write_text(report.model_dump_json(indent=2) + "\n")
    parts = [f"== {name}\n{text}" for name, text in logs.items()]
    (reports / "containers.log").write_text("\n".join(parts), encoding="utf-8")
    watch.write_series(reports / "containers.series.json")


def _in_short(report: Report) -> Report:
    """Smoke's checks are many, and those that passed are in the release's folder."""
    return report.counted() if report.suite.startswith("smoke") else report
