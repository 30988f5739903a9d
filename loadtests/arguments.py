"""The command line: this suite's arguments, beside Locust's own."""

from __future__ import annotations

import argparse
import math

from contracts.targets import TARGETS_FILE
from loadtests.scenarios import SCENARIOS_FILE

WORKERS_WAIT_S = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this suite's arguments to Locust's, and make a headless run with little output the default."""
    # Every value is one that Locust's master can send to its workers: text, numbers and lists of them.
    group = parser.add_argument_group("Load gate (limits and defaults: [load] in targets.toml)")
    group.add_argument(
        "--scenario",
        dest="scenario_names",
        action="append",
        metavar="NAME",
        help="what to run, again for the next, or several with commas between; default: steady",
    )
    group.add_argument("--list-scenarios", action="store_true", help="name all scenarios and end")
    group.add_argument(
        "--baseline", metavar="URL", help="the live release: steady drives both by turns and compares them"
    )
    _add_shape(group)
    _add_files(group)
    replies = group.add_mutually_exclusive_group()
    replies.add_argument(
        "--replies-url", metavar="URL", help="a list of sent messages (the sandbox's /waha/sent)"
    )
    replies.add_argument("--no-replies", action="store_true", help="send only; the report says so")
    parser.set_defaults(
        headless=True, only_summary=True, loglevel="WARNING", expect_workers_max_wait=WORKERS_WAIT_S
    )


def _add_shape(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rate", dest="rate_per_s", type=_finite, metavar="N", help="webhooks per second")
    group.add_argument(
        "--warmup", dest="warmup_s", type=_finite, metavar="S", help="seconds not in percentiles"
    )
    group.add_argument(
        "--duration",
        dest="duration_s",
        type=_finite,
        metavar="S",
        help="seconds measured; these three shape the scenarios that have no phases of their own",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--report", action="append", metavar="FILE", help="write checks and verdict there as JSON"
    )
    group.add_argument("--series", metavar="FILE", help="write the figures of each second there as JSON")
    group.add_argument("--targets", metavar="FILE", default=str(TARGETS_FILE), help="default: %(default)s")
    group.add_argument(
        "--scenarios-file", metavar="FILE", default=str(SCENARIOS_FILE), help="default: %(default)s"
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"should be a number, got {text}")
    return value
