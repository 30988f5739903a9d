"""What a release's process tells of itself at `/metrics`: the release may be a bad one, or an old one."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from infra.errors import Refused


def read_samples(metrics: str) -> list[Sample]:
    """The samples in what one process told; those that are no number count nothing.

    Raises:
        Refused: it is not all metrics: a library's warning stands above them, for example.
    """
    try:
        families = list(text_string_to_metric_families(metrics))
        return [each for family in families for each in family.samples if math.isfinite(each.value)]
    except (ValueError, LookupError, ArithmeticError) as error:
        raise Refused(f"the metrics cannot be read: {error}") from error
