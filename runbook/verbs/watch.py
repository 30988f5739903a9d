"""`watch`: goes on judging the release that is live, and brings back the one before if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from contracts.targets import read_targets
from contracts.verdict import Check, Verdict
from contracts.webhook_secret import NAME as WEBHOOK_SECRET
from infra.errors import Refused
from infra.observed import observe_stack
from runbook.console import err, say
from runbook.errors import RunbookError
from runbook.monitor import MIN_WRONG, REFUSED_WEBHOOKS, Limits, Monitor, Observation
from runbook.monitor import watch as watch_release
from runbook.options import DEFAULT_STACK, Stack
from runbook.release_probe import ReleaseProbe
from runbook.restore import Restore
from runbook.stack_view import read_history
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.pulumi_cli import find_cli
from runbook.verbs.rollback import RestoreInterrupted, restore
from runbook.watch_note import note_watched
from runbook.workspace import open_workspace

Minutes = Annotated[
    float | None, typer.Option("--minutes", min=0.1, help="For how long, instead of targets.toml's.")
]


def watch(minutes: Minutes = None, stack: Stack = DEFAULT_STACK) -> None:
    """Watch the live release, and roll back by itself.

    Errors and times of its answers, its containers, its queue, what WAHA makes of its replies. Ctrl-C ends
    the watch; the release stays.
    """
    ensure_engine(say)
    _tell_disagreement(stack)
    watch_live(stack, 60 * minutes if minutes else read_targets().watch.after_hotfix_s)


def _tell_disagreement(stack: str) -> None:
    """Say where the state has another release: to watch, neither it nor the CLI that reads it is needed."""
    if find_cli(say):
        with suppress(Refused):
            read_history(open_workspace(stack))


def watch_live(stack: str, for_s: float) -> None:
    """Watch what the proxy of *stack* serves for so many seconds.

    Raises:
        RunbookError: it failed; says by what, and what is live now. Or the proxy told too little of it.
    """
    live = observe_stack(stack).live
    if live is None:
        raise RunbookError(f"no release of stack {stack} is live yet", f"`bin/runbook up --stack {stack}`")
    targets, probe = read_targets(), ReleaseProbe(stack)
    limits = Limits(targets.watch, targets.rollout, *probe.usual(live.release))
    monitor = Monitor(live.release, limits)
    say(f"watching {live.release} for {for_s:g} s; Ctrl-C ends that and changes nothing")
    try:
        failing = watch_release(monitor, probe.observe, for_s)
    except KeyboardInterrupt:
        say(f"not watched any longer: {live.release} stays live")
        return
    if failing is None:
        say(f"{live.release} is not live any longer: the watch ends")
    elif failing:
        take_out(stack, live.release, failing)
    else:
        checks = monitor.judge()
        for check in checks:
            say(f"  {check}")
        _refuse_untold(stack, live.release, monitor.observations)
        if any(map(_is_doubtful, checks)):
            say(
                f"warning: webhooks were refused, and none was taken: does WAHA sign with {live.release}'s "
                f"{WEBHOOK_SECRET}? Nothing else was wrong for {for_s:g} s"
            )
            return
        say(f"{live.release} has done well for {for_s:g} s")
        if for_s >= targets.watch.after_up_s:
            note_watched(stack, live)


def _refuse_untold(stack: str, release: str, observations: Sequence[Observation]) -> None:
    """See that the proxy told enough of *release* for praise.

    Raises:
        RunbookError: it cannot be asked now, or could not at more than half of the looks.
    """
    cannot_be_said = f"how {release} does cannot be said: the proxy of stack {stack}"
    if observations[-1].counters is None:
        raise RunbookError(
            f"{cannot_be_said} cannot be asked",
            f"nobody is served then; `bin/runbook up --stack {stack}` puts that right",
        )
    looks, untold = len(observations), sum(each.counters is None for each in observations)
    if 2 * untold > looks:
        raise RunbookError(
            f"{cannot_be_said} told nothing at {untold} of {looks} looks",
            f"it tells now; `bin/runbook watch --stack {stack}` watches it again",
        )


def _is_doubtful(check: Check) -> bool:
    """Whether webhooks were refused that may have been WAHA's, or a stranger's: too few came to tell."""
    refused = check.name == REFUSED_WEBHOOKS and check.samples >= MIN_WRONG
    return refused and check.verdict is Verdict.NO_EVIDENCE


def take_out(stack: str, release: str, failing: list[Check]) -> None:
    """Bring back the last good release instead of *release*.

    Raises:
        RunbookError: always; the release that was watched has failed.
    """
    reason = "; ".join(map(str, failing))
    err.print(f"{release} fails: {reason}", style="bold red", markup=False)
    try:
        restored = restore(Restore(stack, None, "watch", reason, instead_of=release))
    except RestoreInterrupted:
        raise
    except Refused as error:
        raise RunbookError(
            f"release {release} fails ({reason}), and was not taken out: {error.message}", error.hint
        ) from error
    raise RunbookError(
        f"release {release} failed and was taken out of traffic: {reason}",
        f"{restored} is live again; mend the cause and run `bin/runbook up --stack {stack}`",
    )
