"""`python -m runbook`: what `bin/runbook` hands over to."""

from runbook.cli import main

main()
