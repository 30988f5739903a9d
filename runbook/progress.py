"""Pulumi's events as progress: one line for each resource that changes, and why it stopped where it did."""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Any, Self

from pulumi.automation import EngineEvent, OpType
from rich.markup import escape
from rich.status import Status

from runbook.console import err, say

_DONE = {
    OpType.CREATE: "created",
    OpType.UPDATE: "updated",
    OpType.DELETE: "deleted",
    OpType.DELETE_REPLACED: "deleted",
    OpType.CREATE_REPLACEMENT: "replaced",
}
_PLANNED = {
    OpType.CREATE: "would create",
    OpType.UPDATE: "would update",
    OpType.DELETE: "would delete",
    OpType.REPLACE: "would replace",
}
_COLOURS = re.compile(r"<\{%[^%]*%\}>")
_NOISE = re.compile(r"^(update failed|preview failed)$")


class Progress:
    """Listens to one operation. On a terminal a line at the bottom shows what is under way."""

    def __init__(self, *, planned: bool = False) -> None:
        self._words = _PLANNED if planned else _DONE
        self._planned = planned
        self._since: dict[str, float] = {}
        self._errors: list[str] = []
        self.changed = 0
        self.outputs: dict[str, Any] = {}
        """The stack's outputs; secret ones masked."""
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
            self._begin(event.resource_pre_event.metadata.op, event.resource_pre_event.metadata.urn)
        elif event.res_outputs_event:
            step = event.res_outputs_event.metadata
            self._end(step.op, step.urn)
            if step.type == "pulumi:pulumi:Stack" and step.new:
                self.outputs = dict(step.new.outputs or {})
        elif event.diagnostic_event and not event.diagnostic_event.ephemeral:
            self._diagnose(event.diagnostic_event.severity, event.diagnostic_event.message)

    @property
    def why(self) -> str:
        """What stopped the operation, in its own words, each thing once."""
        return "\n".join(dict.fromkeys(self._errors))

    def _begin(self, op: OpType, urn: str) -> None:
        if op not in self._words or _is_component(urn):
            return
        self._since[urn] = time.monotonic()
        if self._planned:
            self._count(f"{self._words[op]} {_name(urn)}")
        self._show_running()

    def _end(self, op: OpType, urn: str) -> None:
        since = self._since.pop(urn, None)
        if since is not None and op in self._words and not self._planned:
            self._count(f"{self._words[op]} {_name(urn)} ({time.monotonic() - since:.1f} s)")
        self._show_running()

    def _count(self, line: str) -> None:
        self.changed += 1
        say(f"  {line}")

    def _diagnose(self, severity: str, message: str) -> None:
        text = _COLOURS.sub("", message).strip()
        if not text or _NOISE.match(text):
            return
        if severity == "error":
            self._errors.append(_in_short(text))
        else:
            say(f"  {text}")

    def _show_running(self) -> None:
        if self._status:
            running = ", ".join(_name(urn) for urn in list(self._since)[-3:])
            self._status.update(escape(running))


def _is_component(urn: str) -> bool:
    kind = urn.split("::")[2].rpartition("$")[2]
    return kind.startswith(("runbook:infra:", "pulumi:pulumi:Stack", "pulumi:providers:"))


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _in_short(text: str) -> str:
    """Without the engine's frame around what a provider said: `creating urn:…: 1 error occurred: * …`."""
    text = re.sub(r"^(creating|updating|deleting|reading) urn:\S+ ", "", text)
    return re.sub(r"1 error occurred:\s*\* ", "", text).strip()
