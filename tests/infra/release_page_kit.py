"""Folders of releases as a gate leaves them: one that passed, one that was refused. The same at each run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release_page_series import RELEASE, containers_series, load_series

from contracts.verdict import Check, Report, Verdict

REFUSED, LIVE_BEFORE = "r-41c09be", "r-df68686"


def release(**more: Any) -> dict[str, Any]:
    """A release.json of one that went live."""
    return {
        "release": RELEASE,
        "stack": "prod",
        "at": "2026-11-24T12:40:31+00:00",
        "by": "mara@deploy-1",
        "commit": "4cb1406a92d1+",
        "branch": "main",
        "dirty": True,
        "behind": 2,
        "image": f"runbook/service:{RELEASE}",
        "gate": "full",
        "verdict": "pass",
        "refusal": [],
        "live_before": LIVE_BEFORE,
        "outcome": "live",
        "reason": None,
        **more,
    }


def check(name: str, value: float | str | None, limit: float | str | None, **more: Any) -> Check:
    """A check, which passed unless *more* has another verdict."""
    return Check.model_validate(
        {"name": name, "verdict": "pass", "value": value, "limit": limit, "samples": 3000, **more}
    )


def report(suite: str, checks: list[Check], duration_s: float, **more: Any) -> dict[str, Any]:
    """A report as its suite writes it."""
    return {**Report.of(suite, checks, duration_s).model_dump(mode="json"), **more}


def smoke_checks() -> list[Check]:
    """A smoke suite's checks, all passed."""
    refusals = {
        "forged signature is refused": ("unsigned", "of another secret", "truncated", "over other bytes"),
        "malformed body is refused": ("cut off", "not UTF-8", "not an object"),
    }
    answered = ("text", "media without media", "group", "reply", "@lid", "non-ASCII", "60 KB")
    services = ("database", "redis", "inngest", "sentry", "email", "waha")
    return [
        check("ready", 0.51, 45, unit="s", samples=3),
        check("webhook answers in time", 0.0021, 3, unit="s", samples=14),
        check("health answers in time", 0.02, 5, unit="s", samples=3),
        *(check(f"health of {name}", "up", "up", samples=1) for name in services),
        *(check(f"{name} [{how}]", 401, "401", samples=1) for name, all_ in refusals.items() for how in all_),
        *(check(f"message is answered once [{kind}]", 0.04, 15, unit="s", samples=1) for kind in answered),
        check("metrics are there", 129, "at least 1", unit="metrics", samples=1),
        check("nothing was answered twice", 0, 0, unit="messages", samples=21),
    ]


def load_checks(series: dict[str, Any]) -> list[Check]:
    """A load suite's checks against live, judged as their figures in *series* deserve."""
    limits = {"steady": (500, 3000), "burst": (1500, 6000), "duplicates": (500, 3000)}
    checks = [check("sent on time", 1.0, 0.95, detail="latest 7 ms, generator used 0.06 cores")]
    for scenario in series["scenarios"]:
        prefix = "" if scenario["name"] == "steady" else f"{scenario['name']}: "
        checks += _scenario_checks(scenario["seconds"], prefix, *limits[scenario["name"]])
    checks += _against_live(series["scenarios"][0]["seconds"])
    return [*checks, check("generator CPU", 0.21, 0.85, samples=180)]


def _scenario_checks(
    seconds: list[dict[str, Any]], prefix: str, webhook_ms: float, reply_ms: float
) -> Iterator[Check]:
    sent, failed = (sum(second[name] for second in seconds) for name in ("sent", "failed"))

    def upper(name: str, field: str, limit: float) -> Check:
        highest = sorted(second[field] for second in seconds)[-len(seconds) // 20]
        return check(prefix + name, highest, limit, unit="ms", samples=sent - failed)

    yield check(
        f"{prefix}error rate",
        failed / sent,
        0.01,
        verdict="fail" if failed >= 0.01 * sent else "pass",
        samples=sent,
        detail=f"500 Internal Server Error: {failed}" if failed else "",
    )
    yield upper("webhook p95", "p95_ms", webhook_ms)
    slowest = max(second["max_ms"] for second in seconds)
    yield check(f"{prefix}slowest webhook", slowest, 3000, unit="ms", samples=sent - failed)
    yield upper("reply p95", "reply_p95_ms", reply_ms)
    yield check(f"{prefix}lost", 0, 0, unit="messages", samples=sent - failed)
    yield check(f"{prefix}doubled", 0, 0, unit="messages", samples=sent - failed)


_COMPARED = ("p50_ms", "baseline_p50_ms", "p95_ms", "baseline_p95_ms")


def _against_live(seconds: list[dict[str, Any]]) -> Iterator[Check]:
    def middle(field: str) -> float:
        return float(sorted(second[field] for second in seconds)[len(seconds) // 2])

    for name, times in (("webhook against live", 1.0), ("reply against live", 2.1)):
        p50, live_p50, p95, live_p95 = (times * middle(field) for field in _COMPARED)
        ratio = p95 / live_p95
        yield check(
            name,
            round(ratio, 3),
            1.25,
            verdict="fail" if ratio > 1.25 else "pass",
            detail=f"p50 {p50:.2f} ms against {live_p50:.2f} ms, p95 {p95:.2f} ms against {live_p95:.2f} ms; "
            f"{0.95 * ratio:.2f} to {1.06 * ratio:.2f} at 99 %",
        )


def containers_checks() -> list[Check]:
    """What the containers needed, all within limits."""
    return [
        check("memory of web", 70.7, 217.6, unit="MB", samples=360, detail="85 % of the limit of 256 MB"),
        check("memory of worker", 73.9, 217.6, unit="MB", samples=180, detail="85 % of the limit of 256 MB"),
        check("restarts", 0, 0, samples=3),
        check("killed for memory", 0, 0, samples=3),
    ]


def traffic_checks() -> list[Check]:
    """What moving the traffic cost: nothing."""
    return [
        check("lost while moving", 0, 0, unit="webhooks", samples=412),
        check("slowest while moving", 38.0, 3000, unit="ms", samples=412),
    ]


def passed(folder: Path) -> Path:
    """A release that passed its whole gate and went live."""
    left_out = ["TLS: the address is http", "logs: no --logs-command"]
    series = load_series()
    return written(
        folder,
        {
            "release.json": release(),
            "smoke.json": report("smoke", smoke_checks(), 9.8, left_out=left_out),
            "load.json": report("load", load_checks(series), 184.2),
            "containers.json": report("containers", containers_checks(), 180.0),
            "traffic.json": report("traffic", traffic_checks(), 8.2),
            "load.series.json": series,
            "containers.series.json": containers_series(),
            "smoke.log": "............ [100%]\nsmoke: pass\n",
            "load.log": "load: pass\n",
        },
    )


def refused(folder: Path) -> Path:
    """A release that, after a while, answers some webhooks with 500 and all others late."""
    series = load_series(failing_from=18)
    checks = load_checks(series)
    stopped_by = [f"  {check}" for check in checks if check.verdict is not Verdict.PASS]
    told = release(
        release=REFUSED,
        image=f"runbook/service:{REFUSED}",
        verdict="fail",
        outcome="refused",
        refusal=[f"gate: load refused release {REFUSED} (fail):", *stopped_by],
        commit="9be01d2c44ef",
        dirty=False,
        behind=None,
        reason="hotfix: replies to groups",
    )
    return written(
        folder,
        {
            "release.json": told,
            "smoke.json": report("smoke", smoke_checks(), 9.6),
            "load.json": report("load", checks, 184.9),
            "load.series.json": series,
            "smoke.log": "smoke: pass\n",
            "load.log": load_log(),
        },
    )


def load_log() -> str:
    """What Locust prints, with the colours of a terminal."""
    lines = [
        f"[2026-11-24 12:36:{second:02}] deploy-1/\x1b[33mWARNING\x1b[0m/load: webhook {second * 50} got 500"
        for second in range(18, 60)
    ]
    return "\n".join([*lines, "load: \x1b[31mfail\x1b[0m", ""])


def written(folder: Path, files: dict[str, Any]) -> Path:
    """*folder*, with each of *files* in it: text as it is, all else as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8")
    return folder
