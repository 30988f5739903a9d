"""What is known of a release beside its suites' reports, in its folder; and its page, made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra.errors import Refused
from infra.release_page import render
from infra.release_record import ReleaseRecord

_FACTS = "release.json"


def write(folder: Path, facts: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
    """Add *facts* to those that are known, and *files* (text by name), and make the page.

    What cannot be written is a warning: it stops no release. The folder may be missing in a fresh checkout.
    """
    file = folder / _FACTS
    known = _known(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (files or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        file.write_text(json.dumps({**known, **facts}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        render(folder)
    except (OSError, Refused) as error:
        pulumi.log.warn(f"the release's page could not be written: {error}")


def write_traffic(folder: Path, record: ReleaseRecord) -> None:
    """Add how a release did with live traffic."""
    outcome = {"outcome": "refused", "refusal": record.refusal} if record.refusal else {"outcome": "live"}
    write(folder, outcome, {"traffic.json": record.traffic.model_dump_json()} if record.traffic else {})


def facts_of(record: ReleaseRecord) -> dict[str, Any]:
    """What the page says of who deployed what, how and why."""
    names = ("stack", "image", "at", "by", "commit", "branch", "behind", "dirty")
    known = {name: getattr(record, name) for name in names}
    return {**known, "gate": str(record.depth), "reason": record.reason or None}


def _known(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
