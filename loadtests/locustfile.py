"""The load gate as Locust runs it.

    WAHA_WEBHOOK_SECRET=… locust -f loadtests/locustfile.py --host URL [--report FILE] [--targets FILE]
        [--rate N] [--warmup S] [--duration S] [--replies-url URL | --no-replies]

Headless by default. One line for each check on stdout; exit 0 pass, 1 fail, 3 no evidence, 2 usage. Locust's
own options that leave the plan alone (`--html`, `--csv`, `--json-file`, `--loglevel`) work as ever.

`import locust` patches the process (gevent): start this as a process of its own, never import it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, ClassVar

import gevent
import locust.stats
from locust import User, events, task
from locust.env import Environment
from locust.exception import CatchResponseError, StopUser

from contracts.verdict import Report, Verdict
from contracts.webhook import WEBHOOK_PATH
from loadtests import report_file
from loadtests.campaign import Campaign, Settled
from loadtests.judge import judge
from loadtests.options import Options, UsageError, add_arguments, read_options
from loadtests.reply_reader import GateReplies, Getter, SentList
from loadtests.webhooks import Webhooks

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.NO_EVIDENCE: 3}
USAGE_EXIT_CODE = 2


class Waha(User):
    """WAHA, the sender: a single one however fast, since arrivals come at their times and not from users."""

    fixed_count = 1
    campaign: ClassVar[Campaign]

    @task
    def send(self) -> None:
        """Carry out the campaign, then end Locust: whatever happens, there is one run only."""
        try:
            self.campaign.run()
        finally:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser


def start(environment: Environment, **_: Any) -> None:
    """Check the options and make the run ready; on a wrong one say so and exit."""
    assert environment.parsed_options is not None
    try:
        options = read_options(environment.parsed_options, os.environ)
        if options.report is not None:
            report_file.prepare(options.report)
    except UsageError as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        sys.exit(USAGE_EXIT_CODE)
    # Until there is a verdict, every way to end is one without evidence.
    environment.process_exit_code = EXIT_CODES[Verdict.NO_EVIDENCE]
    Waha.campaign = _campaign(options, _into_statistics(environment))
    _judge_at_the_end(environment, options, time.monotonic())


def _campaign(options: Options, on_settled: Settled) -> Campaign:
    timeout_s = options.load.answer_timeout_s
    webhooks = Webhooks(options.host, options.secret, at_once=options.plan.total, timeout_s=timeout_s)
    address = options.sent_list or options.host
    get = Getter(address, timeout_s=timeout_s)
    replies = SentList(get, address.path) if options.sent_list else GateReplies(get, address.path)
    return Campaign(options, webhooks, replies, on_settled)


def _into_statistics(environment: Environment) -> Settled:
    """A listener that fills Locust's own statistics, so that its tables and charts show the same times."""
    hooks: Any = environment.events  # Locust leaves its event hooks untyped

    def settled(response_time_ms: float, reason: str | None) -> None:
        hooks.request.fire(
            request_type="POST",
            name=WEBHOOK_PATH,
            response_time=response_time_ms,
            response_length=0,
            exception=None if reason is None else CatchResponseError(reason),
            context={},
        )

    return settled


def _judge_at_the_end(environment: Environment, options: Options, start_s: float) -> None:
    """Give the verdict when Locust quits, interrupted or not; print it below Locust's own tables."""
    lines: list[str] = []

    def give_verdict(**_: Any) -> None:
        checks = judge(Waha.campaign.evidence(), options.load)
        suite = "load" if options.read_replies else "load, replies not checked"
        report = Report.of(suite, checks, round(time.monotonic() - start_s, 3))
        lines.extend([*map(str, checks), f"{suite}: {report.verdict}"])
        try:
            if options.report is not None:
                report_file.write(options.report, report)
        except UsageError as error:
            lines.append(f"error: {error}")
            return
        environment.process_exit_code = EXIT_CODES[report.verdict]

    def print_verdict(**_: Any) -> None:
        print("\n".join(lines), flush=True)

    hooks: Any = environment.events  # Locust leaves its event hooks untyped
    hooks.quitting.add_listener(give_verdict)
    hooks.quit.add_listener(print_verdict)


def _exact(response_time: float) -> int:
    """Locust's own statistics to the millisecond, instead of two significant digits."""
    return round(response_time)


locust.stats.bucket_response_time = _exact
_hooks: Any = events
_hooks.init_command_line_parser.add_listener(lambda parser, **_: add_arguments(parser))
_hooks.init.add_listener(start)
