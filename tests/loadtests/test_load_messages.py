import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.webhook import encode
from loadtests.arrivals import DUPLICATES, Kind
from loadtests.messages import Messages, new_run

indexes = st.integers(0, 5_000_000)
START_S = 1_800_000_000.0


def messages() -> Messages:
    """Those of a new run."""
    return Messages(new_run(), START_S)


@given(indexes, st.sampled_from(Kind))
def test_payload_id_leads_back_to_its_message(index: int, kind: Kind) -> None:
    """The id in the event sent is one that a reply may name, and leads back to the message's number."""
    own = messages()
    payload_id = own.event(index, 1.5, kind)["payload"]["id"]
    assert payload_id in own.payload_ids(index)
    assert own.index_of(payload_id) == index


@given(indexes)
def test_other_runs_messages_are_not_ours(index: int) -> None:
    """A reply to another run's message is never taken for one to ours."""
    assert [messages().index_of(payload_id) for payload_id in messages().payload_ids(index)] == [None, None]


def test_runs_have_chats_of_their_own() -> None:
    """A chat's messages are answered one by one: two runs side by side must not wait for each other."""
    chats = [
        {own.event(index, 0)["payload"]["from"] for index in range(2000)}
        for own in (Messages("00000000000A"), Messages("00000000000B"))
    ]
    assert [len(own) for own in chats] == [500, 500]
    assert not chats[0] & chats[1]


@given(st.text(max_size=60))
def test_foreign_ids_are_not_ours(payload_id: str) -> None:
    """Whatever else a reply may name is nobody's message, and no error."""
    assert messages().index_of(payload_id) is None


@given(indexes)
def test_id_must_match_as_a_whole(index: int) -> None:
    """An id that ends like ours but names another chat is not ours."""
    own = messages()
    assert own.index_of(own.payload_ids(index)[0].replace("@c.us", "@lid")) is None


def test_retry_is_the_same_bytes_wherever_it_is_made() -> None:
    """Who knows the run makes the very bytes of a message: another process may be the one to repeat it."""
    run = new_run()
    bytes_of = [encode(Messages(run, START_S).event(7, 1.5, kind)) for kind in (Kind.MESSAGE, Kind.RETRIED)]
    assert bytes_of[0] == bytes_of[1]


def test_event_happened_when_it_was_due() -> None:
    """WAHA's time of an event is that at which it happened, in ms, and in s in the payload."""
    event = messages().event(7, 1.5)
    assert (event["timestamp"], event["payload"]["timestamp"]) == (1_800_000_001_500, 1_800_000_001)


@pytest.mark.parametrize("kind", [kind for kind in DUPLICATES if kind != Kind.RETRIED])
def test_other_forms_are_events_of_their_own(kind: Kind) -> None:
    """A duplicate that is no retry has another event id and the same bare message id."""
    own = messages()
    message, duplicate = own.event(7, 1.5), own.event(7, 1.5, kind)
    assert message["id"] != duplicate["id"]
    bare_ids = {event["payload"]["id"].split("_")[2] for event in (message, duplicate)}
    assert len(bare_ids) == 1
    assert (duplicate["event"] == "message.any") == (kind == Kind.ANY)
    assert duplicate["payload"]["from"].endswith("@lid") == (kind == Kind.LID)
