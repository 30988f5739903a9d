"""Log lines in a folder, and a collector's container that has them."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import NotFound
from fake_engine import Thing

from runbook.cli import main, run_command_line
from runbook.log_copy import FOLDER

NOW_MS = 1_796_000_000_000
WEB = {"container": "runbook-dev-web-1-r-1234567", "role": "web", "release": "r-1234567", "stream": "stdout"}


def line(msg: str, time: int = NOW_MS, level: str = "info", **more: object) -> str:
    """One as the collector keeps it."""
    return json.dumps({"msg": msg, "level": level, "time": time, **WEB, **more}) + "\n"


def write_segment(
    folder: Path,
    class_name: str,
    *lines: str,
    opened: int = NOW_MS,
    is_open: bool = False,
    packed: bool = False,
) -> Path:
    """A segment of those lines, by the name that the collector gives it."""
    times = [json.loads(each)["time"] for each in lines if each.endswith("}\n")]
    name = (
        f"{opened:013d}-open.jsonl" if is_open else f"{opened:013d}-{min(times):013d}-{max(times):013d}.jsonl"
    )
    path = folder / class_name / (name + ".gz" * packed)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(lines).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def type_logs(*words: str) -> int:
    """The exit code of `bin/runbook logs WORDS`."""
    try:
        main(lambda: run_command_line(["logs", *words]))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@dataclass
class FakeCollector(Thing):
    """A collector's container whose folder is one of this machine; `fetched` names what was copied out."""

    folder: Path = Path()

    def __post_init__(self) -> None:
        self.answer = self._run
        for name in ("rest", "webhooks", "refusals", "received"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def _run(self, command: list[str]) -> tuple[int, str]:
        here = [word.replace(FOLDER, str(self.folder)) for word in command]
        done = subprocess.run(here, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.replace(str(self.folder), FOLDER)

    def get_archive(self, path: str, **_options: int) -> Any:
        self.done.append(path)
        source, archive = Path(path.replace(FOLDER, str(self.folder))), io.BytesIO()
        if not source.exists():
            raise NotFound("no such file")
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(source, source.name)
        content = archive.getvalue()
        return (content[at : at + 1000] for at in range(0, len(content), 1000)), {}
