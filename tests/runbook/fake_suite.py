"""A suite's run without a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from records import GATE

from infra.suite_run import Found


@dataclass
class Smoke:
    """Stands for the run of a suite: `refusal` is what it finds; `ran` each command, `env` its last one's.

    `meanwhile` is what others do while it runs.
    """

    refusal: list[str] = field(default_factory=list)
    ran: list[list[str]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    candidate: str | None = None
    meanwhile: Callable[[], object] = lambda: None

    def __call__(
        self,
        _suite: str,
        release: str,
        command: Sequence[str],
        _report: Path,
        env: Mapping[str, str],
        _within_s: float,
        prepare: Callable[[], object],
    ) -> Found:
        prepare()
        self.meanwhile()
        self.ran.append([*command])
        self.env, self.candidate = dict(env), release
        return Found(None if self.refusal else GATE[0], self.refusal)
