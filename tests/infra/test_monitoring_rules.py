"""The alert rules, as Prometheus' own `promtool` evaluates them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from alert_cases import CASES, HEALTHY, Case
from alert_rules import alerts_in
from debian_programs import need
from monitor_files import monitor_file

from contracts.targets import Targets, read_targets
from infra.monitoring.templates import PROBES


@pytest.fixture(scope="module", autouse=True)
def _promtool() -> None:
    need("prometheus")


def is_firing(alert: str, severity: str, *, expected: bool, at: str) -> dict[str, object]:
    """That an alert fires with a severity, or does not, as promtool's test of an expression."""
    chosen = f'ALERTS{{alertstate="firing",alertname="{alert}",severity="{severity}"}}'
    return _test(f"count({chosen}) or vector(0)", int(expected), at)


def nothing_else(allowed: tuple[str, ...], at: str) -> dict[str, object]:
    """That no alert fires but those."""
    names = "|".join(("Watchdog", *allowed))
    return _test(f'count(ALERTS{{alertstate="firing",alertname!~"{names}"}}) or vector(0)', 0, at)


def _test(expr: str, value: int, at: str) -> dict[str, object]:
    return {"expr": expr, "eval_time": at, "exp_samples": [{"labels": "{}", "value": value}]}


def as_test(case: Case) -> dict[str, object]:
    """A case as promtool reads it."""
    series = HEALTHY | case.changes
    allowed = tuple(filter(None, (case.alert, *case.but)))
    fires = [is_firing(case.alert, case.severity, expected=True, at=case.at)] if case.alert else []
    return {
        "name": f"{case.alert or 'none'}: {case.name}",
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [*fires, nothing_else(allowed, case.at)],
    }


def run(folder: Path, targets: Targets, cases: list[Case], stack: str = "dev") -> str:
    """What promtool says is wrong; nothing if all is as expected."""
    (folder / "rules.yml").write_text(monitor_file("rules.yml", targets, stack, worker_replicas=2))
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": list(map(as_test, cases))}
    (folder / "tests.yml").write_text(json.dumps(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_what_is_asked_is_right(tmp_path: Path) -> None:
    """Each probe of the health report is a module of the blackbox exporter's."""
    (tmp_path / "prometheus.yml").write_text(monitor_file("prometheus.yml"))
    subprocess.run(
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"], cwd=tmp_path, check=True
    )
    jobs = yaml.safe_load(monitor_file("prometheus.yml"))["scrape_configs"]
    (health,) = (job for job in jobs if job["job_name"] == "health")
    (services,) = (job for job in jobs if job["job_name"] == "services")
    asked = {each["labels"]["__param_module"] for each in services["static_configs"]}
    assert yaml.safe_load(monitor_file("blackbox.yml"))["modules"].keys() == {
        *health["params"]["module"],
        *asked,
    }
    assert len({*health["params"]["module"], *asked}) == PROBES


def test_each_case(tmp_path: Path) -> None:
    """What is to fire does, with its severity, and nothing else; what is within the limits is quiet."""
    assert run(tmp_path, read_targets(), CASES) == ""


def test_each_alert_has_a_case() -> None:
    """All but those that depend on days of history, which have tests of their own."""
    alerts = alerts_in(monitor_file("rules.yml"))
    covered = {case.alert: case.severity for case in CASES if case.alert}
    assert covered == {
        name: severity for name, severity in alerts.items() if name not in ("Watchdog", "NoMessages")
    }


def test_silence_where_there_were_messages(tmp_path: Path) -> None:
    """No message for an hour alerts if there were some a day before, at that time."""
    accepted = 'webhooks_total{job="web",instance="a",lane="live",outcome="accepted"}'
    day = 24 * 60 * 4
    rises = f"0+1x300 {300 - 1}x{day}"
    (tmp_path / "rules.yml").write_text(monitor_file("rules.yml"))
    asked = 'count(ALERTS{alertstate="firing",alertname="NoMessages",severity="P2"}) or vector(0)'
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15m",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": accepted, "values": values}],
                "promql_expr_test": [_test(asked, expected, "24h30m")],
            }
            for values, expected in ((rises, 1), (f"0+1x{day + 300}", 0), (f"0x{day + 300}", 0))
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, check=True)


_UNUSED = {"probe_each_s", "scrape_each_s", "window_s"}
"""How often is asked, not what alerts."""
_BY_DAYS = {"quiet_s", "quiet_before_s", "quiet_min_messages"}


def with_threshold(key: str, times: float) -> Targets:
    """The targets with a threshold of `[monitor]` so many times as large; a share stays one."""
    targets = read_targets()
    now = getattr(targets.monitor, key)
    changed = min(now * times, 0.99) if now < 1 else type(now)(now * times)
    return targets.model_copy(update={"monitor": targets.monitor.model_copy(update={key: changed})})


def firing_where_changed(targets: Targets) -> list[Case]:
    """The cases of the alerts whose rules are others with *targets*."""
    before, after = (
        dict(re.findall(r"alert: (\w+)\n((?:(?!  - alert).*\n)*)", monitor_file("rules.yml", each)))
        for each in (read_targets(), targets)
    )
    return [case for case in CASES if case.alert and after[case.alert] != before[case.alert]]


@pytest.mark.parametrize("key", sorted(read_targets().monitor.model_dump().keys() - _UNUSED - _BY_DAYS))
def test_each_threshold_counts(key: str, tmp_path: Path) -> None:
    """With another value in `targets.toml` a case comes out otherwise: the rule goes by it."""
    higher, lower = with_threshold(key, 4), with_threshold(key, 0.25)
    quiet = [case for case in CASES if not case.alert]
    outcomes = (
        run(tmp_path, targets, cases)
        for targets, cases in ((higher, firing_where_changed(higher)), (lower, quiet))
    )
    assert any("FAILED" in outcome for outcome in outcomes)


def test_commands_name_the_stack(tmp_path: Path) -> None:
    """What an alert says to type works on the stack that it is about."""
    rules = monitor_file("rules.yml", stack="prod")
    commands = re.findall(r"`(bin/runbook [^`]+)`", rules)
    assert commands and all(command.endswith("--stack prod") for command in commands)
    assert run(tmp_path, read_targets(), [], "prod") == ""


def test_documented() -> None:
    """docs/monitoring.md has each alert with its severity, and no other."""
    page = Path(__file__).parents[2].joinpath("docs/monitoring.md").read_text(encoding="utf-8")
    section = page.partition("\n## The alerts\n")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| (`[^|]+`) \| (P\d|none) \|", section)
    told = {name: severity for names, severity in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == alerts_in(monitor_file("rules.yml"))
