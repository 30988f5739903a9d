"""What is on the page can be told from its background: in light, in dark and on paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = Path(__file__).parents[2] / "infra/release_page/page.css"

# Pairs of foreground and background as the style sheet uses them, with the contrast that WCAG 2 asks for.
PAIRS = {
    **{(ink, sheet): 4.5 for ink in ("ink", "quiet", "accent", "fail") for sheet in ("sheet", "paper")},
    **{(name, f"{name}-sheet"): 4.5 for name in ("pass", "fail", "none", "idle")},
    **{("ink", f"{name}-sheet"): 4.5 for name in ("fail", "none")},
    **{
        (name, "sheet"): 3
        for name in ("ours", "theirs", "other", "c1", "c2", "c3", "c4", "c5", "c6", "pass", "none")
    },
}


def colours(block: str) -> dict[str, str]:
    """The variables of a block of the style sheet."""
    found = re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block)
    return {
        name: value if len(value) == 7 else "#" + "".join(2 * sign for sign in value[1:])
        for name, value in found
    }


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_what_is_written_and_drawn_can_be_told_from_its_background(scheme: str) -> None:
    """Text 4.5 to 1, lines 3 to 1, in light, in dark and on paper."""
    blocks = re.findall(r":root \{(.*?)\}", CSS.read_text(), re.DOTALL)
    light = colours(blocks[0])
    named = {"light": light, "dark": colours(blocks[1]), "print": {**light, **colours(blocks[2])}}[scheme]
    for (front, back), least in PAIRS.items():
        lighter, darker = sorted((luminance(named[front]), luminance(named[back])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= least, f"{front} on {back}"
