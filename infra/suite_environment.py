"""The environment in which a suite runs: of our own making, whatever the caller's shell or CI has set.

Pytest and Locust take options from variables, from the home folder and from the working folder. A gate that
heeded them would pass a release on fewer checks, or refuse a good one, for the sake of another project.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INHERITED = frozenset(
    {
        *("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        # The command that reads the containers' logs asks the engine.
        *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
        *("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"),
    }
)
"""What Python, TLS, the locale and the Docker SDK need, beside LC_*.

No proxies: the addresses of a stack are asked directly.
"""


@dataclass(frozen=True)
class SuiteEnvironment:
    """An empty folder to run in, which is the home folder too, and all variables."""

    folder: Path
    variables: dict[str, str]


@contextmanager
def suite_environment(
    added: Mapping[str, str],
    caller: Mapping[str, str] | None = None,
    *,
    encoding: str = "utf-8",
) -> Iterator[SuiteEnvironment]:
    """The environment of one run: what it inherits from the *caller* (by default, this process), and *added*.

    *encoding*: of what the suite prints; a character that it has not is printed as its number.
    """
    caller = os.environ if caller is None else caller
    with tempfile.TemporaryDirectory(prefix="runbook-suite-") as folder:
        variables = {
            **{name: value for name, value in caller.items() if _is_inherited(name)},
            **_engine_settings(caller),
            "HOME": folder,
            "PYTHONUTF8": "1",
            "PYTHONIOENCODING": f"{encoding}:backslashreplace",
            "PYTHONNOUSERSITE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the suite needs none, and starts in half the time
            **added,
        }
        yield SuiteEnvironment(Path(folder), variables)


def _is_inherited(name: str) -> bool:
    return name in INHERITED or name.startswith("LC_")


def _engine_settings(caller: Mapping[str, str]) -> dict[str, str]:
    """Where the Docker SDK would look in the home folder, it is told the place."""
    try:
        folder = caller.get("DOCKER_CONFIG") or str(Path(caller.get("HOME") or Path.home(), ".docker"))
    except RuntimeError:  # a user id without a name and without HOME: then it has no such place
        return {}
    settings = {"DOCKER_CONFIG": folder}
    if caller.get("DOCKER_TLS_VERIFY") and not caller.get("DOCKER_CERT_PATH"):
        settings["DOCKER_CERT_PATH"] = folder
    return settings
