"""The seam to the database: tenants, credits, the message log."""
