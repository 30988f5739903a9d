"""Pulumi plugins in Python. Each folder here holds one executable, as the engine looks for it on PATH."""
