"""`outputs`: where the stack is, and which release is live."""

from __future__ import annotations

from runbook.console import out, print_json
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.workspace import open_workspace


def outputs(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show the stack's outputs: url, candidate_url, release, releases; in dev stacks sandbox_url."""
    found = open_workspace(stack).outputs()
    if as_json:
        print_json(found)
        return
    for name in sorted(found.keys() - {"releases"}):
        out.print(f"{name}: {found[name]}", markup=False)
