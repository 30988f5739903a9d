"""An earlier release instead of the live one: which, whether all of it is still there, and the move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
from docker.errors import ImageNotFound

from infra.history import History
from infra.manifest import Manifest, Secrets
from infra.migrations import unpassable
from infra.order import Order
from infra.suites import Depth
from runbook.console import say
from runbook.deployment import answering, deploy
from runbook.errors import RunbookError
from runbook.secret_values import known_secrets
from runbook.signed_with import Signer, signer
from runbook.workspace import Workspace

_WEBHOOK_SECRET = "WAHA_WEBHOOK_SECRET"  # noqa: S105 - its name


def bring_back(
    workspace: Workspace,
    history: History,
    release: str | None,
    *,
    verb: str,
    reason: str,
    force: bool = False,
) -> dict[str, Any]:
    """Bring back *release*, or the last good one, through a short gate; its manifest.

    *force*: also past a migration that cannot be undone, or if it does not know the secret that WAHA uses.

    Raises:
        RunbookError: there is none, it is not whole, or it did not pass; the live release stays then.
    """
    manifest = choose(history, release)
    secrets = known_secrets(workspace)
    check_whole(secrets, manifest)
    if not force:
        check_passable(history, manifest)
        check_signed(workspace.stack, secrets, history, manifest)
    order = Order(
        verb=verb, reason=reason, bring_back=manifest, depth=Depth.SHORT, in_steps=False, force=force
    )
    answering(workspace, order, deploy(workspace, order))
    return manifest


def choose(history: History, release: str | None) -> dict[str, Any]:
    """The manifest of the release to bring back: the one named, else the last good one beside the live one.

    Raises:
        RunbookError: there is none, or it is live now; names those that can be had.
    """
    earlier = {id_: manifest for id_, manifest in history.manifests.items() if id_ != history.live}
    good = [id_ for id_ in history.good if id_ != history.live]
    choices = ", ".join(_described(id_, history) for id_ in earlier) or "none yet"
    if release is None:
        if not good:
            raise RunbookError(
                "there is no earlier release that was good",
                f"name one: {choices}" if earlier else "`bin/runbook up` deploys the sources as they are",
            )
        release = good[0]
    if release == history.live:
        raise RunbookError(f"release {release} is live already", f"others: {choices}")
    if release not in earlier:
        raise RunbookError(f"release {release!r} is not known", f"can be brought back: {choices}")
    return earlier[release]


def check_whole(
    secrets: Secrets, manifest: dict[str, Any], engine: docker.DockerClient | None = None
) -> None:
    """See that all of a release is still there, before anything moves.

    Raises:
        RunbookError: its image is gone, or a secret that it was gated with; says which.
    """
    found = Manifest.from_dict(manifest)
    try:
        (engine or docker.from_env()).images.get(found.image)
    except ImageNotFound as error:
        raise RunbookError(
            f"release {found.id} cannot come back: its image {found.image} is gone from the engine",
            "choose another from `bin/runbook releases`, or check out its commit and `bin/runbook up`",
        ) from error
    try:
        secrets.values(found.secrets)
    except KeyError as error:
        raise RunbookError(
            f"release {found.id} cannot come back: the {error.args[0]} that it had is not known any more",
            f"choose another from `bin/runbook releases`, or set it again: "
            f"`bin/runbook secrets set {error.args[0]}`",
        ) from error


def check_passable(history: History, manifest: dict[str, Any]) -> None:
    """See that no migration stands between the live release and an earlier one.

    Raises:
        RunbookError: one that cannot be undone does; says which, and why.
    """
    live = history.live_manifest
    if lines := unpassable(live.get("migrations") or [], manifest.get("migrations") or []):
        raise RunbookError(
            f"release {manifest['id']} is from before a migration that cannot be undone:\n  "
            + "\n  ".join(lines),
            "mend the live release (`bin/runbook hotfix NAME`), or --force brings it back all the same",
        )


def check_signed(
    stack: str,
    secrets: Secrets,
    history: History,
    manifest: dict[str, Any],
    signed_with: Callable[[str, str], Signer] = signer,
) -> None:
    """See that a release from before a rotation knows the secret that WAHA signs with now.

    Raises:
        RunbookError: it does not: every webhook would get 401, and be lost after some retries.
    """
    live = history.live_manifest
    if not live:
        return
    to, now = (_webhook_secrets(secrets.values(found["secrets"])) for found in (manifest, live))
    if now[0] in to:
        return
    found = signed_with(stack, live["id"]) if to[0] in now else Signer.NEW
    if found is Signer.NEW:
        raise RunbookError(
            f"release {manifest['id']} does not know the {_WEBHOOK_SECRET} that WAHA signs with now",
            "give WAHA the old one again first, then --force; or mend the live release: `bin/runbook hotfix`",
        )
    if found is Signer.UNKNOWN:
        say(f"warning: {manifest['id']} knows only the old {_WEBHOOK_SECRET}: does WAHA still sign with it?")


def _webhook_secrets(values: dict[str, str]) -> list[str]:
    """All that a release takes, the current one first."""
    return [values[_WEBHOOK_SECRET], *values.get(f"{_WEBHOOK_SECRET}_PREVIOUS", "").splitlines()]


def _described(release: str, history: History) -> str:
    if release in history.rolled_back:
        return f"{release} (rolled back)"
    return f"{release} (at once)" if release in history.running else release
