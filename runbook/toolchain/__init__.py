"""What the runbook drives, and how a machine comes to have it: engine, Pulumi CLI, environment."""
