"""Pulumi's events as progress: one line for each resource that changes, and why it stopped where it did."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pulumi.automation import EngineEvent, OpType, StepEventMetadata
from rich.markup import escape
from rich.status import Status

from infra.errors import split_hint
from infra.observed import RELEASE_LABEL
from runbook.console import err, say

_DONE = {
    OpType.CREATE: "created",
    OpType.UPDATE: "updated",
    OpType.DELETE: "deleted",
    OpType.CREATE_REPLACEMENT: "replaced",  # the deletion that belongs to it is not told beside it
}
_PLANNED = {
    OpType.CREATE: "would create",
    OpType.UPDATE: "would update",
    OpType.DELETE: "would delete",
    OpType.REPLACE: "would replace",
}
_LEAVES = {OpType.SAME, OpType.CREATE, OpType.UPDATE, OpType.CREATE_REPLACEMENT, OpType.REFRESH}
"""The steps after which the resource that they tell of is there; others tell of one that goes."""

_COLOURS = re.compile(r"<\{%[^%]*%\}>")
_NOISE = re.compile(r"(update|preview|refresh|destroy) failed")
_FRAME = re.compile(r"^(creating|updating|deleting|reading|replacing) urn:\S+ ")
_COUNTED = re.compile(r"^1 error occurred:\s*\* ")
_TRACEBACK = "Traceback (most recent call last):"
_PLACE = re.compile(r'^ *File "(?P<file>.+)", line (?P<line>\d+)', re.MULTILINE)


class Progress:
    """Listens to one operation. On a terminal a line at the bottom shows what is under way."""

    def __init__(self, *, planned: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._words = _PLANNED if planned else _DONE
        self._planned = planned
        self._clock = clock
        self._since: dict[str, float] = {}
        self._errors: list[str] = []
        self.changed: list[str] = []
        """The names of the resources that changed, or would."""
        self.outputs: dict[str, Any] = {}
        """The stack's outputs; secret ones masked."""
        self.must_run: dict[str, str] = {}
        """By id, the release of each container that should be running now; empty for what all share."""
        self._status = Status("", console=err) if err.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._end(event.res_outputs_event.metadata)
        elif event.res_op_failed_event:
            self._since.pop(event.res_op_failed_event.metadata.urn, None)
            self._show_running()
        elif event.diagnostic_event and not event.diagnostic_event.ephemeral:
            self._diagnose(event.diagnostic_event.severity, event.diagnostic_event.message)

    @property
    def why(self) -> str:
        """What stopped the operation, in its own words, each thing once."""
        return "\n".join(dict.fromkeys(split_hint(error)[0] for error in self._errors))

    @property
    def hint(self) -> str:
        """What to do about it; empty where whoever stopped it did not say."""
        return "; ".join(dict.fromkeys(hint for error in self._errors if (hint := split_hint(error)[1])))

    def _word(self, step: StepEventMetadata) -> str:
        """What is told of *step*; a volume with data is only forgotten, and found again by its name."""
        if step.op is OpType.DELETE and step.old and step.old.retain_on_delete:
            return "would keep" if self._planned else "kept"
        return self._words[step.op]

    def _begin(self, step: StepEventMetadata) -> None:
        urn = step.urn
        if step.op not in self._words or _is_component(urn):
            return
        if step.op == OpType.DELETE and _type(urn) == "docker:index/remoteImage:RemoteImage":
            return  # only the state forgets it: the engine keeps each image (`keep_locally`)
        if self._planned:
            self._tell(urn, f"{self._word(step)} {_name(urn)}")
        else:
            self._since[urn] = self._clock()
            self._show_running()

    def _end(self, step: StepEventMetadata) -> None:
        since = self._since.pop(step.urn, None)
        if since is not None and step.op in self._words:
            self._tell(step.urn, f"{self._word(step)} {_name(step.urn)} ({self._clock() - since:.1f} s)")
        if step.type == "pulumi:pulumi:Stack" and step.new:
            self.outputs = dict(step.new.outputs or {})
        if _leaves_running(step) and step.new:
            self.must_run[step.new.id] = _release(step.new.inputs or {})
        self._show_running()

    def _tell(self, urn: str, line: str) -> None:
        self.changed.append(_name(urn))
        say(f"  {line}")

    def _diagnose(self, severity: str, message: str) -> None:
        text = _COLOURS.sub("", message).strip()
        if not text or severity == "debug" or _NOISE.fullmatch(text):
            return
        if severity == "error":
            self._errors.append(_in_short(text))
        else:
            say(f"  warning: {text}" if severity == "warning" else f"  {text}")

    def _show_running(self) -> None:
        if self._status:
            running = ", ".join(_name(urn) for urn in list(self._since)[-3:])
            self._status.update(escape(running))


def _release(inputs: Mapping[str, Any]) -> str:
    labels = inputs.get("labels") or []
    return next((str(each.get("value")) for each in labels if each.get("label") == RELEASE_LABEL), "")


def _leaves_running(step: StepEventMetadata) -> bool:
    """Whether after *step* a container runs; seeds do not, they are only there to put files into volumes."""
    if step.type != "docker:index/container:Container" or step.op not in _LEAVES or step.new is None:
        return False
    return bool((step.new.inputs or {}).get("mustRun", True))


def _is_component(urn: str) -> bool:
    return _type(urn).startswith(("runbook:infra:", "pulumi:pulumi:Stack", "pulumi:providers:"))


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _in_short(text: str) -> str:
    """Without the engine's frame around what a provider said: `creating urn:…: 1 error occurred: * …`."""
    text = _COUNTED.sub("", _FRAME.sub("", text))
    before, traceback, stack = text.partition(_TRACEBACK)
    return f"{before}{_end_of(stack)}".strip() if traceback else text.strip()


def _end_of(stack: str) -> str:
    """What a traceback ends in, and where: the rest is for whoever runs `bin/pulumi up`."""
    lines = [line for line in stack.splitlines() if line.strip()]
    places = list(_PLACE.finditer(stack))
    where = f" ({places[-1]['file']}, line {places[-1]['line']})" if places else ""
    return f"{lines[-1].strip()}{where}" if lines else ""
