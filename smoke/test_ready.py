"""First of all: is there a release that takes traffic?"""

from __future__ import annotations

import time
from collections.abc import Callable

from contracts.targets import Targets
from smoke.evidence import Measured
from smoke.target import NoAnswerError, Target, described

PROBE_TIMEOUT_S = 2.0
BETWEEN_PROBES_S = 0.25


def test_ready(measured: Measured, target: Target, targets: Targets, stop_run: Callable[[str], None]) -> None:
    """The release answers 200 on its readiness within the limit; otherwise nothing else is worth running."""
    limit_s = targets.ready.within_s
    started = time.monotonic()
    ready, waited_s, probes = False, 0.0, 0
    while not ready and waited_s <= limit_s:
        if probes:
            time.sleep(BETWEEN_PROBES_S)
        ready, answer = _probe(target)
        waited_s = time.monotonic() - started
        probes += 1
    ok = ready and waited_s <= limit_s
    if not ok:
        stop_run("the release never became ready")
    measured(round(waited_s, 3), limit_s, unit="s", samples=probes, ok=ok, detail=f"at last {answer}")


def _probe(target: Target) -> tuple[bool, str]:
    try:
        response = target.get("/api/health/ready", PROBE_TIMEOUT_S)
    except NoAnswerError as error:
        return False, str(error)
    return response.status_code == 200, described(response)
