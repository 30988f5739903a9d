"""`python -m service queue|blocklist|tenants`: what is typed, what is answered, with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import redis as blocking_redis
from service_kit import Stub

from contracts.free_ports import free_port
from contracts.webhook import encode, message_event
from runbook.errors import RunbookError
from runbook.live_service import Service
from runbook.queue_tables import Kept as DeadOrUnknown
from runbook.verbs.queue_verb import work_through
from service.__main__ import OPERATOR_NOUNS
from service.__main__ import main as run
from service.lanes import LIVE

NO_REDIS = "redis://:hunter2@127.0.0.1:{port}/0"


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> blocking_redis.Redis:
    """A client of an empty Redis, which the commands' environment names."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("RELEASE", "r-test")
    return blocking_redis.Redis.from_url(redis_url)


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names a Redis that is not there."""
    monkeypatch.setenv("REDIS_URL", NO_REDIS.format(port=free_port()))


def give_up(client: blocking_redis.Redis, stream: str) -> str:
    """One record on *stream*; its id."""
    fields = {
        "event": encode(message_event("hello", chat_id="4915@c.us")),
        "chat": "a",
        "reason": "x",
        "attempts": 1,
    }
    return client.xadd(stream, fields).decode()  # type: ignore[union-attr, arg-type]  # its types are wide


def answer(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    """What `--json` prints for *words*: one line, the last one."""
    assert run([*words.split(), "--json"]) == code
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def usage(words: list[str]) -> int:
    """The exit code of what argparse ends itself."""
    with pytest.raises(SystemExit) as end:
        run(words)
    return int(end.value.code or 0)


@pytest.mark.integration
@pytest.mark.parametrize("words", ["queue", "queue show", "queue show --gate r-2"])
def test_the_queue_is_shown(words: str, client: blocking_redis.Redis, capsys: Any) -> None:
    """Without a verb too."""
    client.xadd(LIVE.stream, {"event": "{}"})
    (lane,) = answer(words, capsys)["lanes"]
    assert (lane["lane"], lane["depth"]) == ("live", 1)


@pytest.mark.integration
@pytest.mark.usefixtures("client")
def test_the_live_release_is_what_the_proxy_says(
    stub: Stub, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody's where it does not say, or is not there to be asked."""
    assert answer("queue", capsys)["live_release"] is None
    monkeypatch.setenv("LIVE_RELEASE_URL", f"{stub.url}/")
    assert answer("queue", capsys)["live_release"] is None
    stub.live_release = "r-7"
    shown = answer("queue", capsys)
    assert shown["live_release"] == "r-7"
    assert shown["memory"].keys() == {
        "used_bytes",
        "max_bytes",
        "known_messages",
        "bytes_per_message",
        "sustained_per_s",
    }
    (lane,) = shown["lanes"]
    assert (lane["last_delivered_id"], lane["oldest_waiting_ms"]) == (None, None)


@pytest.mark.integration
def test_our_own_gate_lane_is_shown(client: blocking_redis.Redis, capsys: Any) -> None:
    """Which release that is stands in the environment."""
    client.xadd("{wa}:gate:r-test:messages", {"event": "{}"})
    assert [lane["release"] for lane in answer("queue", capsys)["lanes"]] == [None, "r-test"]


@pytest.mark.integration
def test_a_dead_letter_is_listed_replayed_and_dropped(client: blocking_redis.Redis, capsys: Any) -> None:
    """By its id, or all."""
    first, second, third = (give_up(client, LIVE.dead) for _ in range(3))
    assert [found["id"] for found in answer("queue dead --limit 2", capsys)["messages"]] == [third, second]
    assert answer(f"queue replay {first}", capsys) == {"count": 1, "is_full": False, "rest": None, "left": 2}
    assert answer(f"queue drop --all --through {second}", capsys)["left"] == 1
    assert answer("queue replay --all --from dead", capsys)["left"] == 0
    assert client.xlen(LIVE.stream) == 2


@pytest.mark.integration
def test_an_unknown_outcome_needs_a_word(client: blocking_redis.Redis, capsys: Any) -> None:
    """A refusal is exit 1, with what was wrong and what to do."""
    give_up(client, LIVE.unknown)
    assert answer("queue unknown", capsys)["total"] == 1
    refusal = answer("queue replay --all --from unknown", capsys, code=1)
    assert "second time" in refusal["error"]
    assert "--may-send-twice" in refusal["hint"]
    assert answer("queue replay --all --from unknown --may-send-twice", capsys)["count"] == 1


@pytest.mark.integration
def test_replaying_leaves_half_of_the_queue_free(
    client: blocking_redis.Redis, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of MAX_STREAM_LENGTH, as the web processes have it."""
    monkeypatch.setenv("MAX_STREAM_LENGTH", "4")
    for _ in range(3):
        give_up(client, LIVE.dead)
    assert answer("queue replay --all", capsys) == {"count": 2, "is_full": True, "rest": None, "left": 1}


@pytest.mark.integration
def test_the_blocklist_is_changed(client: blocking_redis.Redis, capsys: Any) -> None:
    """What is added is listed until it is removed; when that takes effect is told."""
    added = answer("blocklist add 203.0.113.7 --reason=floods --by=me", capsys)
    assert (added["network"], added["reason"], added["by"]) == ("203.0.113.7/32", "floods", "me")
    assert added["takes_effect_within_s"] == 2
    assert len(answer("blocklist list", capsys)["networks"]) == 1
    assert answer("blocklist remove 203.0.113.7", capsys)["network"] == "203.0.113.7/32"
    assert answer("blocklist list", capsys) == {"networks": []}
    client.set(LIVE.rate("203.0.113.7"), 1)
    assert "--force" in answer("blocklist add 203.0.113.7", capsys, code=1)["hint"]
    assert answer("blocklist add 203.0.113.7 --force", capsys)["network"] == "203.0.113.7/32"


@pytest.mark.integration
@pytest.mark.usefixtures("client")
def test_tenants_are_shown_and_set(capsys: Any) -> None:
    """On the database that the environment names, Redis where none is."""
    assert answer("tenants list", capsys) == {"tenants": []}
    assert answer("tenants grant acme 5", capsys)["left"] == 5
    assert answer("tenants owner acme owner@example.org", capsys)["owner_email"] == "owner@example.org"
    shown = answer("tenants show acme", capsys)
    assert answer("tenants list", capsys) == {"tenants": [shown]}
    assert answer("tenants show other", capsys, code=1)["error"] == "tenant 'other' has no account"


@pytest.mark.integration
@pytest.mark.usefixtures("client")
def test_a_tenant_may_begin_with_a_dash(capsys: Any) -> None:
    """After `--` nothing is an option."""
    assert run(["tenants", "grant", "--json", "--", "-acme", "unlimited"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "-acme"


@pytest.mark.integration
@pytest.mark.usefixtures("client")
def test_for_people_it_is_lines(capsys: Any) -> None:
    """A result is indented JSON; a refusal is two lines on standard error."""
    assert run(["tenants", "list"]) == 0
    assert json.loads(capsys.readouterr().out) == {"tenants": []}
    assert run(["blocklist", "add", "203.0.113.7/24"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(":")[0] for line in said.err.splitlines()] == ["error", "hint"]


@pytest.mark.usefixtures("no_redis")
@pytest.mark.parametrize(
    "words",
    ["queue", "queue dead", "queue replay --all", "queue drop 1-1", "blocklist list", "tenants list"],
)
def test_without_redis_it_is_an_error_in_words(words: str, capsys: Any) -> None:
    """No traceback, and no password of the URL."""
    failure = answer(words, capsys, code=1)
    assert failure.keys() == {"error", "hint"}
    assert failure["error"] == "Redis cannot be reached: nothing listens there"
    assert "`docker ps -a`" in failure["hint"]
    assert "hunter2" not in json.dumps(failure)


def test_a_redis_whose_container_is_gone_is_words_too(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Its name went with it: whoever reads this knows no `gaierror`."""
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@redis.invalid:6379/0")
    failure = answer("queue", capsys, code=1)
    assert failure["error"] == "Redis cannot be reached: no host has the name that the URL gives"


@pytest.mark.parametrize(
    "words",
    [
        ["queue", "replay"],
        ["queue", "replay", "--all", "1-1"],
        ["queue", "replay", "hello"],
        ["queue", "dead", "--limit", "0"],
        ["queue", "dead", "--limit", "1001"],
        ["queue", "drop", "--all", "--from", "live"],
        ["queue", "show", "--gate", "a b"],
        ["queue", "delete"],
        ["blocklist"],
        ["blocklist", "add"],
        ["tenants"],
        ["tenants", "grant", "acme"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_is_usage(words: list[str], capsys: Any) -> None:
    """Exit 2 before Redis is asked, and how it should be."""
    assert usage(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "usage: python -m service" in said.err


@pytest.mark.parametrize("noun", OPERATOR_NOUNS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_noun_has_help(noun: str, flag: str, capsys: Any) -> None:
    """Without any environment."""
    assert usage([noun, flag]) == 0
    assert "usage: python -m service" in capsys.readouterr().out


class Beside:
    """Runs what would be run in a worker's container as a process here."""

    name = "here"

    def run(self, command: list[str]) -> tuple[int, str]:
        assert command[0] == "python3"
        done = subprocess.run(
            [sys.executable, *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # as the engine gives both
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout


@pytest.mark.integration
def test_the_runbook_understands_the_service(client: blocking_redis.Redis) -> None:
    """Both sides together, over what lies between them: an answer, a refusal, a wrong command."""
    service = Service(Beside(), ("r-test",))
    for _ in range(3):
        give_up(client, LIVE.dead)
    assert work_through(service, "replay", DeadOrUnknown.DEAD, [], [])["count"] == 3
    assert service.ask("queue", "show")["lanes"][0]["depth"] == 3
    with pytest.raises(RunbookError, match="tenant '-acme' has no account"):
        service.ask("tenants", "show", about=["-acme"])
    with pytest.raises(RunbookError, match="does not take `queue nothing`"):
        service.ask("queue", "nothing")


def test_it_is_a_program_that_needs_settings() -> None:
    """Without a Redis in the environment it says which setting is missing, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "queue", "--json"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
