"""One self-contained HTML page per release: figures, plots, verdicts, and the logs of what failed."""

from infra.release_page.page import render

__all__ = ["render"]
