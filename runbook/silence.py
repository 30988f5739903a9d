"""Alerts are silent while a stack is deployed, for a set time. The service must not be down when that ends.

The silence lies in Alertmanager with its end: it ends by itself, whatever becomes of the deployment.
"""

from __future__ import annotations

import datetime
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import docker
import httpx
from docker.errors import NotFound

from infra.errors import printable
from infra.provenance import operator
from infra.stack_name import prefix_of
from runbook.checklist.addresses import is_loopback
from runbook.console import say
from runbook.errors import RunbookError
from runbook.layout import layout_of

_TIMEOUT_S = 5.0


class NoAnswer(RunbookError):
    """Whether it was done is not known."""


@dataclass(frozen=True)
class Alertmanager:
    """The one at *url*, by its API (version 2). `mend`: what to do where it does not answer."""

    url: str
    mend: str = (
        "mend the stack's setting layout.alertmanager_url, or take it away to deploy without a silence"
    )

    def silence(self, stack: str, for_s: float, comment: str) -> str:
        """Silence the alerts with the label `stack` for so many seconds; the silence's id.

        Raises:
            RunbookError: it cannot be reached, refused, or what answered is no Alertmanager.
            NoAnswer: it may be silent.
        """
        now = datetime.datetime.now(datetime.UTC)
        silence = {
            "matchers": [
                _matcher("stack", stack),
                _matcher("severity", "none", is_equal=False),
                *self._but_what_was_told(stack),
            ],
            "startsAt": now.isoformat(),
            "endsAt": (now + datetime.timedelta(seconds=for_s)).isoformat(),
            "createdBy": operator(),
            "comment": comment,
        }
        answer = self._ask("POST", "silences", json=silence)
        try:
            return str(answer.json()["silenceID"])
        except (ValueError, LookupError, TypeError) as error:  # a login page, for example
            said = printable(" ".join(answer.text.split())[:200])
            raise RunbookError(
                f"Alertmanager: POST {answer.url} answered {answer.status_code} and no silence: {said}",
                self.mend,
            ) from error

    def end(self, stack: str, comment: str, but: str = "") -> None:
        """End all silences of *stack* with that *comment*, but one, before their time.

        One may be there whose making was never answered, or whose end a killed Alertmanager has forgotten.
        Raises as `silence` does.
        """
        asked = {"filter": f'stack="{stack}"'}
        answer = self._ask("GET", f"silences?{urlencode(asked)}")
        try:
            ids = [
                each["id"]
                for each in answer.json()
                if each["comment"] == comment and each["status"]["state"] != "expired"
            ]
        except (ValueError, LookupError, TypeError) as error:
            raise RunbookError(
                f"Alertmanager: GET {answer.url} answered with no silences", self.mend
            ) from error
        for each in ids:
            if each != but:
                self._ask("DELETE", f"silence/{each}")

    def _but_what_was_told(self, stack: str) -> list[dict[str, Any]]:
        """Not those that fire already: what ends in a silence counts as told of, though it come again."""
        asked = {"silenced": "false", "inhibited": "false", "filter": f'stack="{stack}"'}
        try:
            answer = self._ask("GET", f"alerts?{urlencode(asked)}")
            names = sorted({re.escape(str(alert["labels"]["alertname"])) for alert in answer.json()})
        except (RunbookError, ValueError, LookupError, TypeError):  # the silence itself says what is wrong
            return []
        return [{**_matcher("alertname", "|".join(names), is_equal=False), "isRegex": True}] if names else []

    def _ask(self, method: str, path: str, json: object = None) -> httpx.Response:
        url = f"{self.url.rstrip('/')}/api/v2/{path}"
        # It may be outside, behind the environment's proxy; this machine's own addresses never are.
        trust_env = not is_loopback(url)
        try:
            answer = httpx.request(method, url, json=json, timeout=_TIMEOUT_S, trust_env=trust_env)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            said = error.response.text[:200].strip()
            raise RunbookError(
                f"Alertmanager: {method} {url} answered {error.response.status_code}: {said}", self.mend
            ) from error
        except httpx.ReadTimeout as error:
            raise NoAnswer(
                f"Alertmanager: {method} {url}: no answer for {_TIMEOUT_S:g} s", self.mend
            ) from error
        # The last three: the environment names a proxy or certificates that cannot be used.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError, OSError) as error:
            said = str(error) or type(error).__name__
            raise RunbookError(f"Alertmanager: {method} {url}: {said}", self.mend) from error
        return answer


def _matcher(label: str, value: str, *, is_equal: bool = True) -> dict[str, Any]:
    """Alerts whose *label* is *value*, or is not: the one that proves that alerts are sent goes on."""
    return {"name": label, "value": value, "isRegex": False, "isEqual": is_equal}


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


@contextmanager
def silenced(
    alertmanager: Alertmanager | None, stack: str, for_s: float, down: Callable[[], str | None]
) -> Iterator[None]:
    """Silence the alerts of *stack* for the block, but for no longer than *for_s*; not without Alertmanager.

    *down* says why the service does not answer, None if it does. Where it does not when the time is over, the
    block is ended as by Ctrl-C; where it does not at the block's end, the silence is left to end by itself.
    An Alertmanager that cannot be reached stops nobody: a hotfix may be for what took it down, too.

    Raises:
        RunbookError: the service was down when the silence ended.
    """
    if alertmanager is None or not _begin(alertmanager, stack, for_s):
        yield
        return
    end = _End(for_s, down)
    try:
        with end:
            yield
    except KeyboardInterrupt:
        if end.why is not None:
            raise RunbookError(
                f"the silence of {for_s:g} s is over and the service is down: {end.why}",
                "the deployment was stopped and alerts are sent again; `bin/runbook rollback`",
            ) from None
        raise
    finally:
        if not end.is_over:
            _end_early(alertmanager, stack, down)


def _comment(stack: str) -> str:
    """By which a deployment's silence is known. Deployments of one stack exclude each other."""
    return f"deployment of stack {stack}"


def _begin(alertmanager: Alertmanager, stack: str, for_s: float) -> bool:
    """Whether alerts are, or may be, silent."""
    try:
        silence = alertmanager.silence(stack, for_s, _comment(stack))
    except NoAnswer as error:
        say(f"warning: alerts may be silent for {for_s:g} s: {error.message}; {error.hint}")
        return True
    except RunbookError as error:
        say(f"warning: alerts are not silent: {error.message}; {error.hint}")
        return False
    say(f"alerts of stack {stack} are silent for {for_s:g} s")
    with suppress(RunbookError):  # it has just answered
        alertmanager.end(stack, _comment(stack), but=silence)
    return True


class _End:
    """Looks at the service when the time is over, and ends the main thread's work if it is down."""

    def __init__(self, for_s: float, down: Callable[[], str | None]) -> None:
        self.why: str | None = None
        self.is_over = False
        self._down = down
        self._timer = threading.Timer(for_s, self._look)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self.is_over = True
        self.why = self._down()
        if self.why is None:
            say("the silence is over and the service answers: the deployment goes on, alerts are sent again")
        else:
            os.kill(os.getpid(), signal.SIGINT)


def _end_early(alertmanager: Alertmanager, stack: str, down: Callable[[], str | None]) -> None:
    """Unless the service is down: then it has until the silence's own end to come back."""
    if (why := down()) is not None:
        say(f"the service is down ({why}): the silence stays until its end")
        return
    try:
        alertmanager.end(stack, _comment(stack))
    except RunbookError as error:
        say(f"warning: {error.message}; the silence ends by itself")
