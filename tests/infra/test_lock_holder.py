from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lock_holder import Holder, Kind, place
from infra.provenance import operator


@given(
    st.text(),
    st.sampled_from(Kind),
    st.text(),
    st.integers(min_value=0),
    st.floats(min_value=0, max_value=1e9),
    st.lists(st.sampled_from(["job-1", "job-2", "laptop.local"])),
)
def test_labels_keep_all(
    by: str, kind: Kind, message: str, pid: int, started: float, gone: list[str]
) -> None:
    """Whatever a message holds, it comes back as it was."""
    since = "2026-11-24T12:40:31+00:00"
    holder = Holder(by or "x", kind, message, since, "token", pid, started, "place", tuple(gone))
    assert Holder.from_labels(holder.as_labels()) == holder


@given(st.dictionaries(st.sampled_from(list(Holder.here(Kind.MANUAL, "").as_labels())), st.text()))
def test_any_labels_are_some_holder(labels: dict[str, str]) -> None:
    """Damaged ones too: nothing raises, nothing that is not a live process of ours is called one."""
    holder = Holder.from_labels(labels)
    assert str(holder).isprintable()
    assert not holder.is_gone


def test_here_is_this_process() -> None:
    """It can be judged, and lives; a person's lock has no process."""
    holder = Holder.here(Kind.PROCESS, "up")
    assert (holder.by, holder.pid, holder.place) == (operator(), os.getpid(), place())
    assert (holder.is_near, holder.is_gone) == (True, False)
    frozen = Holder.here(Kind.MANUAL, "freeze")
    assert (frozen.pid, frozen.place, frozen.is_near, frozen.is_gone) == (0, "", False, False)
    assert frozen.token != Holder.here(Kind.MANUAL, "freeze").token


def test_another_process_sees_the_same_start() -> None:
    """However long we run, and from wherever it is looked at."""
    program = (
        "import sys; from infra.lock_holder import Holder, Kind; import os\n"
        f"print(Holder.from_labels({Holder.here(Kind.PROCESS, 'up').as_labels()!r}).is_gone)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_setting_the_clock_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start is counted from the machine's, which moves with the clock."""
    holder = Holder.here(Kind.PROCESS, "up")
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3600)
    monkeypatch.setattr("psutil.boot_time", lambda: boot + 3600)
    assert not holder.is_gone


def test_a_zombie_is_gone() -> None:
    """It has ended; only its parent has not looked yet."""
    holder = Holder.here(Kind.PROCESS, "up")
    process = subprocess.Popen(["sleep", "60"])
    theirs = psutil.Process(process.pid)
    started = round(theirs.create_time() - psutil.boot_time(), 2)
    assert not replace(holder, pid=process.pid, started=started).is_gone
    process.kill()
    while theirs.status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    assert replace(holder, pid=process.pid, started=started).is_gone
    process.wait()


@pytest.mark.parametrize(("answer", "is_gone"), [(PermissionError(), False), (ProcessLookupError(), True)])
def test_a_process_that_is_hidden_from_us_lives(
    monkeypatch: pytest.MonkeyPatch, answer: OSError, is_gone: bool
) -> None:
    """Where users do not see each other's processes, one that may not be signalled is there."""
    holder = replace(Holder.here(Kind.PROCESS, "up"), pid=2**22 + 1)

    def kill(_pid: int, _signal: int) -> None:
        raise answer

    monkeypatch.setattr("os.kill", kill)
    assert holder.is_gone is is_gone


def test_a_container_with_our_name_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process numbers are its own: the namespace tells."""
    here = place()
    monkeypatch.setattr(Path, "readlink", lambda _path: Path("pid:[4026532000]"))
    assert place() != here


def test_a_machine_that_tells_nothing_has_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name must do."""

    def fail(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    monkeypatch.setattr(Path, "readlink", fail)
    assert len(place()) == 16
