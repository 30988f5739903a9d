"""Which checks a run must have, and what it leaves out: what was not asked for, or cannot be asked here."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from smoke.checks import CHECKS, SHORT, SHORT_BESIDE_LIVE
from smoke.options import Options


@dataclass(frozen=True)
class Selection:
    """The names of the tests that must be run, in their order, and why others are not."""

    tests: list[str]
    left_out: list[str]

    @classmethod
    def of(cls, options: Options) -> Selection:
        """What *options* ask for."""
        if options.is_short:
            wanted = SHORT_BESIDE_LIVE if options.baseline_url else SHORT
            short = [test for tests in CHECKS.values() for test in tests if test in wanted]
            without = [] if options.baseline_url else ["dependencies, no --baseline"]
            return cls(short, ["all but the short form's checks, --short", *without])
        absent = _absent(options)
        tests = [
            test
            for file, names in CHECKS.items()
            for test in names
            if file not in absent and test not in absent
        ]
        return cls(tests, list(absent.values()))


def _absent(options: Options) -> dict[str, str]:
    """The files and tests that lack what they need, and the reason."""
    needs = {
        "test_tls": ("TLS, --base-url is http", options.is_https),
        "test_old_tls_is_refused": ("old TLS, this machine's OpenSSL cannot speak it", ssl.HAS_TLSv1_1),
        "test_logs": ("logs, no --logs-command", options.logs_command),
        "test_truth": ("health tells the truth, no --faults-url", options.faults_url),
    }
    absent = {name: reason for name, (reason, has_what_it_needs) in needs.items() if not has_what_it_needs}
    if "test_tls" in absent:
        absent.pop("test_old_tls_is_refused", None)
    return absent
