"""A process that has loaded a large program, and is forked for each of its runs: they take less time.

    host = ForkingHost(Path("…_host.py"))           # that file loads the program and calls `serve`
    done = host.run(["--option"], env, folder)

A run is a process of its own, with its own environment, folder and output; none knows of another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

LONGEST_S = 600
"""A run that takes longer is killed."""


class ForkingHost:
    """The host that *program* is; started at the first run, it ends with this process."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """One run to its end, with nothing in its environment but *env*."""
        with tempfile.TemporaryDirectory() as place:
            output, errors = Path(place, "output"), Path(place, "errors")
            files = {"output": str(output), "errors": str(errors)}
            run = {"arguments": list(arguments), "environment": dict(env), "folder": str(folder), **files}
            code = self._exit_code(run)
            return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    def _exit_code(self, run: Mapping[str, object]) -> int:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, self._program],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(run) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def serve(main: Callable[[list[str]], int]) -> None:
    """Be the host: carry out each run with *main*, which has its arguments, until standard input ends."""
    for line in sys.stdin:
        run = json.loads(line)
        child = os.fork()
        if child == 0:
            _be(run, main)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _be(run: dict[str, Any], main: Callable[[list[str]], int]) -> None:
    """Be the run; never returns."""
    signal.alarm(LONGEST_S)
    os.environ.clear()
    os.environ.update(run["environment"])
    os.chdir(run["folder"])
    for stream, place in ((0, os.devnull), (1, run["output"]), (2, run["errors"])):
        opened = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    code = 70
    try:
        code = main(run["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
