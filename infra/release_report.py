"""What is known of a release beside its suites' reports, in its folder; and its page, made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra.errors import Refused
from infra.manifest import BUILD
from infra.release_page import render
from infra.suites import Depth

_FACTS = "release.json"


def release_folder(stack: str, release: str, order: Mapping[str, Any]) -> Path:
    """Where the evidence on *release* of *stack* lies, on the machine that tried it.

    *order*: of the update, as the state keeps it. That of a full gate is kept when the release comes back.
    """
    folder = BUILD / "reports" / stack / release
    return folder if order["gate"] == Depth.FULL else folder / order["verb"]


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    """Add *facts* to those that are known and make the page.

    A page that cannot be made is a warning: it stops no release.
    """
    file = folder / _FACTS
    known = _known(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**known, **facts}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        render(folder)
    except (OSError, Refused) as error:
        pulumi.log.warn(f"the release's page could not be written: {error}")


def facts_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of who deployed what, how and why; *entry* as the state keeps it."""
    order = entry["order"]
    names = ("stack", "image", "at", "by", "commit", "branch", "behind")
    known = {name: entry.get(name) for name in names}
    return {
        **known,
        "dirty": bool(entry.get("dirty")),
        "gate": order["gate"],
        "reason": order["reason"] or None,
    }


def _known(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
