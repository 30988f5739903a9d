"""The whole run: one scenario after the other, and what they amount to."""

from __future__ import annotations

import time
from collections.abc import Sequence

from contracts.verdict import Check, Report, Verdict
from loadtests.campaign import Campaign, Generator
from loadtests.judge import judge
from loadtests.options import Options
from loadtests.order import Stream
from loadtests.reply_reader import GateReplies, Getter, Replies, SentList
from loadtests.scenarios import STEADY
from loadtests.series import ScenarioSeries, Series, series_of


class Gate:
    """Runs the scenarios of *options* with *generator*; its evidence is there at any time.

    *problem*: why nothing can be sent at all; then nothing is, and there is no evidence.
    """

    def __init__(self, options: Options, generator: Generator, problem: str | None = None) -> None:
        self._options, self._problem = options, problem
        self._began_s = time.monotonic()
        replies = _replies(options)
        self._campaigns = [Campaign(options, scenario, generator, replies) for scenario in options.scenarios]

    def run(self) -> None:
        """Carry out every scenario, also after one that failed: each is said for itself."""
        for campaign in self._campaigns:
            campaign.run()

    def report(self) -> Report:
        """The checks of all scenarios, and what follows from them so far."""
        suite = "load" if self._options.read_replies else "load, replies not checked"
        checks = [check for campaign in self._campaigns for check in self._checks(campaign)]
        return Report.of(suite, checks, round(time.monotonic() - self._began_s, 3))

    def series(self) -> Series:
        """The figures of each second of all scenarios that were begun."""
        found = [_series(campaign) for campaign in self._campaigns]
        return Series(scenarios=[series for series in found if series is not None])

    def _checks(self, campaign: Campaign) -> Sequence[Check]:
        scenario = campaign.scenario
        checks = judge(campaign.evidence(), scenario.load, self._options.compare)
        if self._problem is not None:
            told = {"verdict": Verdict.NO_EVIDENCE, "detail": self._problem}
            checks = [check.model_copy(update=told) for check in checks]
        if len(self._campaigns) == 1 or scenario.name == STEADY:
            return checks
        return [check.model_copy(update={"name": f"{scenario.name}: {check.name}"}) for check in checks]


def _series(campaign: Campaign) -> ScenarioSeries | None:
    if campaign.start_epoch_s is None:
        return None
    books = campaign.books
    return series_of(
        campaign.scenario.name,
        campaign.start_epoch_s,
        books[Stream.CANDIDATE],
        books.get(Stream.BASELINE),
    )


def _replies(options: Options) -> dict[Stream, Replies]:
    """Where the replies of each stream are kept: read from where they were left, scenario after scenario."""
    timeout_s = max(scenario.load.answer_timeout_s for scenario in options.scenarios)
    places = {Stream.CANDIDATE: options.host}
    if options.baseline is not None:
        places[Stream.BASELINE] = options.baseline
    replies: dict[Stream, Replies] = {}
    for stream, host in places.items():
        address = options.sent_list or host
        get = Getter(address, timeout_s=timeout_s)
        replies[stream] = SentList(get, address.path) if options.sent_list else GateReplies(get, address.path)
    return replies
