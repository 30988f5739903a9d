"""What is wrong with what both sides read; by itself, since `targets.py` takes a while to import."""

from __future__ import annotations


class TargetsError(Exception):
    """`targets.toml` cannot be read or breaks a rule; the message names every problem, one a line."""
