"""Tests that take long and have a shorter relative: run when they are asked for."""

from __future__ import annotations

import os

import pytest

FULL = os.environ.get("RUNBOOK_GATE") == "full"
"""Whether the gate is as in `targets.toml`, and tests are whole; by default they are shorter."""

on_demand = pytest.mark.skipif(not FULL, reason="takes minutes: RUNBOOK_GATE=full runs it")
