"""`queue`: what is asked of the service, and what an operator reads."""

from __future__ import annotations

import io
import json

import pytest
import typer
from fake_service import answering, exit_code, service, typed, worked
from fake_stack import FakeStack

from runbook.errors import RunbookError
from runbook.queue_tables import Kept, show_lanes, show_records
from runbook.verbs.queue_verb import chosen, confirm, queue, work_through

LANE = {
    "lane": "live",
    "release": None,
    "depth": 12,
    "waiting": 10,
    "in_work": 2,
    "oldest_age_ms": 252_000,
    "dead": 3,
    "unknown": 1,
    "unsettled": 0,
    "consumers": [{"name": "r-1:host:ab12", "pending": 2, "idle_ms": 900}],
}
GATE = {**LANE, "lane": "gate", "release": "r-2", "oldest_age_ms": None, "consumers": []}
MESSAGE = {
    "id": "1764000000000-0",
    "requestId": "01HXYZ",
    "chat": "a1b2c3d4e5f60718",
    "session": "default",
    "reason": "WAHA refused: HTTP 500",
    "attempts": 10,
    "received": 1_764_000_000_000,
    "age_ms": 3_600_000,
    "ended": 1_764_000_100_000,
    "replayed": False,
}


def test_lanes_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is live, each lane by its name, and the workers that hold messages."""
    show_lanes({"live_release": "r-1", "lanes": [LANE, GATE]})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["live", "release:", "r-1"]
    assert lines[2] == ["live", "12", "10", "2", "4", "min", "3", "1", "0"]
    assert lines[3] == ["gate", "r-2", "12", "10", "2", "-", "3", "1", "0"]
    assert lines[6] == ["r-1:host:ab12", "live", "2", "0", "s"]


def test_a_service_without_workers_has_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is a release called live that nobody knows to be."""
    show_lanes({"live_release": None, "lanes": [{**LANE, "consumers": []}]})
    assert len(capsys.readouterr().out.splitlines()) == 3
    show_lanes({"live_release": None, "lanes": [LANE]})
    assert capsys.readouterr().out.startswith("live release: not known\n")


MEMORY = {
    "used_bytes": 120 << 20,
    "max_bytes": 256 << 20,
    "known_messages": 50_000,
    "bytes_per_message": 27.3,
    "sustained_per_s": 31.4,
}


@pytest.mark.parametrize(
    ("memory", "line"),
    [
        (MEMORY, "Redis's memory: 120 of 256 MB, sustains 31.4 messages/s, keeps 27.3 bytes of each"),
        (
            {**MEMORY, "max_bytes": None, "sustained_per_s": None},
            "Redis's memory: 120 MB, no limit, keeps 27.3 bytes of each",
        ),
        (
            {**MEMORY, "bytes_per_message": None},
            "Redis's memory: 120 of 256 MB, sustains 31.4 messages/s",
        ),
    ],
    ids=["bounded", "no limit", "no message yet"],
)
def test_what_redis_bears_is_a_line(
    memory: dict[str, object], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """How full it is, how many messages a second it sustains, what it keeps of each: as far as known."""
    show_lanes({"live_release": "r-1", "lanes": [LANE], "memory": memory})
    assert capsys.readouterr().out.splitlines()[1] == line


def test_records_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """With what finds the message in the logs; the rest of them is told of."""
    show_records(Kept.DEAD, {"total": 40, "messages": [MESSAGE]})
    said = capsys.readouterr()
    row = said.out.splitlines()[1]
    assert row.split("  ")[0] == "1764000000000-0"
    for part in ("2025-11-24 16:01:40", "60 min", "01HXYZ", "a1b2c3d4e5f60718", "default", "HTTP 500"):
        assert part in row
    assert said.err == "40 dead letters in all, 1 shown\n"


def test_a_record_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What others wrote is shown on one line, without control characters."""
    show_records(Kept.DEAD, {"total": 1, "messages": [{**MESSAGE, "session": "a\x1b[2J\nb", "chat": ""}]})
    said = capsys.readouterr().out
    assert "a?[2J?b" in said
    assert len(said.splitlines()) == 2


def test_no_record_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty table."""
    show_records(Kept.UNKNOWN, {"total": 0, "messages": []})
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "0 unknown outcomes in all, 0 shown\n")


def test_all_are_worked_through(capsys: pytest.CaptureFixture[str]) -> None:
    """The service does a portion at a time: it is asked again from where it ended, up to where it began."""
    rest = {"ids": [], "after": "5-0", "through": "9-0"}
    inside = answering(worked(100, 7, rest=rest), worked(7))
    done = work_through(service(inside), "replay", Kept.DEAD, [], ["--flag"])
    assert done == {"from": "dead", "count": 107, "left": 0, "is_full": False}
    assert inside.asked == [
        "queue replay --json --from dead --flag --all",
        "queue replay --json --from dead --flag --all --after 5-0 --through 9-0",
    ]
    assert capsys.readouterr().err == "  100 so far, 7 left\n"


def test_those_named_are_worked_on_at_once() -> None:
    """Their ids are no options."""
    inside = answering(worked(2, 5))
    work_through(service(inside), "drop", Kept.UNKNOWN, ["1-0", "2-0"], [])
    assert inside.asked == ["queue drop --json --from unknown -- 1-0 2-0"]


def test_a_full_queue_ends_it() -> None:
    """What was done until then is counted."""
    rest = {"ids": [], "after": "5-0", "through": "9-0"}
    inside = answering(worked(100, 50, rest=rest), worked(20, 30, full=True))
    done = work_through(service(inside), "replay", Kept.DEAD, [], [])
    assert (done["count"], done["left"], done["is_full"]) == (120, 30, True)


def test_either_ids_or_all() -> None:
    """Nothing, or both, is a slip."""
    assert chosen(["1-0"], every=False) == ["1-0"]
    assert chosen([], every=True) == []
    for ids, every in (([], False), (["1-0"], True)):
        with pytest.raises(typer.BadParameter, match="either ids or --all"):
            chosen(ids, every=every)


@pytest.mark.parametrize(("ids", "count"), [([], "40 dead letters"), (["1-0"], "1 dead letter")])
def test_nothing_is_dropped_unasked(ids: list[str], count: str) -> None:
    """Without a terminal only --yes drops; how many they are is said."""
    with pytest.raises(RunbookError, match=f"dropping deletes {count} of stack production") as refusal:
        confirm(service(answering({"total": 40, "messages": []})), Kept.DEAD, ids, "production")
    assert "--yes" in refusal.value.hint


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_at_a_terminal_it_asks(answer: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No is the answer that a bare Enter gives."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich believe in a terminal
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    inside = answering({"total": 2, "messages": []}, worked(2))
    assert typed(monkeypatch, inside, "queue", "drop", "--all") == (0 if goes_on else 1)
    asked = ["queue dead --json --limit 1", "queue drop --json --from dead --all"]
    assert inside.asked == (asked if goes_on else asked[:1])


@pytest.mark.parametrize(
    "words",
    [
        "queue replay",
        "queue replay 1-0 --all",
        "queue replay hello",
        "queue replay --all --from live",
        "queue drop",
        "queue dead --limit 0",
        "queue dead --limit 1001",
        "queue delete",
        "queue --stack production drop --all",
        "queue --json dead",
    ],
)
def test_a_wrong_command_is_usage(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 before the engine is asked: a stack given before the verb must not be taken for another one."""
    assert exit_code(*words.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Error: " in said.err


@pytest.mark.parametrize("verb", [str(command.name) for command in queue.registered_commands])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what it does."""
    assert exit_code("queue", verb, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


def test_the_counts_are_words() -> None:
    """One is not several."""
    assert [Kept.DEAD.counted(1), Kept.UNKNOWN.counted(1)] == ["1 dead letter", "1 unknown outcome"]
    assert [Kept.DEAD.counted(0), Kept.UNKNOWN.counted(2)] == ["0 dead letters", "2 unknown outcomes"]


@pytest.mark.parametrize("words", ["queue", "queue --json", "queue show"])
def test_without_a_verb_it_shows(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lanes, that of the release's own gate too; as JSON what the service said."""
    answer = {"live_release": "r-1", "lanes": [LANE]}
    inside = answering(answer)
    assert typed(monkeypatch, inside, *words.split()) == 0
    assert inside.asked == ["queue show --json --gate r-1"]
    said = capsys.readouterr().out
    assert json.loads(said) == answer if "--json" in words else said.startswith("live release: r-1\n")


@pytest.mark.parametrize("status", ["paused", "exited"])
@pytest.mark.parametrize("releases", [["r-1"], ["r-1", "r-2"]])
def test_a_proxy_that_does_not_answer_hides_neither_lanes_nor_live_release(
    releases: list[str], status: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers cannot ask it which release is live: its route's file says so."""
    stack = FakeStack()
    stack.deploy(*releases)
    stack.proxy.status = status
    for worker in stack.engine.containers.list(filters={"label": "runbook.role=worker"}):
        worker.answer = lambda _command: (0, json.dumps({"live_release": None, "lanes": [LANE]}))
    monkeypatch.setattr("docker.from_env", lambda: stack.engine)
    assert exit_code("queue") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"live release: {releases[-1]}\n")
    assert said.err == ""


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("queue dead", "queue dead --json --limit 20"),
        ("queue unknown --limit 5", "queue unknown --json --limit 5"),
        ("queue dead --json", "queue dead --json --limit 20"),
    ],
)
def test_records_are_listed(
    words: str, asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So many, of the kind that was asked for."""
    inside = answering({"total": 1, "messages": [MESSAGE]})
    assert typed(monkeypatch, inside, *words.split()) == 0
    assert inside.asked == [asked]
    assert "1764000000000-0" in capsys.readouterr().out


def test_replaying_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words and as JSON; the operator's word is passed on to the service, which asks for it."""
    inside = answering(worked(2, 5))
    words = "queue replay --all --from unknown --may-send-twice --json"
    assert typed(monkeypatch, inside, *words.split()) == 0
    assert inside.asked == ["queue replay --json --from unknown --may-send-twice --all"]
    said = capsys.readouterr()
    assert json.loads(said.out) == {"from": "unknown", "count": 2, "left": 5, "is_full": False}
    assert said.err == "replayed 2 unknown outcomes, 5 left\n"


def test_a_queue_that_takes_no_more_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not all that was asked for was done: a script must notice."""
    assert typed(monkeypatch, answering(worked(2, 5, full=True)), "queue", "replay", "--all", "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["is_full"]
    assert said.err.startswith(
        "error: replayed 2 dead letters; the queue takes no more now, 5 are left\nhint: "
    )


def test_dropping_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --yes nothing is asked."""
    inside = answering(worked(1, 0))
    assert typed(monkeypatch, inside, "queue", "drop", "1-0", "--yes") == 0
    assert inside.asked == ["queue drop --json --from dead -- 1-0"]
    assert capsys.readouterr().err == "dropped 1 dead letter, 0 left\n"
