"""`outputs`: where the stack is, and which release is live."""

from __future__ import annotations

from runbook.console import print_json, say, show
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.stack_view import read_history
from runbook.workspace import open_workspace


def outputs(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show where the stack is and what the proxy serves.

    url, candidate_url, release, kept, migrations; where the stack has stand-ins sandbox_url; --json has
    releases, too.
    """
    workspace = open_workspace(stack)
    found = workspace.outputs()
    history = read_history(workspace, found)
    if not found:
        say(f"no update of stack {stack} has ended well yet")
    if found or history.live:
        found |= {"release": history.live, "releases": [record.as_data() for record in history.records]}
    if as_json:
        print_json(found)
        return
    for name in sorted(found.keys() - {"releases"}):
        show(f"{name}: {found[name]}")
