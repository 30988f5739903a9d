"""Which Docker engine an operator uses: the one of his docker context."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from runbook.errors import RunbookError


def use_context() -> None:
    """Let DOCKER_HOST name the engine of the user's docker context, where that is not the default one.

    As for the `docker` command, DOCKER_HOST comes before DOCKER_CONTEXT, and that before what `docker context
    use` chose. Whatever we start uses this engine then, in another home folder, too.

    Raises:
        RunbookError: the context cannot be read; the Docker SDK would ask this machine's own engine instead.
    """
    # Not `Path.home()`, which raises where a user has none.
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111
    name = os.environ.get("DOCKER_CONTEXT") or _chosen_context(folder)
    if os.environ.get("DOCKER_HOST") or name in ("", "default"):
        return
    id_ = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((folder / "contexts/meta" / id_ / "meta.json").read_text())
        endpoint = meta["Endpoints"]["docker"]
        host, is_unverified = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunbookError(
            f"the docker context {name!r} cannot be read: {error}",
            "`docker context ls` shows which there are; `unset DOCKER_CONTEXT`, or `docker context use` one",
        ) from error
    if host.startswith("ssh:"):
        raise RunbookError(
            f"the engine of the docker context {name!r} is {host}, which cannot be asked over ssh from here",
            "run this on that machine, or forward its socket with `ssh -L` and name it in DOCKER_HOST; for "
            "this machine's own engine `docker context use default`",
        )
    os.environ["DOCKER_HOST"] = host
    certificates = folder / "contexts/tls" / id_ / "docker"
    if all((certificates / f"{part}.pem").is_file() for part in ("ca", "cert", "key")):
        os.environ["DOCKER_CERT_PATH"] = str(certificates)
        if not is_unverified:
            os.environ["DOCKER_TLS_VERIFY"] = "1"


def _chosen_context(folder: Path) -> str:
    """What `docker context use` chose; empty where that is nothing."""
    try:
        return str(json.loads((folder / "config.json").read_text()).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):  # `docker` itself warns, and uses the default
        return ""
