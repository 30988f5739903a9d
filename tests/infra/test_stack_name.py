"""Which stack the commands are about that we name to people."""

from __future__ import annotations

import pytest

from infra.stack_name import name_stack

DEPLOYS = """`RUNBOOK_DEPLOY_REQUEST='{"replace_infrastructure": true}' bin/pulumi up"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("see `bin/runbook releases`", "see `bin/runbook releases --stack dev-2`"),
        ("`bin/runbook secrets set NAME` sets it", "`bin/runbook secrets set NAME --stack dev-2` sets it"),
        (
            "`bin/pulumi up`, or `bin/runbook up`",
            "`bin/pulumi up --stack dev-2`, or `bin/runbook up --stack dev-2`",
        ),
        (f"or {DEPLOYS}`", f"or {DEPLOYS} --stack dev-2`"),
        ("`bin/runbook up --stack other`", "`bin/runbook up --stack other`"),
        (
            "`bin/runbook test --fast` and `bin/runbook bench`",
            "`bin/runbook test --fast` and `bin/runbook bench`",
        ),
        ("`docker ps`, bin/runbook up, `docker logs X`", "`docker ps`, bin/runbook up, `docker logs X`"),
        ("`bin/runbook`", "`bin/runbook`"),
    ],
)
def test_a_command_names_the_stack_that_it_is_about(text: str, named: str) -> None:
    """Once, and only where the command takes one; in whatever form it is typed."""
    assert name_stack(text, "dev-2") == named
