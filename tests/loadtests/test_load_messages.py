from hypothesis import given
from hypothesis import strategies as st

from loadtests.messages import Messages

indexes = st.integers(0, 5_000_000)


@given(indexes)
def test_payload_id_leads_back_to_its_message(index: int) -> None:
    """The id in the event sent is the one that a reply names, and leads back to the message's number."""
    messages = Messages()
    assert messages.event(index)["payload"]["id"] == messages.payload_id(index)
    assert messages.index_of(messages.payload_id(index)) == index


@given(indexes)
def test_other_runs_messages_are_not_ours(index: int) -> None:
    """A reply to another run's message is never taken for one to ours."""
    assert Messages().index_of(Messages().payload_id(index)) is None


@given(st.text(max_size=60))
def test_foreign_ids_are_not_ours(payload_id: str) -> None:
    """Whatever else a reply may name is nobody's message, and no error."""
    assert Messages().index_of(payload_id) is None


@given(indexes)
def test_id_must_match_as_a_whole(index: int) -> None:
    """An id that ends like ours but names another chat is not ours."""
    messages = Messages()
    assert messages.index_of(messages.payload_id(index).replace("@c.us", "@lid")) is None
