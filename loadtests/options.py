"""What a run is told on the command line, in `targets.toml` and by the environment, checked as a whole."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import ValidationError

from contracts.targets import TARGETS_FILE, Load, TargetsError, read_targets
from contracts.webhook_secret import NAME, SecretError, read_webhook_secret
from loadtests.address import Address, AddressError
from loadtests.arrivals import Plan, PlanError

_OVERRIDES = {"rate_per_s": "--rate", "warmup_s": "--warmup", "duration_s": "--duration"}
_DISTRIBUTED = ("processes", "master", "worker")


_P = ParamSpec("_P")
_T = TypeVar("_T")


class UsageError(Exception):
    """The run cannot start as asked; the message names every problem, one a line."""


@dataclass(frozen=True)
class Options:
    """All that a run needs to know.

    Attributes:
        sent_list: where a list of all sent messages is had; None to read the gate's replies from the host.
        read_replies: False leaves the replies unchecked.
    """

    host: Address
    secret: str = field(repr=False)
    load: Load
    settle_s: float
    plan: Plan
    report: Path | None
    sent_list: Address | None
    read_replies: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this suite's arguments to Locust's, and make a headless run with little output the default."""
    group = parser.add_argument_group("Load gate (limits and defaults: [load] in targets.toml)")
    group.add_argument("--report", type=Path, metavar="FILE", help="write checks and verdict there as JSON")
    group.add_argument(
        "--targets", type=Path, metavar="FILE", default=TARGETS_FILE, help="default: %(default)s"
    )
    group.add_argument("--rate", dest="rate_per_s", type=_finite, metavar="N", help="webhooks per second")
    group.add_argument(
        "--warmup", dest="warmup_s", type=_finite, metavar="S", help="seconds not in percentiles"
    )
    group.add_argument("--duration", dest="duration_s", type=_finite, metavar="S", help="seconds measured")
    replies = group.add_mutually_exclusive_group()
    replies.add_argument(
        "--replies-url", metavar="URL", help="a list of sent messages (the sandbox's /waha/sent)"
    )
    replies.add_argument("--no-replies", action="store_true", help="send only; the report says so")
    parser.set_defaults(headless=True, only_summary=True, loglevel="WARNING")


def read_options(parsed: argparse.Namespace, env: Mapping[str, str]) -> Options:
    """Check everything a run depends on.

    Raises:
        UsageError: one line for each problem.
    """
    problems = _Problems(_not_for_this_suite(parsed))
    host = problems.collect("--host: ", Address.parse, parsed.host or "")
    sent_list = (
        problems.collect("--replies-url: ", Address.parse, parsed.replies_url) if parsed.replies_url else None
    )
    secret = problems.collect("", _secret, env)
    targets = problems.collect("", read_targets, parsed.targets)
    load = problems.collect("", _load, targets.load, parsed) if targets else None
    plan = (
        problems.collect("", Plan.steady, load.rate_per_s, load.warmup_s, load.duration_s) if load else None
    )
    if problems or not (host and secret and targets and load and plan):
        raise UsageError("\n".join(problems))
    return Options(
        host=host,
        secret=secret,
        load=load,
        settle_s=targets.smoke.settle_s,
        plan=plan,
        report=parsed.report,
        sent_list=sent_list,
        read_replies=not parsed.no_replies,
    )


class _Problems(list[str]):
    def collect(self, name: str, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """What *read* returns; None after noting, under *name*, why it could not."""
        try:
            return read(*args, **kwargs)
        except (AddressError, PlanError, SecretError, TargetsError, UsageError) as problem:
            self.append(f"{name}{problem}")
            return None


def _not_for_this_suite(parsed: argparse.Namespace) -> list[str]:
    """Options of Locust under which the plan would not be sent as planned, or not be judged."""
    problems: list[str] = []
    if any(getattr(parsed, name) for name in _DISTRIBUTED):
        problems.append("--processes, --master, --worker: the verdict needs the whole run in one process")
    if not parsed.headless:
        problems.append("--headful: the verdict is given at the end of a headless run")
    if parsed.num_users not in (None, 1):
        problems.append(f"--users: arrivals come at --rate, not from users, got {parsed.num_users}")
    return problems


def _secret(env: Mapping[str, str]) -> str:
    secret = read_webhook_secret(env)
    if secret is None:
        raise UsageError(f"{NAME}: is missing; set it, or {NAME}_FILE, to the target's secret")
    return secret


def _load(load: Load, parsed: argparse.Namespace) -> Load:
    given = {name: getattr(parsed, name) for name in _OVERRIDES if getattr(parsed, name) is not None}
    try:
        return Load.model_validate({**load.model_dump(), **given})
    except ValidationError as error:
        lines = [
            f"{_OVERRIDES[str(problem['loc'][0])]}: {problem['msg']}, got {problem['input']:g}"
            for problem in error.errors()
        ]
        raise UsageError("\n".join(lines)) from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"should be a number, got {text}")
    return value
