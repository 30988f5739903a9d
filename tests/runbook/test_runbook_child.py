from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runbook.child import child_beside, run_child


def test_the_exit_code_is_the_programs(tmp_path: Path) -> None:
    """It runs in the folder, with the environment added to ours, and nothing to read."""
    script = 'test -z "$(cat)" && test "$PWD" = "$HERE" && test -n "$PATH" && exit 7'
    here = str(tmp_path.resolve())
    assert run_child(["bash", "-c", script], folder=tmp_path, env={"HERE": here}) == 7


def test_both_outputs_go_where_they_are_sent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """*output* takes both streams; nothing is shown."""
    with (tmp_path / "said").open("wb") as output:
        run_child(["sh", "-c", "echo out; echo err >&2"], folder=tmp_path, output=output)
    assert (tmp_path / "said").read_text() == "out\nerr\n"
    assert capfd.readouterr() == ("", "")


def test_it_has_a_session_of_its_own(tmp_path: Path) -> None:
    """A terminal's Ctrl-C does not reach it beside our own signal, which would be the second."""
    with (tmp_path / "said").open("wb") as output:
        run_child([sys.executable, "-c", "import os; print(os.getsid(0))"], folder=tmp_path, output=output)
    assert int((tmp_path / "said").read_text()) != os.getsid(0)


STUBBORN = """
import signal
signal.alarm(120)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
for word in ("ready", "asked"):
    print(word, flush=True)
    signal.sigwait([signal.SIGINT])
"""


def test_interrupted_again_it_is_told_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The first interrupt is one SIGINT, by which a program ends in order; the second another: at once."""
    reader, writer = os.pipe()
    words: list[str] = []

    def interrupt_at_each_word() -> None:
        with os.fdopen(reader) as lines:
            for line in lines:
                words.append(line.strip())
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_at_each_word)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_child([sys.executable, "-c", STUBBORN], folder=tmp_path, output=writer)
    os.close(writer)
    thread.join()
    assert words == ["ready", "asked"]
    assert "interrupt again to stop at once" in capfd.readouterr().err


PARENT = """
import psutil, subprocess
from runbook.child import stop_children
ours = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
grandchild = psutil.Process(int(ours.stdout.readline()))
daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
stop_children()
gone, alive = psutil.wait_procs([psutil.Process(ours.pid), grandchild], timeout=60)
print(len(gone), daemon.poll())
daemon.kill()
"""


def test_what_is_at_work_is_ended_and_a_daemon_is_not() -> None:
    """Children are told to end, and theirs; what was started to stay, in a session of its own, stays."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["2", "None"]


def test_a_child_beside_runs_while_the_block_goes_on(tmp_path: Path) -> None:
    """The block sees what it does; at the end its exit code can be waited for."""
    os.mkfifo(tmp_path / "door")
    script = "cat door; exit 7"
    with (
        (tmp_path / "said").open("wb") as output,
        child_beside(["sh", "-c", script], folder=tmp_path, output=output) as wait,
    ):
        (tmp_path / "door").write_text("opened")  # it would block for ever if nobody read
        assert wait() == 7
    assert (tmp_path / "said").read_text() == "opened"


def test_an_interrupted_block_stops_the_child_beside(tmp_path: Path) -> None:
    """Ctrl-C in what goes on meanwhile ends it too."""
    with (
        (tmp_path / "said").open("wb") as output,
        pytest.raises(KeyboardInterrupt),
        child_beside(["sleep", "60"], folder=tmp_path, output=output) as wait,
    ):
        raise KeyboardInterrupt
    assert wait() == -signal.SIGINT
