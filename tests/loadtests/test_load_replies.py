import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.reply_pages import RepliesError, Reply, parse_page, parse_sent
from loadtests.reply_reader import PAGE_SIZE, GateReplies, NoSuchRepliesError, ReplyReader, SentList


class Record:
    """Replies as a target keeps them, and the two ways to ask for them."""

    def __init__(self, count: int = 0) -> None:
        self.kept = [{"replyTo": f"message-{number}", "time": number} for number in range(count)]
        self.down = False
        self.asked: list[str] = []

    def get_page(self, path: str) -> bytes:
        """The gate's answer."""
        self.asked.append(path)
        if self.down:
            raise RepliesError("down")
        after = int(path.split("after=")[1].split("&")[0])
        page = self.kept[after : after + PAGE_SIZE]
        return json.dumps({"replies": page, "next": str(after + len(page))}).encode()

    def get_list(self, path: str) -> bytes:
        """The WAHA stand-in's answer."""
        return json.dumps(self.kept).encode()


def test_pages_are_read_to_the_last() -> None:
    """Several pages of replies are each read once, and the next reading goes on behind them."""
    record = Record(2500)
    replies = GateReplies(record.get_page, "")
    assert len(list(replies.new())) == 2500
    record.kept.append({"replyTo": "later", "time": 9})
    assert [reply.replyTo for reply in replies.new()] == ["later"]
    assert record.asked[0] == "/api/gate/replies?after=0&limit=1000"


def test_reading_goes_on_after_a_failure() -> None:
    """A reading that failed loses nothing and doubles nothing: the next goes on from the same cursor."""
    record, taken = Record(3), list[Reply]()
    reader = ReplyReader(GateReplies(record.get_page, ""), taken.append)
    record.down = True
    reader.read()
    assert (reader.problem, reader.given_up) == ("replies could not be read: down", False)
    record.down = False
    reader.read()
    assert (reader.problem, len(taken)) == (None, 3)


def test_replies_never_read_are_a_problem() -> None:
    """Before the first reading nothing is known about replies, so that it cannot be taken for good."""
    assert ReplyReader(GateReplies(Record().get_page, ""), print).problem == "replies were never read"


def test_refusal_is_final() -> None:
    """Where the target gives no replies at all, as the public frontend does, reading is given up."""

    def refuse(path: str) -> bytes:
        raise NoSuchRepliesError("GET /api/gate/replies answered 404")

    reader = ReplyReader(GateReplies(refuse, ""), print)
    reader.read()
    assert reader.given_up


def test_standing_cursor_is_refused() -> None:
    """A page that leads to itself would be counted again and again: it is an error instead."""
    page = json.dumps({"replies": [{"replyTo": "x", "time": 1}], "next": "0"}).encode()
    with pytest.raises(RepliesError, match="cursor"):
        list(GateReplies(lambda _: page, "").new())


def test_sent_list_gives_each_entry_once() -> None:
    """Of the list of all that was sent, only what is new is given, though its oldest entries get lost."""
    record = Record(4)
    replies = SentList(record.get_list, "/waha/sent")
    assert len(list(replies.new())) == 4
    record.kept = [*record.kept[2:], {"replyTo": "message-3", "time": 8}, {"replyTo": None, "time": 9}]
    assert [reply.replyTo for reply in replies.new()] == ["message-3"]
    assert list(replies.new()) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["replies", "next", "replyTo", "time"]), inner)
    ),
)


@pytest.mark.parametrize("parse", [parse_page, parse_sent])
@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
def test_other_shapes_are_one_error(parse: Callable[[bytes], Any], body: bytes) -> None:
    """Whatever a broken target answers is either understood or a `RepliesError`."""
    try:
        parse(body)
    except RepliesError as error:
        assert str(error).startswith("not a ")
