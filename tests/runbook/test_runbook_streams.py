"""What the runbook prints arrives, or is given up, on any terminal, pipe and disk: never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "Störung 42 → später, \udce9"

LINES = f"""
from runbook.console import deliver_result, out, prepare_streams, print_json, say, say_error, show, show_row
from runbook.tables import show_table

text = {TEXT!a}
prepare_streams()
say(text)
show(text)
show_row(text)
show_table(["size"], [[text]])
out.print(text)
print_json({{"text": text}})
say_error(text, text)
deliver_result()
"""

VERB = f"""
from runbook.cli import main
from runbook.console import show
from runbook.errors import RunbookError

def verb():
    show({TEXT!a})
    raise RunbookError({TEXT!a}, "")

main(verb)
"""

LONG = """
from runbook.cli import main
from runbook.console import say, show

def verb():
    for number in range(5_000):
        show(f"line {number}")
        say(f"step {number}")
    open("done", "w").write("done")

main(verb)
"""

SHORT = """
from runbook.cli import main
from runbook.console import show

def verb():
    show("one line")

main(verb)
"""

SECRET = """
from runbook.cli import main
from runbook.console import show_exactly
main(lambda: show_exactly("gr\xfcn"))
"""


def run(code: str, *, shell: str = '"$@"', folder: Path | None = None, **env: str) -> tuple[int, str, str]:
    """Exit code, output and errors of *code*, run by *shell* as `"$@"`."""
    done = subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp437"},
        {"PYTHONIOENCODING": "utf-8"},
        {"LANG": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONUTF8": "1"},
    ],
    ids=lambda env: " ".join(f"{name}={value}" for name, value in env.items()),
)
def test_every_kind_of_line_is_printed_with_stand_ins(env: dict[str, str]) -> None:
    """Results, rows, tables, progress and errors; JSON stays JSON."""
    code, out, err = run(LINES, **env)
    assert code == 0
    assert "Traceback" not in err
    assert (out + err).count("rung 42") == 8
    assert "error: St" in err
    assert "hint: St" in err
    assert json.loads(out[out.index("{") :])["text"] == TEXT


def test_a_verb_speaks_on_any_terminal() -> None:
    """Whatever it prints, and whatever it ends in."""
    code, out, err = run(VERB, PYTHONIOENCODING="ascii")
    assert (code, out) == (1, "St\\xf6rung 42 \\u2192 sp\\xe4ter, \\udce9\n")
    assert err.startswith("error: St\\xf6rung 42")
    assert "Traceback" not in err


def test_a_terminals_own_encoding_is_used(tmp_path: Path) -> None:
    """Where the locale has an encoding of its own, also when Python reads and writes files as UTF-8."""
    if shutil.which("localedef") is None:
        pytest.skip("needs glibc's localedef")
    place = tmp_path / "de_DE.ISO-8859-1"
    subprocess.run(["localedef", "-i", "C", "-f", "ISO-8859-1", place], check=False, capture_output=True)
    env = {"LOCPATH": str(tmp_path), "LC_ALL": place.name, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LINES], env={**os.environ, **env}, capture_output=True, check=False
    )
    assert b"St\xf6rung 42 \\u2192 sp\xe4ter" in done.stdout


def test_who_has_read_enough_is_not_told(tmp_path: Path) -> None:
    """`| head -1` ends the output of a long result, without a word."""
    code, out, err = run(LONG, shell='"$@" 2> err | head -1', folder=tmp_path)
    assert (code, out, err) == (0, "line 0\n", "")
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert "Error" not in (tmp_path / "err").read_text()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_result_that_nobody_reads_is_no_traceback(unbuffered: str) -> None:
    """It is lost in silence, at once or when the program ends, and the exit code says so."""
    env = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": unbuffered}
    nobody, pipe = os.pipe()
    os.close(nobody)
    with os.fdopen(pipe, "w") as output:
        done = subprocess.run(
            [sys.executable, "-c", SHORT],
            env=env,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("shell", ['"$@" > out 2> /dev/full', '"$@" 2>&1 > out | head -1'])
def test_lost_progress_ends_no_work(tmp_path: Path, shell: str) -> None:
    """A full disk under the log, or a reader of it who has gone, is no reason to stop a deployment."""
    run(LONG, shell=shell, folder=tmp_path)
    assert (tmp_path / "done").read_text() == "done"
    assert (tmp_path / "out").read_text().endswith("line 4999\n")


def test_a_result_that_cannot_be_written_is_an_error() -> None:
    """It is not whole: that is said, and the exit code is not 0."""
    code, _, err = run(SHORT, shell='"$@" > /dev/full')
    assert code == 1
    assert "error: standard output: [Errno 28] No space left on device" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_a_value_is_shown_exactly_or_not_at_all() -> None:
    """A secret with a stand-in in it would be another secret."""
    assert run(SECRET, PYTHONIOENCODING="utf-8")[:2] == (0, "grün\n")
    code, out, err = run(SECRET, PYTHONIOENCODING="ascii")
    assert (code, out) == (1, "")
    assert "error: standard output (ascii) cannot show all characters" in err
    assert "gr" not in err.replace("program", "")
