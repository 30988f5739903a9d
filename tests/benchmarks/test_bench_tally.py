"""What is counted, and the percentiles of it."""

from __future__ import annotations

from array import array

from benchmarks.tally import Tally, percentiles_ms


def test_percentiles_are_latencies_that_occurred() -> None:
    """By the nearest rank: never a value between two."""
    latencies_s = array("d", [number / 1000 for number in range(1, 1001)])
    assert percentiles_ms(latencies_s) == {"p50": 500, "p95": 950, "p99": 990, "p99.9": 999, "max": 1000}


def test_the_order_of_answers_does_not_matter() -> None:
    """They come in any."""
    assert percentiles_ms(array("d", [0.003, 0.001, 0.002]))["p50"] == 2


def test_without_an_answer_there_are_no_percentiles() -> None:
    """Nothing was measured, which is not the same as 0 ms."""
    assert Tally().result()["latency_ms"] == {}


def test_a_result_counts_each_status() -> None:
    """And the answers of all of them."""
    tally = Tally()
    for status in (202, 503, 202):
        tally.add(status, 0.001)
    result = tally.result()
    assert (result["answered"], result["statuses"]) == (3, {"202": 2, "503": 1})
