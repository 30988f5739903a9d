"""A stack's Prometheus and Alertmanager, asked over HTTP."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Any, TypeVar

import docker
import httpx
from docker.errors import NotFound
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, computed_field

from infra.errors import printable
from infra.provenance import operator
from infra.stack_name import prefix_of
from runbook.checklist.addresses import is_loopback
from runbook.errors import RunbookError
from runbook.layout import layout_of
from runbook.monitor_containers import refuse_unless_running

_TIMEOUT_S = 10.0
_SETTING = "mend the stack's setting layout.alertmanager_url, or take it away to deploy without a silence"
_Told = TypeVar("_Told")


class NoAnswer(RunbookError):
    """Whether it was done is not known."""


class AppliedSilence(BaseModel):
    """A silence, as Alertmanager has it."""

    id: str
    until: datetime.datetime = Field(alias="endsAt")
    by: str = Field(alias="createdBy")
    comment: str
    state: str = Field(validation_alias=AliasPath("status", "state"))


class Alert(BaseModel):
    """An alert that is pending or firing, as Prometheus has it, with the silence that it is under."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    state: str
    since: datetime.datetime = Field(alias="activeAt")
    silence: AppliedSilence | None = None

    @computed_field  # type: ignore[prop-decorator] # as pydantic's documentation has it
    @property
    def name(self) -> str:
        """The rule's."""
        return self.labels.get("alertname", "")

    @computed_field  # type: ignore[prop-decorator]
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
class _Program:
    """The one at *url*. `mend`: what to do where it does not answer, and with what all calls then raise."""

    url: str
    mend: str = _SETTING

    def _ask(self, method: str, path: str, json: object = None, **query: Any) -> httpx.Response:
        url = f"{self.url.rstrip('/')}/{path}"
        asked = f"{type(self).__name__}: {method} {url}"
        # It may be outside, behind the environment's proxy; this machine's own addresses never are.
        trust_env = not is_loopback(url)
        try:
            tls = _tls() if url.startswith("https:") else False  # of no use, and it takes longer than to ask
            answer = httpx.request(
                method, url, json=json, params=query, timeout=_TIMEOUT_S, trust_env=trust_env, verify=tls
            )
            return answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            said = f"{asked} answered {error.response.status_code}: {_beginning(error.response)}"
            raise RunbookError(said, self.mend) from error
        except httpx.ReadTimeout as error:
            raise NoAnswer(f"{asked}: no answer for {_TIMEOUT_S:g} s", self.mend) from error
        # The last three: the environment names a proxy or certificates that cannot be used.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError, OSError) as error:
            raise RunbookError(f"{asked}: {str(error) or type(error).__name__}", self.mend) from error

    def _read(self, kind: type[_Told], answer: httpx.Response, *keys: str) -> _Told:
        try:
            told = answer.json()
            for key in keys:
                told = told[key]
            return TypeAdapter(kind).validate_python(told)
        except (ValueError, LookupError, TypeError) as error:  # a login page, for example
            asked = f"{type(self).__name__}: {answer.request.method} {answer.url.copy_with(query=None)}"
            said = f"answered {answer.status_code}, but not in its own words: {_beginning(answer)}"
            raise RunbookError(f"{asked} {said}", self.mend) from error


class Prometheus(_Program):
    """By its API, version 1."""

    def rules(self) -> list[Rule]:
        """All alerting rules."""
        groups = self._read(list[RuleGroup], self._ask("GET", "api/v1/rules", type="alert"), "data", "groups")
        return [rule for group in groups for rule in group.rules]

    def query_range(self, promql: str, start_s: float, end_s: float, step_s: float) -> list[MetricSeries]:
        """The series of *promql* at each step from *start_s* to *end_s* (Unix time)."""
        asked = {"query": promql, "start": start_s, "end": end_s, "step": step_s}
        answer = self._ask("GET", "api/v1/query_range", **asked, timeout=f"{_TIMEOUT_S:g}s")
        return self._read(list[MetricSeries], answer, "data", "result")


class Alertmanager(_Program):
    """By its API, version 2."""

    def alerts(self, **query: str) -> list[SentAlert]:
        """What it got and holds."""
        return self._read(list[SentAlert], self._ask("GET", "api/v2/alerts", **query))

    def silences(self, **query: str) -> list[AppliedSilence]:
        """All silences, also those that have ended."""
        return self._read(list[AppliedSilence], self._ask("GET", "api/v2/silences", **query))

    def silence(self, stack: str, for_s: float, comment: str) -> str:
        """Silence the alerts with the label `stack` for so many seconds; the silence's id.

        Raises:
            NoAnswer: it may be silent.
        """
        now = datetime.datetime.now(datetime.UTC)
        silence = {
            "matchers": [
                _matcher("stack", stack),
                _matcher("severity", "none", is_equal=False),  # the one that proves that alerts are sent
                *self._but_what_was_told(stack),
            ],
            "startsAt": now.isoformat(),
            "endsAt": (now + datetime.timedelta(seconds=for_s)).isoformat(),
            "createdBy": operator(),
            "comment": comment,
        }
        return self._read(str, self._ask("POST", "api/v2/silences", json=silence), "silenceID")

    def end(self, stack: str, comment: str, but: str = "") -> None:
        """End all silences of *stack* with that *comment*, but one, before their time.

        One may be there whose making was never answered, or whose end a killed Alertmanager has forgotten.
        """
        for each in self.silences(filter=_of(stack)):
            if each.comment == comment and each.state != "expired" and each.id != but:
                self._ask("DELETE", f"api/v2/silence/{each.id}")

    def _but_what_was_told(self, stack: str) -> list[dict[str, Any]]:
        """Not those that fire already: what ends in a silence counts as told of, though it come again."""
        try:
            firing = self.alerts(silenced="false", inhibited="false", filter=_of(stack))
        except RunbookError:  # the silence itself says what is wrong
            return []
        names = "|".join(sorted({re.escape(alert.labels.get("alertname", "")) for alert in firing}))
        return [{**_matcher("alertname", names, is_equal=False), "isRegex": True}] if names else []


def monitors_of(stack: str) -> tuple[Prometheus, Alertmanager]:
    """The monitors of *stack*.

    Raises:
        RunbookError: it has none, or they do not run.
    """
    refuse_unless_running(stack)  # what answers at its port may be another stack's
    url = layout_of(stack).monitoring_url
    mend = "does `docker ps` show it? `docker logs` of it may say why; `bin/runbook up` brings it back"
    return Prometheus(f"{url}/prometheus", mend), Alertmanager(f"{url}/alertmanager", mend)


def alertmanager_of(stack: str, engine: docker.DockerClient | None = None) -> Alertmanager | None:
    """The one that its settings name, or its own; None where it has neither, or its own is yet to be made."""
    layout, own = layout_of(stack), f"{prefix_of(stack)}-alertmanager"
    if layout.alertmanager_url:
        return Alertmanager(layout.alertmanager_url)
    if not layout.monitoring:
        return None
    try:
        (engine or docker.from_env()).containers.get(own)
    except NotFound:
        return None
    mend = f"`docker logs {own}` may say why; `bin/runbook up` starts it"
    return Alertmanager(f"{layout.monitoring_url}/alertmanager", mend)


@cache
def _tls() -> SSLContext:
    return httpx.create_ssl_context()


def _beginning(answer: httpx.Response) -> str:
    return printable(" ".join(answer.text.split())[:200])


def _of(stack: str) -> str:
    return f'stack="{stack}"'


def _matcher(label: str, value: str, *, is_equal: bool = True) -> dict[str, Any]:
    """Alerts whose *label* is *value*, or is not."""
    return {"name": label, "value": value, "isRegex": False, "isEqual": is_equal}
