from __future__ import annotations

import datetime
import subprocess
import sys
import threading

import pytest

from infra.base_images import BaseImage, Origin, Role
from runbook.errors import RunbookError
from runbook.preparation import old_images, prepare, side_by_side


def test_parts_are_done_side_by_side() -> None:
    """Each here waits for the others."""
    together = threading.Barrier(3, timeout=60)
    side_by_side(*[together.wait] * 3)


def test_a_part_that_fails_ends_no_other() -> None:
    """What the others have made is there at the next run; then the first failure is told."""
    done: list[int] = []

    def fail() -> None:
        raise RunbookError("no CLI", "")

    with pytest.raises(RunbookError, match="no CLI"):
        side_by_side(fail, lambda: done.append(1))
    assert done == [1]


INTERRUPTED = """
import os, signal, subprocess, time
from functools import partial
from runbook import cli
from runbook.errors import RunbookError
from runbook.preparation import side_by_side
def work(first="true"):
    for command in (first, "true", "true"):
        subprocess.run(["sh", "-c", f"{command}; exec sleep 600"])
try:
    cli.main(partial(side_by_side, work, partial(work, f"kill -TERM {os.getpid()}")))
except KeyboardInterrupt:
    print("stopped")
"""


def test_told_to_stop_it_does_not_wait_for_the_work() -> None:
    """A build of minutes is ended, not waited for."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "stopped\n", done.stderr


@pytest.mark.parametrize("refresh_images", [False, True])
def test_base_images_are_made_anew_only_when_that_is_asked_for(
    refresh_images: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is seen which there are."""
    module, did = "runbook.preparation", list[str]()
    for name in ("ensure_engine", "ensure_cli", "ensure_site", "refresh_all", "ensure_all"):
        monkeypatch.setattr(f"{module}.{name}", lambda *_, name=name, **_options: did.append(name))
    images = [BaseImage(Role.REDIS, "x", Origin.DEBIAN)]
    monkeypatch.setattr(f"{module}.resolve_all", lambda _mode, **_options: images)
    monkeypatch.setattr(f"{module}.age_days", lambda _image, _engine: 0)
    prepare("dev", refresh_images=refresh_images)
    made = [name for name in did if name.endswith("_all")]
    assert made == (["refresh_all", "ensure_all"] if refresh_images else ["ensure_all"])


def test_old_base_images_are_spoken_of() -> None:
    """Each once, with its age, and how newer packages come; not those that are not old, or never change."""

    class Engine:
        def created(self, name: str) -> datetime.datetime:
            days = {"redis:1": 31, "haproxy:1": 30}.get(name, 99)
            return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days, hours=1)

    images = [BaseImage(role, f"{role}:1", Origin.DEBIAN) for role in (Role.REDIS, Role.HAPROXY)]
    [line] = old_images(images, 30, Engine())
    assert line.startswith("the image redis:1 is 31 days old: `bin/runbook up --refresh-images`")
    assert old_images([BaseImage(Role.NODE, "node:v1.8.2", Origin.OFFICIAL)], 30, Engine()) == []
    shared = [BaseImage(role, "runbook/monitors:1", Origin.DEBIAN) for role in (Role.NODE, Role.BLACKBOX)]
    assert len(old_images(shared, 30, Engine())) == 1
