"""`python -m benchmarks webhooks`."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks import webhooks
from benchmarks.programs import REPOSITORY


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["webhooks"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    report = webhooks.run(
        REPOSITORY / ".build/bench",
        rounds=options.rounds,
        seconds=options.seconds,
        say=lambda line: print(line, file=sys.stderr),
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
