"""One question to a stack's log lines, answered by `jq` and by `bin/runbook logs`, from the same plain files.

Which webhooks failed in the last hour? `jq` lists them all. The verb lists the newest hundred and says how
many there are, as it does when it is typed. Each is a program of its own, its start included.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.programs import REPOSITORY, python
from benchmarks.progress import Say
from benchmarks.report import LogQuery, LogSide
from benchmarks.sizes import Sizes

SEED = 20_261_201
SPAN_MS = 7_200_000
"""Two hours of lines: the question is about the second half."""
BEGIN_MS = 1_796_000_000_000
SINCE_MS = BEGIN_MS + SPAN_MS // 2
_REASONS = (
    "the signature does not fit the body",
    "no signature was given",
    "the caller's address has used up its share of this minute",
    "event: should be an object",
    "the queue cannot be reached",
)
_REPLICAS = (("web-1", "r-3f2a9c1"), ("web-2", "r-3f2a9c1"), ("web-1", "r-b81d002"), ("web-2", "r-b81d002"))

LISTED = 100


def measure_logs(within: Path, sizes: Sizes, say: Say) -> LogQuery:
    """Ask both by turns.

    Raises:
        BenchError: one failed, or their answers differ.
    """
    with tempfile.TemporaryDirectory(prefix="logs-", dir=within) as name:
        files = write_lines(Path(name), sizes.log_lines)
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        seconds: dict[LogSide, list[float]] = {"jq": [], "ours": []}
        for number in range(sizes.rounds):
            jq_s, asked_jq = _timed(_by_jq(files))
            ours_s, asked_us = _timed(_by_runbook(Path(name)))
            count = compare_answers(asked_jq, asked_us)
            seconds["jq"].append(round(jq_s, 3))
            seconds["ours"].append(round(ours_s, 3))
            say(f"logs, round {number + 1}: jq {jq_s:.2f} s, ours {ours_s:.2f} s")
    return summary(sizes.log_lines, megabytes, seconds, count)


def summary(lines: int, megabytes: float, seconds: dict[LogSide, list[float]], found: int) -> LogQuery:
    """What the rounds come to: the ratio is taken round by round, and its median counts."""
    ratios = [jq_s / ours_s for jq_s, ours_s in zip(seconds["jq"], seconds["ours"], strict=True)]
    return LogQuery(
        lines=lines,
        megabytes=round(megabytes, 1),
        rounds=seconds,
        median_s={side: statistics.median(some) for side, some in seconds.items()},
        ratio=statistics.median(ratios),
        ratio_range=(min(ratios), max(ratios)),
        found=found,
    )


def write_lines(folder: Path, count: int) -> list[Path]:
    """*count* lines as a stack of two replicas and two releases keeps them, a file each; always the same."""
    files = []
    for number, (replica, release) in enumerate(_REPLICAS):
        first, last = BEGIN_MS, BEGIN_MS + SPAN_MS
        path = folder / "rest" / f"{BEGIN_MS + number:013d}-{first:013d}-{last:013d}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="ascii") as file:
            file.writelines(_lines(random.Random(SEED + number), count // len(_REPLICAS), replica, release))  # noqa: S311
        files.append(path)
    return files


def _lines(chance: random.Random, count: int, replica: str, release: str) -> Iterator[str]:
    """Nine of ten webhooks are good: received, verified, processed; the tenth is refused."""
    whose = {
        "container": f"runbook-prod-{replica}-{release}",
        "role": "web", "release": release, "stream": "stdout",
    }  # fmt: skip
    for number in range(count):
        if number % 3 == 0:
            about = {"webhook": True, "requestId": f"{chance.getrandbits(128):032x}", "lane": "live"}
            is_bad = chance.random() < 0.1
            chat = f"{chance.getrandbits(64):016x}"
        time_ms = BEGIN_MS + SPAN_MS * number // count
        if number % 3 == 0:
            fields = {
                "msg": "Webhook received",
                "event": "received",
                **about,
                "bytes": chance.randrange(500, 900),
            }
        elif is_bad:
            fields = {
                **about, "ip": f"203.0.113.{chance.randrange(256)}", "reason": chance.choice(_REASONS),
                "security": True, "action": "invalid_signature", "level": "warning", "event": "failed",
                "msg": "Invalid webhook signature",
            }  # fmt: skip
        elif number % 3 == 1:
            fields = {
                "msg": "Webhook verified",
                "event": "verified",
                **about,
                "outcome": "accepted",
                "chat": chat,
            }
        else:
            fields = {
                "msg": "Message processed", "event": "processed", **about, "chat": chat, "outcome": "sent",
                "waitedMs": chance.randrange(300, 4000), "attempt": 1,
            }  # fmt: skip
        yield json.dumps({"level": "info", **fields, "time": time_ms, **whose}, separators=(",", ":")) + "\n"


def _by_jq(files: Sequence[Path]) -> list[str]:
    question = f'select(.webhook == true and .event == "failed" and .time >= {SINCE_MS})'
    return ["jq", "-c", question, *map(str, files)]


def _by_runbook(folder: Path) -> list[str]:
    since = datetime.fromtimestamp(SINCE_MS / 1000, UTC).isoformat()
    where = ("--since", since, "--folder", str(folder))
    return python("runbook", "logs", "failed-webhooks", *where, "--limit", str(LISTED), "--json")


def _timed(command: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    spent_s = time.perf_counter() - began
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with exit code {done.returncode}", done.stderr[-500:])
    return spent_s, done


def compare_answers(jq: subprocess.CompletedProcess[str], ours: subprocess.CompletedProcess[str]) -> int:
    """How many lines both found.

    Raises:
        BenchError: the numbers differ, or what the verb lists is not the newest of what jq lists.
    """
    found = jq.stdout.splitlines()
    newest = sorted((json.loads(line)["time"] for line in found), reverse=True)[:LISTED]
    listed = [json.loads(line)["time"] for line in reversed(ours.stdout.splitlines())]
    if f"{len(listed)} of {len(found)} lines" not in ours.stderr or listed != newest:
        raise BenchError(
            f"jq finds {len(found)} lines, the verb {ours.stderr.strip()}", "one of them is wrong"
        )
    return len(found)
