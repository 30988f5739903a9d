from collections.abc import Callable, Iterator, Mapping
from itertools import cycle

import pytest
from load_targets import load_limits

from contracts.targets import read_targets
from loadtests.address import Address
from loadtests.campaign import Campaign
from loadtests.evidence import Ending
from loadtests.options import Options
from loadtests.order import Order, Stream
from loadtests.reply_pages import Reply
from loadtests.scenarios import Phase, Scenario
from loadtests.senders import Send
from loadtests.sending import Settle
from loadtests.this_process import ThisProcess
from loadtests.webhooks import NotSentError, WrongAnswerError

PATIENT = {"late_ms": 60_000, "webhook_p95_ms": 60_000, "slowest_ms": 60_000, "answer_timeout_s": 30}
"""Whatever stands still meanwhile, no run is given up for it."""


class NoReplies:
    """A place without replies."""

    def new(self) -> Iterator[Reply]:
        """None."""
        return iter(())


def breaks_at(number: int, error: Exception) -> Send:
    """A sender that breaks with *error* on one webhook."""

    def send(index: int, _within_s: float) -> None:
        if index == number:
            raise error

    return send


def unheard(_order: Order) -> Settle:
    """A listener that does nothing."""
    return lambda _stream, _index, _outcome: None


def run_with(
    send: Send, health: Send | None = None, scenario: Scenario | None = None, baseline: Address | None = None
) -> Campaign:
    """A campaign of ten webhooks, or another *scenario*, run to its end."""
    even = Scenario(
        name="steady",
        about="",
        phases=[Phase(seconds=0.1, rate_per_s=100)],
        load=load_limits(error_rate=0.5, min_achieved=0.5, warmup_s=0, rate_per_s=100, **PATIENT),
        even=True,
    )
    chosen = scenario or even
    options = Options(
        host=Address(False, "127.0.0.1", 80, ""),
        baseline=baseline,
        secret="secret",
        baseline_secret=None,
        scenarios=[chosen],
        compare=read_targets().compare,
        settle_s=0,
        health_answer_s=30,
        reports=[],
        series=None,
        sent_list=None,
        read_replies=False,
    )
    senders: Callable[[Order], Mapping[Stream, Send]] = lambda order: {  # noqa: E731
        stream: health if stream is Stream.HEALTH and health else send for stream in order.plans()
    }
    generator = ThisProcess(senders, unheard)
    campaign = Campaign(options, chosen, generator, dict.fromkeys(Stream, NoReplies()))
    campaign.run()
    return campaign


def test_webhook_without_an_outcome_is_an_error() -> None:
    """A webhook that got lost inside the generator itself still counts, as an error."""
    evidence = run_with(breaks_at(2, KeyError("a mistake of our own"))).evidence()
    assert evidence.ending is Ending.COMPLETE
    assert (evidence.book.settled, evidence.book.failed_total) == (10, 1)


def test_limits_of_the_generator_count_as_unsent() -> None:
    """Where this machine could not send, the webhook is an error, and was not sent on time."""
    book = run_with(breaks_at(2, NotSentError("generator: Too many open files"))).evidence().book
    assert (book.failed_total, book.late) == (1, 1)
    assert book.failures == {"generator: Too many open files": 1}


def test_baseline_gets_as_many_by_turns() -> None:
    """The live release gets as many webhooks as the candidate, each half a period after one of those."""
    sent: list[tuple[int, float]] = []
    campaign = run_with(lambda index, _: sent.append((index, 0)), baseline=Address(False, "::1", 80, ""))
    live = campaign.evidence().live
    assert live is not None
    assert [index for index, _ in sent] == [index for index in range(10) for _ in range(2)]
    plans = campaign.evidence().book.plan, live.book.plan
    assert list(plans[1].due_s) == pytest.approx([due_s + 0.005 for due_s in plans[0].due_s], abs=1e-6)


def test_failing_baseline_does_not_end_the_run() -> None:
    """Errors of the live release are not the candidate's: the run goes on, and its book is complete."""
    turns = cycle(["candidate", "live"])

    def send(_index: int, _within_s: float) -> None:
        if next(turns) == "live":
            raise WrongAnswerError("status 503")

    campaign = run_with(send, baseline=Address(False, "::1", 80, ""))
    evidence = campaign.evidence()
    assert evidence.ending is Ending.COMPLETE
    assert evidence.live is not None
    assert (evidence.book.failed_total, evidence.live.book.failed_total) == (0, 10)


def test_health_is_probed_beside_the_webhooks() -> None:
    """Probes come at their own rate for as long as webhooks are due, and have a book of their own."""
    scenario = Scenario(
        name="health",
        about="",
        phases=[Phase(seconds=0.2, rate_per_s=50)],
        health_per_s=20,
        load=load_limits(warmup_s=0, **PATIENT),
        even=True,
    )
    evidence = run_with(
        breaks_at(-1, KeyError()), breaks_at(3, WrongAnswerError("status 503")), scenario
    ).evidence()
    assert evidence.probes is not None
    assert (evidence.probes.settled, evidence.probes.failures) == (4, {"status 503": 1})
    assert evidence.book.failed_total == 0
