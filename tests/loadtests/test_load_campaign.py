from collections.abc import Iterator

from load_targets import load_limits

from loadtests.address import Address
from loadtests.arrivals import Plan
from loadtests.campaign import Campaign
from loadtests.judge import Ending
from loadtests.options import Options
from loadtests.reply_pages import Reply
from loadtests.webhooks import NotSentError


class NoReplies:
    """A place without replies."""

    def new(self) -> Iterator[Reply]:
        """None."""
        return iter(())


class Broken:
    """A sender that breaks with *error* on its third webhook."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._posted = 0

    def post(self, body: bytes, *, within_s: float) -> int:
        """202, or the error."""
        self._posted += 1
        if self._posted == 3:
            raise self._error
        return 202


def run_with(error: Exception) -> Campaign:
    """A campaign of ten webhooks whose third breaks, run to its end."""
    options = Options(
        host=Address(False, "127.0.0.1", 80, ""),
        secret="secret",
        load=load_limits(error_rate=0.5, min_achieved=0.5, answer_timeout_s=1),
        settle_s=0,
        plan=Plan.steady(100, 0, 0.1),
        report=None,
        sent_list=None,
        read_replies=False,
    )
    campaign = Campaign(options, Broken(error), NoReplies(), lambda _time_ms, _reason: None)
    campaign.run()
    return campaign


def test_webhook_without_an_outcome_is_an_error() -> None:
    """A webhook that got lost inside the generator itself still counts, as an error."""
    evidence = run_with(KeyError("a mistake of our own")).evidence()
    assert evidence.ending is Ending.COMPLETE
    assert (evidence.book.settled, evidence.book.failed_total) == (10, 1)


def test_limits_of_the_generator_count_as_unsent() -> None:
    """Where this machine could not send, the webhook is an error, and was not sent on time."""
    book = run_with(NotSentError("generator: Too many open files")).evidence().book
    assert (book.failed_total, book.late) == (1, 1)
    assert book.failures == {"generator: Too many open files": 1}
