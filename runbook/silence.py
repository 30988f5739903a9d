"""Alerts are silent while a stack is deployed, for a set time. The service must not be down when that ends.

The silence lies in Alertmanager with its end: it ends by itself, whatever becomes of the deployment.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from runbook.console import say
from runbook.errors import RunbookError
from runbook.monitoring_api import Alertmanager, NoAnswer


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
