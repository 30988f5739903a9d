"""Over https: who answers is proved, nothing old is spoken, and browsers are told to stay with it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable

from contracts.targets import Targets
from smoke.evidence import Measured
from smoke.options import Options
from smoke.target import NoAnswerError, Target, described, strict_context
from smoke.tls import handshake, old_context

AGE = re.compile(r'max-age="?(\d+)', re.IGNORECASE)


def test_certificate_is_trusted(
    measured: Measured, options: Options, targets: Targets, stop_run: Callable[[str], None]
) -> None:
    """The certificate proves the name in the address, by a CA that this machine (or SSL_CERT_FILE) trusts.

    Where it does not, no request could be sent.
    """
    version, problem = None, ""
    try:
        version = handshake(options.base_url, strict_context(), targets.ready.within_s)
    except NoAnswerError as error:
        problem = str(error)
    except ssl.SSLCertVerificationError as error:
        problem = f"{error.verify_message} (a CA of your own: name its file in SSL_CERT_FILE)"
    except (ssl.SSLError, ConnectionError) as error:
        problem = f"no handshake: {error}"
    if problem:
        stop_run("the release cannot be asked over TLS")
    measured(version, "a trusted certificate", samples=1, ok=not problem, detail=problem)


def test_old_tls_is_refused(measured: Measured, options: Options) -> None:
    """A client that speaks TLS 1.1 or older gets no connection."""
    try:
        version = handshake(options.base_url, old_context(), within_s=0)
    except (ssl.SSLError, ConnectionError):
        version = "refused"
    measured(version, "refused", samples=1, ok=version == "refused", detail="TLS 1.2 should be the oldest")


def test_hsts_is_sent(measured: Measured, target: Target) -> None:
    """Strict-Transport-Security keeps browsers from ever asking without TLS."""
    response = target.get("/api/health/live")
    sent = response.headers.get("Strict-Transport-Security")
    age = AGE.search(sent or "")
    ok = age is not None and int(age[1]) > 0
    measured(sent, "max-age above 0", samples=1, ok=ok, detail=described(response))
