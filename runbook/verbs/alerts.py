"""`alerts`: what fires now, worst first, who has silenced it, and whether the alerting works."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated

import typer

from runbook.alert_state import AlertState, is_urgent, read_alerts
from runbook.console import print_json, say, show
from runbook.errors import RunbookError
from runbook.monitoring_api import Alert, monitors_of
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.tables import cell, span

Check = Annotated[bool, typer.Option("--check", help="Exit code 1 if an alert of P0 or P1 fires.")]


def alerts(stack: Stack = DEFAULT_STACK, check: Check = False, as_json: Json = False) -> None:
    """List the alerts that fire or are about to, worst first.

    Exit code 0 also where some fire; 1 where the alerting itself does not work.
    """
    now = datetime.datetime.now(datetime.UTC)
    state = read_alerts(*monitors_of(stack), now)
    if as_json:
        print_json(state.model_dump(mode="json"))
    else:
        for alert in state.alerts:
            show("\n".join(lines(alert, now)))
    if state.problems:
        problems = "\n  ".join(map(cell, state.problems))
        hint = "mend that first; until then look by yourself: `bin/runbook metrics`, `bin/runbook watch`"
        raise RunbookError(f"THE ALERTING ITSELF DOES NOT WORK:\n  {problems}", hint)
    say(summary(stack, state))
    if check and (urgent := [alert.name for alert in state.alerts if is_urgent(alert)]):
        raise RunbookError(
            f"urgent alerts fire: {cell(', '.join(urgent))}", "act on each as its runbook says"
        )


def lines(alert: Alert, now: datetime.datetime) -> Iterator[str]:
    """One alert: since when, what it means, where to read on, who has silenced it."""
    lasts = span(round((now - alert.since).total_seconds() * 1000))
    since = f"{cell(alert.state)} for {lasts}, since {_utc(alert.since)}"
    yield f"{cell(alert.severity)}  {cell(alert.name)}  {since}"
    for name, before in (("summary", ""), ("description", ""), ("runbook", "runbook: ")):
        if text := " ".join(alert.annotations.get(name, "").split()):
            yield f"    {before}{cell(text)}"
    if alert.silence:
        yield f"    silenced until {_utc(alert.silence.until)} by {cell(alert.silence.by)}"


def summary(stack: str, state: AlertState) -> str:
    """How many fire, and how it is known that no other does."""
    firing = sum(alert.state == "firing" for alert in state.alerts)
    return (
        f"stack {stack}: {firing or 'nothing'} firing, {len(state.alerts) - firing} pending; "
        f"{state.rules} rules, evaluated {state.age_s:.0f} s ago; the Watchdog is alive"
    )


def _utc(time: datetime.datetime) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
