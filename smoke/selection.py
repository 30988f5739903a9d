"""What a run leaves out, and why: what was not asked for, or cannot be asked of this address."""

from __future__ import annotations

import ssl

import pytest

from smoke.options import Options

SHORT = "short"
"""The marker of what `--short` runs: is it up, is a message answered once, is a forged one refused?"""


def left_out(item: pytest.Item, options: Options) -> str | None:
    """What *item* belongs to, and why it is not run; None if it is."""
    if options.is_short:
        return None if item.get_closest_marker(SHORT) else "all but the short form's checks, --short"
    reasons = _reasons(options)
    return reasons.get(item.path.stem) or reasons.get(item.name)


def _reasons(options: Options) -> dict[str, str]:
    """By file or test."""
    needs = {
        "test_tls": ("TLS, --base-url is http", options.is_https),
        "test_old_tls_is_refused": ("old TLS, this machine's OpenSSL cannot speak it", ssl.HAS_TLSv1_1),
        "test_logs": ("logs, no --logs-command", options.logs_command),
        "test_truth": ("health tells the truth, no --faults-url", options.faults_url),
    }
    return {name: reason for name, (reason, has_what_it_needs) in needs.items() if not has_what_it_needs}
