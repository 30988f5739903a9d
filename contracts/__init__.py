"""What the parts of the runbook agree on: targets, signatures, lanes and verdicts. Imports none of them."""
