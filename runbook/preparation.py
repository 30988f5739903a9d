"""What a machine needs before Pulumi can run: an engine, the CLI, images. Slow parts side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from contracts.targets import read_targets
from infra.base_images import (
    SERVING,
    BaseImage,
    Mode,
    Origin,
    age_days,
    ensure_all,
    refresh_all,
    resolve_all,
)
from infra.images.engine import ImageEngine
from infra.manifest import REPOSITORY
from infra.python_site import ensure_site
from runbook.child import stop_children
from runbook.console import say
from runbook.layout import layout_of
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.environment import is_dev
from runbook.toolchain.pulumi_cli import ensure_cli
from runbook.workspace import configuration_file

_THREADS = "preparation"
_POLL_INTERVAL_S = 0.2


def prepare(stack: str, *, refresh_images: bool = False) -> None:
    """Bring the machine to where an update can start; quick when it is there already.

    *refresh_images*: the base images are pulled or made anew.

    Raises:
        RunbookError, Refused: a part is missing and could not be had; says which, and what to install.
    """
    read_targets()  # a mistake there should show before anything is built
    ensure_engine(say)
    layout = layout_of(stack)
    has_monitors = layout.monitoring or (is_dev(stack) and not configuration_file(stack).exists())
    # Building the CLI takes minutes where it cannot be downloaded; the images are made meanwhile.
    side_by_side(
        partial(ensure_cli, say),
        partial(_ensure_images, layout.images, refresh_images, has_monitors=has_monitors),
        partial(ensure_site, REPOSITORY / "service/requirements.lock"),
    )


def side_by_side(*parts: Callable[[], object]) -> None:
    """Do all *parts*, each in a thread, to their ends; then raise what the first of those that failed raised.

    Raises:
        KeyboardInterrupt: we were told to stop, and what the parts had started was.
    """
    with ThreadPoolExecutor(len(parts), _THREADS) as pool:
        try:
            done = [pool.submit(part) for part in parts]
            while wait(done, _POLL_INTERVAL_S).not_done:
                continue  # a wait without end would not notice a signal that came just before it
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            _end_work()
            raise
    for part in done:
        part.result()


def _end_work() -> None:
    """End what the parts run, until none is left: one may just be between two steps."""
    while any(thread.name.startswith(_THREADS) for thread in threading.enumerate()):
        stop_children()
        time.sleep(_POLL_INTERVAL_S)


def _ensure_images(mode: Mode, refreshed: bool, *, has_monitors: bool) -> None:
    if refreshed:
        refresh_all(mode, say, has_monitors=has_monitors)
    images = resolve_all(mode, has_monitors=has_monitors)
    ensure_all(images, say)
    for line in old_images(images, read_targets().images.old_after_days):
        say(line)


def old_images(images: Sequence[BaseImage], days: int, engine: ImageEngine | None = None) -> list[str]:
    """A line for each of *images* whose packages are older than so many *days*, and could be newer.

    The monitors' official images have exact versions, and their Debian ones are one image.
    """
    renewed = [image for image in images if image.origin is Origin.DEBIAN or image.role in SERVING]
    ages = {image.name: age_days(image, engine) for image in renewed}
    return [
        f"the image {name} is {age} days old: `bin/runbook up --refresh-images` takes the latest packages"
        for name, age in ages.items()
        if age > days
    ]
