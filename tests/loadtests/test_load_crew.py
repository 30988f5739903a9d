import time
from collections.abc import Callable
from typing import Any, cast

import gevent
from load_targets import load_limits

from loadtests.address import Address
from loadtests.book import Outcome
from loadtests.crew import DONE, ORDER, SETTLED, STOP, Crew, await_workers
from loadtests.messages import new_run
from loadtests.order import Order, Stream
from loadtests.scenarios import Phase, Scenario


class Node:
    """A worker as Locust's master knows it."""

    def __init__(self, name: str) -> None:
        self.id, self.state = name, "ready"


class Clients(dict[str, Node]):
    """All workers."""

    @property
    def ready(self) -> list[Node]:
        """Those that wait for work."""
        return list(self.values())


class Message:
    """What a worker tells."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.node_id, self.data = name, data


class FakeMaster:
    """Locust's master: keeps what is sent, and lets a test be the workers."""

    def __init__(self, *names: str) -> None:
        self.clients = Clients((name, Node(name)) for name in names)
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self._listeners: dict[str, Callable[..., None]] = {}

    def register_message(self, what: str, listener: Callable[..., None]) -> None:
        """As Locust's."""
        self._listeners[what] = listener

    def send_message(self, what: str, words: dict[str, Any], client_id: str) -> None:
        """As Locust's."""
        self.sent.append((client_id, what, words))

    def tell(self, name: str, what: str, **words: Any) -> None:
        """Let worker *name* tell the master something."""
        self._listeners[what](msg=Message(name, words))


def order() -> Order:
    """Ten webhooks, due now, which are overdue only long after a test would have failed."""
    scenario = Scenario(
        name="steady",
        about="",
        phases=[Phase(seconds=0.1, rate_per_s=100)],
        load=load_limits(warmup_s=0, answer_timeout_s=60),
        even=True,
    )
    return Order(
        scenario=scenario,
        host=Address(False, "::1", 80, ""),
        baseline=None,
        runs={Stream.CANDIDATE: new_run()},
        health_answer_s=0.1,
        start_s=time.time(),
    )


def crew_of(master: FakeMaster, expected: int = 2) -> Crew:
    """The crew of this master."""
    return Crew(cast(Any, master), expected)


USE = ["here", 2, 0.1, 1.0]


class Settled(list[tuple[int, Outcome]]):
    """What was settled."""

    def __call__(self, _stream: Stream, index: int, outcome: Outcome) -> None:
        """Note it."""
        self.append((index, outcome))


def test_every_worker_gets_its_part_of_the_order() -> None:
    """Each the same order with a number of its own, of as many parts as there are workers."""
    master, settled = FakeMaster("a", "b"), Settled()
    crew = crew_of(master)
    running = gevent.spawn(crew.carry_out, order(), settled)
    gevent.sleep(0)
    orders = [Order.model_validate_json(words["order"]) for _, what, words in master.sent if what == ORDER]
    assert [(told.part, told.parts) for told in orders] == [(0, 2), (1, 2)]
    for name in "ab":
        master.tell(name, SETTLED, number=1, stream="candidate", rows=[[ord(name), 0.01, 0.02, None]])
        master.tell(name, DONE, number=1, use=USE)
    assert running.get(timeout=30) is None
    assert settled == [(97, Outcome(0.01, 0.02)), (98, Outcome(0.01, 0.02))]
    assert [use.host for use in crew.use()[:2]] == ["here", "here"]


def test_missing_worker_has_a_part_all_the_same() -> None:
    """Of two that were expected one came: it sends half, and the other half is said to be missing."""
    master = FakeMaster("a")
    crew = crew_of(master)
    running = gevent.spawn(crew.carry_out, order(), Settled())
    gevent.sleep(0)
    assert Order.model_validate_json(master.sent[0][2]["order"]).parts == 2
    master.tell("a", DONE, number=1, use=USE)
    assert running.get(timeout=30) == "generator: 1 of 2 workers were lost"


def test_worker_that_went_missing_is_not_waited_for() -> None:
    """Locust notes that it has not heard of it; what it had told counts."""
    master, settled = FakeMaster("a", "b"), Settled()
    running = gevent.spawn(crew_of(master).carry_out, order(), settled)
    gevent.sleep(0)
    master.tell("b", SETTLED, number=1, stream="candidate", rows=[[1, 0.01, 0.02, None]])
    master.tell("a", DONE, number=1, use=USE)
    master.clients["b"].state = "missing"
    assert running.get(timeout=30) == "generator: 1 of 2 workers were lost"
    assert len(settled) == 1


def test_words_about_an_order_that_has_ended_are_not_heard() -> None:
    """What they tell of was counted as unsent already: it must not be counted again, nor in another order."""
    master, settled = FakeMaster("a"), Settled()
    crew = crew_of(master, 1)
    late = {"number": 1, "stream": "candidate", "rows": [[1, 0.01, 0.02, None]]}
    running = gevent.spawn(crew.carry_out, order(), settled)
    gevent.sleep(0)
    master.tell("a", DONE, number=1, use=USE)
    running.get(timeout=30)
    master.tell("a", SETTLED, **late)
    running = gevent.spawn(crew.carry_out, order(), settled)
    gevent.sleep(0)
    master.tell("a", SETTLED, **late)
    master.tell("a", DONE, number=1, use=USE)
    assert not running.ready()
    master.tell("a", DONE, number=2, use=USE)
    assert running.get(timeout=30) is None
    assert settled == []


def test_stop_is_told_to_all_who_are_there() -> None:
    """With the number of the order that is to end."""
    master = FakeMaster("a", "b", "c")
    crew = crew_of(master, 3)
    del master.clients["b"]
    crew.stop()
    assert [(name, what) for name, what, _ in master.sent] == [("a", STOP), ("c", STOP)]


def test_workers_are_waited_for_so_long() -> None:
    """True as soon as enough are there, False when the time is over."""
    master = FakeMaster("a")
    assert await_workers(cast(Any, master), 1, 0)
    assert not await_workers(cast(Any, master), 2, 0)
    coming = gevent.spawn_later(0.01, master.clients.__setitem__, "b", Node("b"))
    assert await_workers(cast(Any, master), 2, 5)
    coming.join()
