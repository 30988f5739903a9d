import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.targets import read_targets
from loadtests.address import Address, AddressError
from loadtests.options import Options, UsageError, add_arguments, read_options

ENV = {"WAHA_WEBHOOK_SECRET": "s3cret-value"}


def options_of(*arguments: str, env: Mapping[str, str] = ENV) -> Options:
    """The options of a command line, beside those of Locust that matter."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--host")
    parser.add_argument("--users", dest="num_users", type=int)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--headful", dest="headless", action="store_false")
    parser.set_defaults(master=False, worker=False)
    return read_options(parser.parse_args(["--host", "http://127.0.0.1:8080", *arguments]), env)


def test_limits_and_shape_come_from_targets() -> None:
    """Without arguments the run has the shape and limits of `targets.toml`, all of them."""
    options = options_of()
    assert options.load == read_targets().load
    assert options.plan.total == 1100
    assert options.read_replies


def test_arguments_change_the_shape_only() -> None:
    """Rate, warm-up and duration can be changed by arguments; the limits cannot."""
    options = options_of("--rate", "10", "--warmup", "1", "--duration", "4")
    assert (options.plan.total, options.plan.counted) == (50, 40)
    assert options.load.webhook_p95_ms == read_targets().load.webhook_p95_ms


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
        (["--processes", "2"], "--processes, --master, --worker: the verdict needs the whole run"),
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
