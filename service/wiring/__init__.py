"""The composition roots: all that opens and builds something from the settings."""
