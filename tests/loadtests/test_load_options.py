import argparse
from collections.abc import Mapping
from pathlib import Path

import msgpack
import pytest

from contracts.targets import read_targets
from loadtests.address import Address, AddressError
from loadtests.arguments import add_arguments
from loadtests.options import Options, UsageError, read_options, scenarios_listed
from loadtests.order import Stream, plans_of

ENV = {"WAHA_WEBHOOK_SECRET": "s3cret-value"}


def options_of(*arguments: str, env: Mapping[str, str] = ENV) -> Options:
    """The options of a command line, beside those of Locust that matter."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--host")
    parser.add_argument("--users", dest="num_users", type=int)
    parser.add_argument("--headful", dest="headless", action="store_false")
    return read_options(parser.parse_args(["--host", "http://127.0.0.1:8080", *arguments]), env)


def test_limits_and_shape_come_from_targets() -> None:
    """Without arguments the run has the shape and limits of `targets.toml`, all of them."""
    options = options_of()
    (steady,) = options.scenarios
    assert (steady.name, steady.load) == ("steady", read_targets().load)
    assert plans_of(steady, compared=False)[Stream.CANDIDATE].total == 1100
    assert options.read_replies


def test_the_gates_scenarios_end_in_time() -> None:
    """With what may pass after each until its last reply is there, or missing."""
    targets = read_targets()
    named = [part for name in targets.gate.scenarios for part in ("--scenario", name)]
    longest_s = sum(each.seconds + each.load.reply_within_s for each in options_of(*named).scenarios)
    assert longest_s < targets.gate.within_s


def test_arguments_change_the_shape_only() -> None:
    """Rate, warm-up and duration can be changed by arguments; the limits cannot."""
    options = options_of("--rate", "10", "--warmup", "1", "--duration", "4")
    (steady,) = options.scenarios
    plan = plans_of(steady, compared=False)[Stream.CANDIDATE]
    assert (plan.total, plan.counted) == (50, 40)
    assert steady.load.webhook_p95_ms == read_targets().load.webhook_p95_ms


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--host", "127.0.0.1"],
            "--host: should be an http or https URL such as http://127.0.0.1:8080, got",
        ),
        (["--host", "http://me:hunter2@x"], "--host: should carry no user name or password"),
        (["--replies-url", "ftp://x/y"], "--replies-url: should be an http or https URL"),
        (["--rate", "-5"], "--rate: Input should be greater than 0, got -5"),
        (["--rate", "20000"], "--rate: Input should be less than or equal to 10000, got 20000"),
        (["--duration", "1e9"], "50/s for 1e+09 s is more than 5000000 webhooks"),
        (["--targets", "missing.toml"], "missing.toml: cannot be read: No such file or directory"),
        (["--users", "5"], "--users: arrivals come at --rate, not from users, got 5"),
        (["--baseline", "ftp://x"], "--baseline: should be an http or https URL"),
        (["--scenarios-file", "missing.toml"], "missing.toml: cannot be read: No such file or directory"),
        (["--scenario", "stady"], "--scenario: should be among steady, ramp, burst, soak, duplicates, "),
        (["--scenario", "steady,,soak"], "--scenario: should be among"),
        (["--scenario", "soak", "--scenario", "soak"], "--scenario: each can be run once, got soak, soak"),
        (["--scenario", "burst", "--duration", "9"], "--duration: burst has phases of its own"),
        (
            ["--scenario", "soak", "--baseline", "http://x"],
            "--baseline: the comparison is made in scenario steady, got soak",
        ),
        (["--headful"], "--headful: the verdict is given at the end of a headless run"),
    ],
)
def test_wrong_option_is_named_with_its_value(arguments: list[str], line: str) -> None:
    """Whatever would keep the plan from being sent and judged is refused before anything is sent."""
    with pytest.raises(UsageError) as raised:
        options_of(*arguments)
    assert str(raised.value).startswith(line)
    assert "hunter2" not in str(raised.value)


def test_every_problem_is_named_at_once() -> None:
    """All problems are reported together, one a line."""
    with pytest.raises(UsageError) as raised:
        options_of("--host", "nowhere", "--users", "3", "--rate", "0", env={})
    assert len(str(raised.value).splitlines()) == 4


def test_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """The secret is read from the file that `WAHA_WEBHOOK_SECRET_FILE` names, without its last line break."""
    (tmp_path / "secret").write_text("from-a-file\n")
    options = options_of(env={"WAHA_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")})
    assert options.secret == "from-a-file"


def test_the_live_release_may_have_a_secret_of_its_own(tmp_path: Path) -> None:
    """After a rotation it does not know the candidate's. Where it is not given, that is known."""
    assert options_of().baseline_secret is None
    (tmp_path / "secret").write_text("of-the-live-one\n")
    for name, value in (("", "of-the-live-one"), ("_FILE", str(tmp_path / "secret"))):
        options = options_of(env={**ENV, f"WAHA_WEBHOOK_SECRET_BASELINE{name}": value})
        assert (options.secret, options.baseline_secret) == ("s3cret-value", "of-the-live-one")
        assert "of-the-live-one" not in repr(options)


def test_secret_is_not_shown() -> None:
    """The secret is not in the options' own representation, which may end in an error or a log."""
    assert "s3cret-value" not in repr(options_of())


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_missing_secret_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """Without a usable secret every webhook would be refused: the caller's error, said at once."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    for env in ({}, {"WAHA_WEBHOOK_SECRET": ""}, {"WAHA_WEBHOOK_SECRET_FILE": str(file)}):
        with pytest.raises(UsageError, match="WAHA_WEBHOOK_SECRET"):
            options_of(env=env)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8080", Address(False, "127.0.0.1", 8080, "")),
        ("https://example.org/base/", Address(True, "example.org", 443, "/base")),
        ("http://[::1]/waha/sent?x=1", Address(False, "::1", 80, "/waha/sent?x=1")),
    ],
)
def test_address_is_taken_apart(url: str, address: Address) -> None:
    """Port and TLS follow from the scheme; a path in front is kept."""
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["", "http://", "http://x:99999", "http://[::1", "file:///etc/passwd"])
def test_wrong_address_is_refused(url: str) -> None:
    """What cannot be sent to is an `AddressError`, never another error."""
    with pytest.raises(AddressError):
        Address.parse(url)


@pytest.mark.parametrize(
    "arguments", [["--scenario", "burst", "--scenario", "steady"], ["--scenario", "burst, steady"]]
)
def test_scenarios_are_run_in_the_order_given(arguments: list[str]) -> None:
    """They may be named one by one or with commas between."""
    assert [scenario.name for scenario in options_of(*arguments).scenarios] == ["burst", "steady"]


def test_shape_is_that_of_even_scenarios_only() -> None:
    """What has phases of its own keeps them, beside an even one that takes what the command line says."""
    steady, burst = options_of("--scenario", "steady,burst", "--duration", "5").scenarios
    (burst_alone,) = options_of("--scenario", "burst").scenarios
    assert steady.seconds == 7
    assert burst == burst_alone


def test_all_scenarios_are_listed() -> None:
    """So that one finds them: a line each, with what it is about."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    lines = scenarios_listed(parser.parse_args([]))
    assert [line.split()[0] for line in lines] == [
        "steady",
        "ramp",
        "burst",
        "soak",
        "duplicates",
        "signatures",
        "health",
    ]
    with pytest.raises(UsageError, match=r"missing\.toml: cannot be read"):
        scenarios_listed(parser.parse_args(["--scenarios-file", "missing.toml"]))


def test_options_can_be_told_to_workers() -> None:
    """Locust's master sends every argument to its workers: only plain values survive the way."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--report", "a", "--series", "b", "--scenario", "burst", "--rate", "5", "--baseline", "http://x"]
    values = vars(parser.parse_args(given))
    assert msgpack.loads(msgpack.dumps(values)) == values
