"""The load gate as Locust runs it.

    WAHA_WEBHOOK_SECRET=… locust -f loadtests/locustfile.py --host URL [--scenario NAME]… [--baseline URL]
        [--report FILE] [--series FILE] [--rate N] [--warmup S] [--duration S] [--processes N]
        [--replies-url URL | --no-replies] [--targets FILE] [--scenarios-file FILE] [--list-scenarios]

Headless by default. One line for each check on stdout; exit 0 pass, 1 fail, 3 no evidence, 2 usage. Locust's
own options that leave the plan alone (`--html`, `--csv`, `--json-file`, `--loglevel`) work as ever, and so do
`--processes`, or `--master` with `--expect-workers` and `--worker`.

`import locust` patches the process (gevent): start this as a process of its own, never import it.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import gevent
import locust.stats
import psutil  # type: ignore[import-untyped]
from gevent.event import Event
from locust import User, events, task
from locust.env import Environment
from locust.exception import CatchResponseError, StopUser
from locust.runners import MasterRunner, Runner, WorkerRunner

from contracts.verdict import Verdict
from contracts.webhook import WEBHOOK_PATH
from contracts.webhook_secret import SecretError
from loadtests import result_file
from loadtests.arguments import add_arguments
from loadtests.book import NEVER, Outcome
from loadtests.campaign import Generator
from loadtests.crew import Crew, await_workers
from loadtests.gate import Gate
from loadtests.options import (
    Options,
    UsageError,
    read_baseline_secret,
    read_options,
    read_secret,
    scenarios_listed,
)
from loadtests.order import Order, Stream
from loadtests.scenarios import STEADY
from loadtests.senders import HEALTH_PATH, senders_of
from loadtests.sending import Settle
from loadtests.this_process import ThisProcess
from loadtests.worker import Worker

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.NO_EVIDENCE: 3}
USAGE_EXIT_CODE = 2
_NEVER = Event()


class Waha(User):
    """WAHA, the sender, as Locust must have one: arrivals come at their times, and not from users."""

    fixed_count = 1

    @task
    def wait(self) -> None:
        """Until Locust ends."""
        _NEVER.wait()
        raise StopUser


def start(environment: Environment, runner: Runner, **_: Any) -> None:
    """Check the options and make the run ready; on a wrong one say so and exit."""
    assert environment.parsed_options is not None
    try:
        if environment.parsed_options.list_scenarios:
            print("\n".join(scenarios_listed(environment.parsed_options)))
            sys.exit(0)
        if isinstance(runner, WorkerRunner):
            _work(environment, runner, read_secret(os.environ), read_baseline_secret(os.environ))
        else:
            _lead(environment, runner, read_options(environment.parsed_options, os.environ))
    except (SecretError, UsageError) as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    for worker in psutil.Process().children():  # `--processes` made them before the options were read
        worker.terminate()
    sys.exit(USAGE_EXIT_CODE)


def _work(environment: Environment, runner: WorkerRunner, secret: str, baseline_secret: str | None) -> None:
    """Be one of several processes that send; the verdict is the master's."""
    environment.process_exit_code = 0
    senders = partial(senders_of, secret=secret, baseline_secret=baseline_secret)
    Worker(runner, senders, partial(_into_statistics, environment))


def _lead(environment: Environment, runner: Runner, options: Options) -> None:
    """Make ready what begins with the test, and what gives the verdict when Locust quits."""
    for option, file in _files(options):
        result_file.prepare(option, file)
    # Until there is a verdict, every way to end is one without evidence.
    environment.process_exit_code = EXIT_CODES[Verdict.NO_EVIDENCE]
    generator, problem = _generator(environment, runner, options)
    gate = Gate(options, generator, problem)
    if problem is not None:
        lines, code = _verdict(options, gate)
        print("\n".join(lines), flush=True)
        runner.quit()
        sys.exit(code)
    _judge_at_the_end(environment, options, gate)
    hooks: Any = environment.events  # Locust leaves its event hooks untyped
    hooks.test_start.add_listener(lambda **_: gevent.spawn(_run, runner, gate))


def _generator(environment: Environment, runner: Runner, options: Options) -> tuple[Generator, str | None]:
    """What sends: this process, or the workers of this master; and why it cannot, if too few of them came."""
    if not isinstance(runner, MasterRunner):
        senders = partial(senders_of, secret=options.secret, baseline_secret=options.baseline_secret)
        return ThisProcess(senders, partial(_into_statistics, environment)), None
    parsed: Any = environment.parsed_options
    expected, within_s = parsed.expect_workers, parsed.expect_workers_max_wait
    try:
        came = await_workers(runner, expected, within_s)
    except KeyboardInterrupt:
        came = False
    crew = Crew(runner, expected)
    return crew, None if came else f"{crew.count} of {expected} workers came within {within_s:g} s"


def _run(runner: Runner, gate: Gate) -> None:
    """Carry out the run, then end Locust, whatever happens."""
    try:
        gate.run()
    finally:
        runner.quit()


def _judge_at_the_end(environment: Environment, options: Options, gate: Gate) -> None:
    """Give the verdict when Locust quits, interrupted or not; print it below Locust's own tables."""
    lines: list[str] = []

    def give_verdict(**_: Any) -> None:
        if lines:
            return  # Locust may begin to quit a second time, when workers have gone already
        told, environment.process_exit_code = _verdict(options, gate)
        lines.extend(told)

    def print_verdict(**_: Any) -> None:
        print("\n".join(lines), flush=True)

    hooks: Any = environment.events  # Locust leaves its event hooks untyped
    hooks.quitting.add_listener(give_verdict)
    hooks.quit.add_listener(print_verdict)


def _verdict(options: Options, gate: Gate) -> tuple[list[str], int]:
    """Write the files that were asked for; a line for each check, and the exit code."""
    report = gate.report()
    lines = [*map(str, report.checks), f"{report.suite}: {report.verdict}"]
    try:
        if options.series is not None:
            result_file.write("--series", options.series, gate.series())
        for file in options.reports:
            result_file.write("--report", file, report)
    except UsageError as error:
        return [*lines, f"error: {error}"], EXIT_CODES[Verdict.NO_EVIDENCE]
    return lines, EXIT_CODES[report.verdict]


def _files(options: Options) -> list[tuple[str, Path]]:
    """Each file that is to be written, with the option that names it."""
    series = [("--series", options.series)] if options.series is not None else []
    return [*series, *(("--report", file) for file in options.reports)]


def _into_statistics(environment: Environment, order: Order) -> Settle:
    """A listener that fills Locust's own statistics, so that its tables and charts show the same times."""
    hooks: Any = environment.events  # Locust leaves its event hooks untyped

    def settled(stream: Stream, _index: int, outcome: Outcome) -> None:
        is_probe = stream is Stream.HEALTH
        hooks.request.fire(
            request_type="GET" if is_probe else "POST",
            name=(HEALTH_PATH if is_probe else WEBHOOK_PATH) + _beside(order, stream),
            response_time=outcome.after_s * 1000 if outcome.after_s != NEVER else 0,
            response_length=0,
            exception=None if outcome.reason is None else CatchResponseError(outcome.reason),
            context={},
        )

    return settled


def _beside(order: Order, stream: Stream) -> str:
    """What tells one scenario's, and the live release's, lines in the tables from the others."""
    names = [] if order.scenario.name == STEADY else [order.scenario.name]
    names += ["live"] if stream is Stream.BASELINE else []
    return f" ({', '.join(names)})" if names else ""


def _exact(response_time: float) -> int:
    """Locust's own statistics to the millisecond, instead of two significant digits."""
    return round(response_time)


locust.stats.bucket_response_time = _exact
_hooks: Any = events
_hooks.init_command_line_parser.add_listener(lambda parser, **_: add_arguments(parser))
_hooks.init.add_listener(start)
