"""Pytest and what the smoke suite imports, loaded; a host for its runs."""

from __future__ import annotations

import httpx  # noqa: F401 - loaded for the runs, as are the others
import jsonschema  # type: ignore[import-untyped]  # noqa: F401
import prometheus_client.parser  # noqa: F401
import pytest
from forking_host import serve

import contracts.health
import contracts.targets  # noqa: F401

if __name__ == "__main__":
    serve(lambda arguments: int(pytest.main(arguments)))
