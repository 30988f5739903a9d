"""`outputs`: where the stack is, and which release is live."""

from __future__ import annotations

from runbook.console import print_json, say, show
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.workspace import open_workspace


def outputs(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show where the stack is and what is live.

    url, candidate_url, release, releases; in dev stacks sandbox_url.
    """
    found = open_workspace(stack).outputs()
    if as_json:
        print_json(found)
        return
    if not found:
        say(f"no update of stack {stack} has ended well yet")
    for name in sorted(found.keys() - {"releases"}):
        show(f"{name}: {found[name]}")
