"""Marks of secrecy and names survive, and nothing secret reaches a text."""

from __future__ import annotations

import pytest

from infra.docker_provider import wire
from infra.docker_provider.naming import unique_name
from infra.docker_provider.wire import Secret


def test_round_trip_keeps_values_and_marks() -> None:
    """What is decoded and encoded again is the same, secrets, nulls and whole numbers included."""
    properties = {"a": Secret(["x", {"b": 1}]), "c": None, "d": [True, 2, 2.5, "s"], "e": {}}
    assert wire.decode(wire.encode(properties)) == properties
    assert isinstance(wire.decode(wire.encode({"n": 3}))["n"], int)


def test_one_secret_element_makes_its_list_secret() -> None:
    """As the engine does it for the official provider: the list as a whole, objects member by member."""
    given = {"envs": ["A=1", Secret("P=x")], "build": {"args": Secret("y"), "context": "."}, "name": "n"}
    outputs = {"envs": ["A=1", "P=x"], "build": {"args": "y", "context": "."}, "name": "n", "id": "i"}
    assert wire.conceal(outputs, given) == {
        "envs": Secret(["A=1", "P=x"]),
        "build": {"args": Secret("y"), "context": "."},
        "name": "n",
        "id": "i",
    }


def test_concealing_twice_wraps_once() -> None:
    """State and inputs may both say that a property is secret."""
    assert wire.conceal({"a": "x"}, {"a": Secret("x")}, {"a": Secret("x")}) == {"a": Secret("x")}


@pytest.mark.parametrize("text", ["failed: P=hunter2", "it printed hunter2", "line two-of-it here"])
def test_secret_is_blotted_out_of_a_text(text: str) -> None:
    """The whole secret, the value of a variable, and each line of a longer one."""
    secret = {"envs": Secret(["P=hunter2"]), "uploads": [{"content": Secret("one-of-it\ntwo-of-it")}]}
    shown = wire.without_secrets(text, wire.secret_texts(secret))
    assert "hunter2" not in shown
    assert "two-of-it" not in shown


def test_port_number_in_a_secret_list_stays_readable() -> None:
    """A list is secret as a whole: its harmless flags and ports must not blot out all errors."""
    texts = wire.secret_texts({"envs": Secret(["PORT=8000", "A=1"])})
    assert wire.without_secrets("port 8000 is in use, 1 time", texts) == "port 8000 is in use, 1 time"


def test_secret_does_not_show_in_its_own_repr() -> None:
    """A secret that ends in an error or a log by mistake is not readable there."""
    assert "hunter2" not in repr({"a": Secret("hunter2")})


def test_made_up_name_depends_on_the_seed_only() -> None:
    """The same seed gives the same name; no seed gives another one each time."""
    assert unique_name("a", b"seed") == unique_name("a", b"seed") != unique_name("a", b"other")
    assert unique_name("a", b"") != unique_name("a", b"")
