"""The same messages, answered when Inngest says so."""
