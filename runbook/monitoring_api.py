"""A stack's own Prometheus and Alertmanager, asked over HTTP."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import AliasPath, BaseModel, Field, TypeAdapter

from infra.errors import printable
from runbook.errors import RunbookError
from runbook.layout import layout_of
from runbook.monitor_containers import refuse_unless_running

_TIMEOUT_S = 10.0
_Told = TypeVar("_Told")


class AppliedSilence(BaseModel):
    """A silence, as Alertmanager has it."""

    id: str
    until: datetime.datetime = Field(alias="endsAt")
    by: str = Field(alias="createdBy")


class Alert(BaseModel):
    """An alert that is pending or firing, as Prometheus has it, with the silence that it is under."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    state: str
    since: datetime.datetime = Field(alias="activeAt")
    silence: AppliedSilence | None = None

    @property
    def name(self) -> str:
        """The rule's."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        """P0 to P3, or whatever the rule says."""
        return self.labels.get("severity", "")


class Rule(BaseModel):
    """An alerting rule and the alerts that it raises now; `error`: why it could not be evaluated."""

    name: str
    error: str = Field(default="", alias="lastError")
    evaluated: datetime.datetime = Field(alias="lastEvaluation")
    alerts: list[Alert] = Field(default_factory=list)


class RuleGroup(BaseModel):
    """Rules that are evaluated together."""

    rules: list[Rule]


class SentAlert(BaseModel):
    """An alert that Alertmanager got, with the ids of the silences that it is under."""

    labels: dict[str, str]
    silenced_by: list[str] = Field(validation_alias=AliasPath("status", "silencedBy"))


class MetricSeries(BaseModel):
    """The labels of a series, and its value at each time that has one."""

    metric: dict[str, str]
    values: list[tuple[float, float]]


@dataclass(frozen=True)
class Monitors:
    """Those of one stack, as *client* reaches them. Each call raises RunbookError where it gets no answer."""

    client: httpx.Client

    def rules(self) -> list[Rule]:
        """All alerting rules."""
        kind = TypeAdapter(list[RuleGroup])
        groups = self._ask(kind, "prometheus/api/v1/rules", "data", "groups", type="alert")
        return [rule for group in groups for rule in group.rules]

    def query_range(self, promql: str, start_s: float, end_s: float, step_s: float) -> list[MetricSeries]:
        """The series of *promql* at each step from *start_s* to *end_s* (Unix time)."""
        asked = {
            "query": promql,
            "start": start_s,
            "end": end_s,
            "step": step_s,
            "timeout": f"{_TIMEOUT_S:g}s",
        }
        return self._ask(
            TypeAdapter(list[MetricSeries]), "prometheus/api/v1/query_range", "data", "result", **asked
        )

    def sent_alerts(self) -> list[SentAlert]:
        """What Alertmanager got and holds."""
        return self._ask(TypeAdapter(list[SentAlert]), "alertmanager/api/v2/alerts")

    def silences(self) -> list[AppliedSilence]:
        """All silences, also those that have ended."""
        return self._ask(TypeAdapter(list[AppliedSilence]), "alertmanager/api/v2/silences")

    def _ask(self, kind: TypeAdapter[_Told], path: str, *keys: str, **parameters: Any) -> _Told:
        url = self.client.base_url.join(path)
        try:
            answer = self.client.get(path, params=parameters)
            answer.raise_for_status()
            told = answer.json()
            for key in keys:
                told = told[key]
            return kind.validate_python(told)
        except httpx.HTTPStatusError as error:
            said = printable(" ".join(error.response.text.split())[:200])
            why = f"answered {error.response.status_code}: {said}"
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
        except (ValueError, LookupError, TypeError):
            why = "answered, but not in its own words"
        hint = "does `docker ps` show it? `docker logs` of it may say why; `bin/runbook up` brings it back"
        raise RunbookError(f"{path.partition('/')[0].capitalize()}: {url}: {why}", hint)


@contextmanager
def monitors_of(stack: str) -> Iterator[Monitors]:
    """The monitors of *stack*.

    Raises:
        RunbookError: it has none, or they do not run.
    """
    refuse_unless_running(stack)  # what answers at its port may be another stack's
    url = layout_of(stack).monitoring_url
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield Monitors(client)
