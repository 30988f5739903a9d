"""The head of the page: which release, what became of it, who deployed it from where, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.verdict import Verdict
from infra.release_page.evidence import Evidence
from infra.release_page.figures import count, moment
from infra.release_page.records import Release

_OUTCOMES = {
    "live": "went live",
    "refused": "was refused",
    "testing": "is being tested",
    "not judged": "was not judged",
}


@dataclass(frozen=True)
class Headline:
    """Title and facts; `verdict` is None where no release.json says it."""

    release: str
    outcome: str
    verdict: Verdict | None
    facts: list[tuple[str, str]]
    refusal: list[str]
    oddities: list[str]


def headline(found: Evidence) -> Headline:
    """What release.json says, or as much as can be said without it."""
    release = found.release
    return Headline(
        release=release.release if release else found.folder,
        outcome=_OUTCOMES[release.outcome] if release and release.outcome else "",
        verdict=release.verdict if release else None,
        facts=list(_facts(release)) if release else [],
        refusal=release.refusal if release else [],
        oddities=list(_oddities(found)),
    )


def _facts(release: Release) -> Iterator[tuple[str, str]]:
    told = {
        "Stack": release.stack,
        "When": moment(release.at) if release.at else None,
        "By": release.by,
        "Why": release.reason,
        "Sources": _sources(release),
        "Image": release.image,
        "Gate": release.gate,
        "Live before": release.live_before,
    }
    yield from ((name, value) for name, value in told.items() if value)


def _sources(release: Release) -> str:
    behind = f"{count(release.behind, 'commit')} behind upstream" if release.behind else ""
    parts = [
        release.commit or "no commit known",
        f"branch {release.branch}" if release.branch else "",
        "with uncommitted changes" if release.dirty else "",
        behind,
    ]
    return ", ".join(filter(None, parts))


def _oddities(found: Evidence) -> Iterator[str]:
    """What keeps this page from being the whole truth."""
    for damage in found.damaged:
        yield f"{damage.file} is damaged: {damage.why}"
    if found.release is None and found.damage("release.json") is None:
        yield "There is no release.json: who deployed this, and what became of it, is not known here."
    if found.release and found.release.verdict is Verdict.PASS:
        for suite, report in found.reports.items():
            if suite == "traffic" and report.verdict is Verdict.NO_EVIDENCE:
                yield "Few live requests came while the traffic moved: its steps are no evidence."
            elif report.verdict is not Verdict.PASS:
                yield f"release.json says pass, {suite}.json says {report.verdict}."
