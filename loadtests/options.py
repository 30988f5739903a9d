"""What a run is told on the command line, in its files and by the environment, checked as a whole."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import ValidationError

from contracts.targets import Compare, Load, Targets, TargetsError, read_targets
from contracts.webhook_secret import BASELINE_NAME, NAME, SecretError, read_webhook_secret
from loadtests.address import Address, AddressError
from loadtests.arrivals import PlanError
from loadtests.order import plans_of
from loadtests.scenarios import STEADY, Scenario, ScenarioError, read_scenarios

_SHAPE = {"rate_per_s": "--rate", "warmup_s": "--warmup", "duration_s": "--duration"}

_P = ParamSpec("_P")
_T = TypeVar("_T")


class UsageError(Exception):
    """The run cannot start as asked; the message names every problem, one a line."""


@dataclass(frozen=True)
class Options:
    """All that a run needs to know.

    Attributes:
        host: the candidate's address; `baseline` the live release's, where the two are to be compared.
        baseline_secret: the live release's own; None where its webhooks are signed with the candidate's.
        scenarios: what to run, one after the other.
        settle_s: how long a second reply to the same message is waited for.
        reports: where the report is written to; `series` where the figures over time are.
        sent_list: where a list of all sent messages is had; None to read the gate's replies from the host.
        read_replies: False leaves the replies unchecked.
    """

    host: Address
    baseline: Address | None
    secret: str = field(repr=False)
    baseline_secret: str | None = field(repr=False)
    scenarios: Sequence[Scenario]
    compare: Compare
    settle_s: float
    health_answer_s: float
    reports: Sequence[Path]
    series: Path | None
    sent_list: Address | None
    read_replies: bool


def read_options(parsed: argparse.Namespace, env: Mapping[str, str]) -> Options:
    """Check everything a run depends on.

    Raises:
        UsageError: one line for each problem.
    """
    problems = _Problems(_not_for_this_suite(parsed))
    host = problems.collect("--host: ", Address.parse, parsed.host or "")
    baseline = problems.collect("--baseline: ", Address.parse, parsed.baseline) if parsed.baseline else None
    sent_list = (
        problems.collect("--replies-url: ", Address.parse, parsed.replies_url) if parsed.replies_url else None
    )
    secret = problems.collect("", read_secret, env)
    baseline_secret = problems.collect("", read_baseline_secret, env)
    targets = problems.collect("", read_targets, Path(parsed.targets))
    scenarios = problems.collect("", _chosen, targets, parsed) if targets else None
    if problems or not (host and secret and targets and scenarios):
        raise UsageError("\n".join(problems))
    return Options(
        host=host,
        baseline=baseline,
        secret=secret,
        baseline_secret=baseline_secret,
        scenarios=scenarios,
        compare=targets.compare,
        settle_s=targets.smoke.settle_s,
        health_answer_s=targets.health.answer_s,
        reports=[Path(file) for file in parsed.report or []],
        series=Path(parsed.series) if parsed.series else None,
        sent_list=sent_list,
        read_replies=not parsed.no_replies,
    )


def read_secret(env: Mapping[str, str]) -> str:
    """The secret to sign with.

    Raises:
        SecretError: it cannot be read.
        UsageError: there is none.
    """
    secret = read_webhook_secret(env)
    if secret is None:
        raise UsageError(f"{NAME}: is missing; set it, or {NAME}_FILE, to the target's secret")
    return secret


def read_baseline_secret(env: Mapping[str, str]) -> str | None:
    """The live release's secret, where it is given; raises as `read_webhook_secret` does."""
    return read_webhook_secret(env, BASELINE_NAME)


def scenarios_listed(parsed: argparse.Namespace) -> list[str]:
    """A line for each scenario there is: its name and what it is about.

    Raises:
        UsageError: their files cannot be read.
    """
    problems = _Problems()
    targets = problems.collect("", read_targets, Path(parsed.targets))
    known = (
        problems.collect("", read_scenarios, Path(parsed.scenarios_file), targets.load, {})
        if targets
        else None
    )
    if known is None:
        raise UsageError("\n".join(problems))
    return [f"{name:<12}{scenario.about}" for name, scenario in known.items()]


class _Problems(list[str]):
    def collect(self, name: str, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """What *read* returns; None after noting, under *name*, why it could not."""
        try:
            return read(*args, **kwargs)
        except (AddressError, PlanError, ScenarioError, SecretError, TargetsError, UsageError) as problem:
            self.append(f"{name}{problem}")
            return None


def _not_for_this_suite(parsed: argparse.Namespace) -> list[str]:
    """Options under which the plan would not be sent as planned, or not be judged."""
    problems: list[str] = []
    if not parsed.headless:
        problems.append("--headful: the verdict is given at the end of a headless run")
    if parsed.num_users not in (None, 1):
        problems.append(f"--users: arrivals come at --rate, not from users, got {parsed.num_users}")
    return problems


def _chosen(targets: Targets, parsed: argparse.Namespace) -> list[Scenario]:
    """The scenarios that were asked for, each of which can be planned."""
    given = _given(targets.load, parsed)
    known = read_scenarios(Path(parsed.scenarios_file), targets.load, given)
    names = _names(parsed)
    problems = [
        f"--scenario: should be among {', '.join(known)}, got {name!r}" for name in names if name not in known
    ]
    if len(set(names)) < len(names):
        problems.append(f"--scenario: each can be run once, got {', '.join(names)}")
    if parsed.baseline and STEADY not in names:
        problems.append(f"--baseline: the comparison is made in scenario {STEADY}, got {', '.join(names)}")
    chosen = [known[name] for name in names if name in known]
    if given and chosen and not any(scenario.even for scenario in chosen):
        options = ", ".join(_SHAPE[key] for key in given)
        problems.append(
            f"{options}: {', '.join(names)} has phases of its own, in {Path(parsed.scenarios_file).name}"
        )
    if problems:
        raise UsageError("\n".join(problems))
    for scenario in chosen:
        plans_of(scenario, compared=False)
    return chosen


def _names(parsed: argparse.Namespace) -> list[str]:
    given = ",".join(parsed.scenario_names or [STEADY])
    return [name.strip() for name in given.split(",")]


def _given(load: Load, parsed: argparse.Namespace) -> dict[str, float]:
    """What the command line says of the even scenarios' shape."""
    given = {name: getattr(parsed, name) for name in _SHAPE if getattr(parsed, name) is not None}
    try:
        Load.model_validate({**load.model_dump(), **given})
    except ValidationError as error:
        lines = [
            f"{_SHAPE[str(problem['loc'][0])]}: {problem['msg']}, got {problem['input']:g}"
            for problem in error.errors()
        ]
        raise UsageError("\n".join(lines)) from error
    return given
