"""The same settings as arguments and as a file."""

from __future__ import annotations

from contracts.durability import DURABLE, as_arguments, as_file


def test_every_write_is_synced() -> None:
    """What a webhook's sender was told of as accepted outlives a power cut."""
    assert (DURABLE["appendonly"], DURABLE["appendfsync"]) == ("yes", "always")


def test_an_empty_value_is_an_argument_of_its_own_and_quoted_in_a_file() -> None:
    """`save ""` turns snapshots off; without the value, Redis would not start."""
    options = {"appendonly": "yes", "save": ""}
    assert as_arguments(options) == ["--appendonly", "yes", "--save", ""]
    assert as_file(options) == 'appendonly yes\nsave ""\n'
