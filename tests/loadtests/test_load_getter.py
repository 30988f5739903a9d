"""The reader's connection to the target, interrupted."""

from __future__ import annotations

import gevent
import gevent.event
import gevent.select
import pytest
from load_target import Behaviour, serving

from loadtests.address import Address
from loadtests.reply_pages import RepliesError
from loadtests.reply_reader import Getter, NoSuchRepliesError

PATH = "/api/gate/replies?after=0&limit=10"
TIMEOUT_S = 10


@pytest.fixture(autouse=True)
def _as_under_locust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust patches the whole process; of that, this is what the client's pool of connections meets."""
    monkeypatch.setattr("geventhttpclient.connectionpool.select", gevent.select)


def test_a_read_that_is_ended_leaves_the_next_one_its_connection() -> None:
    """The reader is ended when all is sent, wherever it is: here while it takes its connection."""
    with serving() as url:
        getter = Getter(Address.parse(url), timeout_s=TIMEOUT_S)
        assert getter(PATH)
        is_time = gevent.event.Event()
        reading = gevent.spawn(lambda: is_time.wait() and getter(PATH))
        gevent.sleep(0)
        is_time.set()
        reading.kill()  # in the same round of the event loop: it has just begun to read
        assert getter(PATH)


@pytest.mark.parametrize(("status", "of_no_use"), [(404, True), (401, True), (503, False), (301, False)])
def test_what_the_target_refuses_is_told_from_what_it_fails_to_do(status: int, of_no_use: bool) -> None:
    """Asking again is of no use, or may be of some."""
    behaviour = Behaviour()
    behaviour.gate_status = status
    with serving(behaviour) as url, pytest.raises(RepliesError) as error:
        Getter(Address.parse(url), timeout_s=TIMEOUT_S)(PATH)
    assert str(error.value) == f"GET /api/gate/replies answered {status}"
    assert isinstance(error.value, NoSuchRepliesError) is of_no_use
