"""What fires now, who has silenced it, and whether the alerting itself works."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from runbook.errors import RunbookError
from runbook.monitoring_api import Alert, Alertmanager, AppliedSilence, Prometheus, Rule

_SEVERITIES = ("P0", "P1", "P2", "P3")
URGENT = _SEVERITIES[:2]
WATCHDOG = "Watchdog"
"""The alert that always fires: a receiver that does not hear it knows that no other would come either."""
_EVALUATED_WITHIN_S = 300
_ARRIVES_WITHIN_S = 120
"""A Prometheus that has just started sends again after a minute what it sent before it knew to whom."""
_OF_THE_STACK = "stack"
"""The label that Prometheus adds for Alertmanager only."""


class AlertState(BaseModel):
    """The alerts, worst first; why not to rely on them; how many rules, and since when all are evaluated."""

    alerts: list[Alert]
    problems: list[str]
    rules: int
    age_s: float


def read_alerts(prometheus: Prometheus, alertmanager: Alertmanager, now: datetime.datetime) -> AlertState:
    """What Prometheus and Alertmanager say.

    Raises:
        RunbookError: Prometheus cannot be asked. That Alertmanager cannot is a problem: nobody is told.
    """
    rules = prometheus.rules()
    problems = list(_rule_problems(rules, now))
    silenced: dict[frozenset[tuple[str, str]], AppliedSilence | None] = {}
    try:
        silences = {silence.id: silence for silence in alertmanager.silences()}
        for sent in alertmanager.alerts():
            found = [silences[each] for each in sent.silenced_by if each in silences]
            silenced[_key(sent.labels)] = max(found, key=lambda silence: silence.until, default=None)
        for watchdog in _watchdogs(rules):
            is_due = (now - watchdog.since).total_seconds() > _ARRIVES_WITHIN_S
            if is_due and _key(watchdog.labels) not in silenced:
                problems.append(f"Alertmanager has not got the alert {WATCHDOG}: it would get no other")
            elif silence := silenced.get(_key(watchdog.labels)):
                by = f"by {silence.by} until {silence.until:%Y-%m-%d %H:%M} UTC"
                problems.append(f"all alerts are silenced {by}, {WATCHDOG} too")
    except RunbookError as error:
        problems.append(f"nobody is told of an alert: {error.message}")
    alerts = [
        alert.model_copy(update={"silence": silenced.get(_key(alert.labels))})
        for rule in rules
        for alert in rule.alerts
        if rule.name != WATCHDOG
    ]
    age_s = max(((now - rule.evaluated).total_seconds() for rule in rules), default=0.0)
    return AlertState(alerts=sorted(alerts, key=_rank), problems=problems, rules=len(rules), age_s=age_s)


def is_urgent(alert: Alert) -> bool:
    """Whether it fires, and somebody has to act within the hour."""
    return alert.state == "firing" and alert.severity in URGENT


def _rule_problems(rules: list[Rule], now: datetime.datetime) -> Iterator[str]:
    for rule in rules:
        if rule.error:
            yield f"rule {rule.name} cannot be evaluated: {rule.error}"
        elif (now - rule.evaluated).total_seconds() > _EVALUATED_WITHIN_S:
            yield f"rule {rule.name} was last evaluated at {rule.evaluated:%Y-%m-%d %H:%M:%S} UTC"
    if not _watchdogs(rules):
        yield f"the alert {WATCHDOG}, which always fires, does not"


def _watchdogs(rules: list[Rule]) -> list[Alert]:
    return [
        alert for rule in rules if rule.name == WATCHDOG for alert in rule.alerts if alert.state == "firing"
    ]


def _rank(alert: Alert) -> tuple[object, ...]:
    """Worst first: by severity, firing before pending, then what began first."""
    order = (*_SEVERITIES, alert.severity).index(alert.severity)
    return order, alert.state != "firing", alert.since, alert.name


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name != _OF_THE_STACK)
