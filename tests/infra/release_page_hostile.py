"""Folders of releases whose words try to become markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release_page_kit import check, release, report, smoke_checks, written
from release_page_series import containers_series, load_series

HOSTILE = (
    "</title></style></script></pre></svg><img src=x onerror=\"document.title='owned'\">"
    "<script>document.title='owned'</script>'\"&amp;\x1b[2J\u202e\ud7ff"
)


def everything_named(folder: Path, text: str) -> Path:
    """A folder in whose files every string that is free is *text*."""
    checks = [
        check(text, text, text, unit=text, detail=text, verdict="fail"),
        check(f"{text} against live", 1.5, 1.25, unit=text, detail=text),
    ]
    series = load_series()
    series["scenarios"] = series["scenarios"][:1]
    series["scenarios"][0]["name"] = text
    memory = containers_series()
    for container in memory["containers"]:
        container["name"] = container["role"] = text
    words = ("release", "stack", "by", "commit", "branch", "image", "gate", "live_before", "reason")
    files: dict[str, Any] = {
        "release.json": release(refusal=[text, text], **dict.fromkeys(words, text)),
        "load.series.json": series,
        "containers.series.json": memory,
    }
    for suite in ("smoke", "load", "containers", "traffic"):
        files[f"{suite}.json"] = report(text, checks, 3, left_out=[text])
        files[f"{suite}.log"] = f"begin\n{text}\nend"
    return written(folder, files)


def hostile(folder: Path) -> Path:
    """A release whose suites' words try to become markup, and are too long to fit anywhere."""
    long = HOSTILE + "x" * 400
    failed = check(long, long, long, verdict="fail", detail=long, unit=long)
    close = check(long, 7, 5, verdict="no evidence", unit=long)
    series = load_series()
    series["scenarios"][0]["name"] = long
    words = dict.fromkeys(("release", "by", "branch", "image", "reason", "live_before"), long)
    return written(
        folder,
        {
            "release.json": release(verdict="fail", outcome="refused", refusal=[long], **words),
            "smoke.json": report("smoke", [failed, close, *smoke_checks()], 3, left_out=[long]),
            "load.json": '{"suite": "' + long,
            "load.series.json": series,
            "smoke.log": f"{long}\n" * 30,
        },
    )
