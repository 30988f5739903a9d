from __future__ import annotations

from typing import Any

import pytest

from infra.base_images import Mode
from runbook.errors import RunbookError
from runbook.preparation import mode_in


@pytest.mark.parametrize(
    ("layout", "mode"),
    [
        (None, Mode.AUTO),
        ({}, Mode.AUTO),
        ({"port": 80}, Mode.AUTO),
        ({"images": "official"}, Mode.OFFICIAL),
        ({"images": "debian"}, Mode.DEBIAN),
    ],
)
def test_the_mode_is_the_configurations(layout: dict[str, Any] | None, mode: Mode) -> None:
    """`auto` where it says nothing."""
    assert mode_in({"runbook:layout": layout}) is mode
    assert mode_in({}) is Mode.AUTO


@pytest.mark.parametrize("wrong", ["Official", "", 1, True, None, ["debian"]])
def test_a_wrong_mode_is_an_error(wrong: object) -> None:
    """It quotes the value and names those that are right."""
    with pytest.raises(RunbookError) as refusal:
        mode_in({"runbook:layout": {"images": wrong}})
    assert refusal.value.message == f"the stack's configuration layout.images is {wrong!r}"
    assert refusal.value.hint == "one of auto, official, debian"


@pytest.mark.parametrize("layout", ["debian", ["images"], 7])
def test_a_layout_that_is_no_map_is_an_error(layout: object) -> None:
    """Not a traceback: the program says the same of it later."""
    with pytest.raises(RunbookError, match="layout"):
        mode_in({"runbook:layout": layout})
