"""The suite's command line and fixtures: `pytest smoke --base-url URL`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from contracts.targets import Targets
from smoke.chat import Conversations
from smoke.dialogue import Dialogue
from smoke.evidence import Measured
from smoke.faults import Faults
from smoke.options import Options, OptionsError
from smoke.recorder import MEASURED, Recorder
from smoke.replies import GateReplies, SentReplies
from smoke.target import Target, open_client

OPTIONS = pytest.StashKey[Options]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what the suite is told."""
    group = parser.getgroup(
        "smoke", "the release to check (webhooks are signed with WAHA_WEBHOOK_SECRET[_FILE])"
    )
    group.addoption("--base-url", help="the release: normally the proxy's candidate frontend")
    group.addoption("--baseline", metavar="URL", help="the live release's gate lane, to be no worse than")
    group.addoption("--replies-url", help="where sent texts are listed, instead of the release's gate lane")
    group.addoption("--report", action="append", help="write the checks to this file, as JSON")
    group.addoption("--targets", help="the limits (default: the project's targets.toml)")
    group.addoption("--short", action="store_true", help="the shortest run that still proves something")
    group.addoption(
        "--begin-on-input", action="store_true", help="be ready, and begin at a line on the input (with -s)"
    )
    group.addoption("--logs-command", help="prints the release's recent logs; without it they are left out")
    group.addoption(
        "--faults-url", help="where the database's fault is set (the sandbox's /faults); without it left out"
    )
    group.addoption(
        "--fault-hosts", help="a,b: the hosts under test, whose database alone is to be down; without it all"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Leave the reasons to the suite's own summary, unless tracebacks are asked for with `--tb`."""
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "no"
    config.option.reportchars = ""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the options, before anything is sent, and begin to record.

    A run that is split over processes ends here: they would disturb each other's checks.
    """
    config = session.config
    try:
        config.stash[OPTIONS] = Options.read(config.getoption, os.environ)
        config.stash[OPTIONS].forget_earlier_reports()
    except OptionsError as error:
        raise pytest.UsageError(str(error)) from error
    recorder = Recorder(config.stash[OPTIONS])
    config.pluginmanager.register(recorder)
    if config.getoption("dist", "no") != "no":
        why = "the suite runs in one process: leave out pytest-xdist's -n, --dist (PYTEST_ADDOPTS?)"
        recorder.write_report(why)
        pytest.exit(why, returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_collection_finish(session: pytest.Session) -> None:
    """All is read: wait until the release can be asked. Whoever started the run may have ended."""
    if session.config.getoption("--begin-on-input") and not sys.stdin.readline():
        pytest.exit("nobody said that the run should begin", returncode=pytest.ExitCode.INTERRUPTED)


@pytest.fixture(scope="session")
def options(pytestconfig: pytest.Config) -> Options:
    """What the suite was told."""
    return pytestconfig.stash[OPTIONS]


@pytest.fixture(scope="session")
def targets(options: Options) -> Targets:
    """The limits."""
    return options.targets


@pytest.fixture(scope="session")
def target(options: Options) -> Iterator[Target]:
    """The release under test."""
    with open_client(options.base_url) as client:
        yield Target(client, options.secret, options.targets.load.answer_timeout_s)


@pytest.fixture(scope="session")
def baseline(options: Options) -> Iterator[Target | None]:
    """The live release, where one is named to compare with."""
    if options.baseline_url is None:
        yield None
        return
    with open_client(options.baseline_url) as client:
        yield Target(client, options.baseline_secret, options.targets.load.answer_timeout_s)


@pytest.fixture(scope="session")
def faults(options: Options) -> Iterator[Faults | None]:
    """Where the database's fault is set, if the suite was told."""
    if options.faults_url is None:
        yield None
        return
    with open_client(options.base_url) as client:
        yield Faults(client, options.faults_url, options.fault_hosts)


@pytest.fixture(scope="session")
def conversations(options: Options, target: Target) -> Conversations:
    """The run's chats, with the replies read from where the options say."""
    url = options.replies_url
    return Conversations(SentReplies(target, url) if url else GateReplies(target))


@pytest.fixture
def dialogue(measured: Measured, target: Target, targets: Targets) -> Dialogue:
    """A dialogue that waits for each reply as long as the limit allows."""
    return Dialogue(measured, target, targets.smoke.reply_within_s)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Where the test records what it measured."""
    return request.node.stash[MEASURED]  # type: ignore[no-any-return]


@pytest.fixture
def stop_run(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Run no further test, for the reason given: it could only wait for the same thing again."""

    def stop(reason: str) -> None:
        request.session.shouldfail = reason

    return stop
