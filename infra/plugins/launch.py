"""Run one plugin module as the engine starts it; end it when the engine is gone, however that ended."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_POLL_INTERVAL_S = 1.0


def end_with(parent: int) -> None:
    """Exit this process within a second of the death of *parent*: a killed engine ends no plugins."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-engine", daemon=True).start()


def main() -> None:
    """Run the module named by the first argument with the arguments after it."""
    end_with(os.getppid())
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # the engine's way to end a plugin: no KeyboardInterrupt to report
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
