"""The suites' series as charts and tables: which lines, held against which limits."""

from __future__ import annotations

from typing import Any

import pytest
from release_page_kit import check, load_checks
from release_page_series import containers_series, load_series

from contracts.verdict import Report
from infra.release_page.against_live import comparison
from infra.release_page.load_charts import charts, is_alone
from infra.release_page.memory_charts import memory_charts
from infra.release_page.plot import Chart
from infra.release_page.records import ContainersSeries, LoadSeries, Scenario
from infra.release_page.second_table import second_table

SERIES = LoadSeries.model_validate(load_series())
STEADY, BURST, _ = SERIES.scenarios
REPORT = Report.of("load", load_checks(load_series()), 180)


def scenario(*seconds: dict[str, Any], name: str = "steady") -> Scenario:
    """A scenario of these seconds."""
    return Scenario.model_validate({"name": name, "seconds": list(seconds)})


def limits(chart: Chart) -> list[float]:
    """What its values are held against."""
    return [limit.value for limit in chart.limits]


def test_a_scenario_is_held_against_its_own_limits() -> None:
    """Those that the report judged it by: a burst may have others than a steady stream."""
    answers, replies, counts = charts(STEADY, REPORT, alone=False)
    assert (limits(answers), limits(replies), limits(counts)) == ([500, 3000], [3000], [])
    answers, replies, _ = charts(BURST, REPORT, alone=False)
    assert (limits(answers), limits(replies)) == ([1500, 3000], [6000])


def test_the_only_scenario_of_a_run_may_have_checks_without_its_name() -> None:
    """But beside others, checks without a name are those of `steady`."""
    unnamed = Report.of("load", [check("webhook p95", 7, 500, unit="ms")], 20)
    assert limits(charts(BURST, unnamed, alone=True)[0]) == [500]
    assert limits(charts(BURST, unnamed, alone=False)[0]) == []
    assert is_alone(LoadSeries(scenarios=[BURST]))
    assert not is_alone(SERIES)


@pytest.mark.parametrize("limit", [None, "500", 0, float("inf"), float("nan"), -5])
def test_a_limit_that_is_no_amount_is_not_drawn(limit: float | str | None) -> None:
    """Nor one of a run without a report."""
    odd = Report.of("load", [check("webhook p95", 7, limit, unit="ms")], 20)
    assert limits(charts(STEADY, odd, alone=True)[0]) == []
    assert limits(charts(STEADY, None, alone=True)[0]) == []


def test_the_live_release_is_drawn_beside_the_candidate() -> None:
    """Where it was driven; the candidate lies on top."""
    measured = [line.name for line in charts(STEADY, REPORT, alone=False)[0].measured]
    assert measured == ["p50", "p95", "slowest", "live p50", "live p95"]
    assert [line.name for line in charts(BURST, REPORT, alone=False)[0].measured] == ["p50", "p95", "slowest"]


def test_seconds_are_drawn_in_order_of_time() -> None:
    """However they were written."""
    answers = charts(scenario({"t": 2, "p50_ms": 5}, {"t": 0, "p50_ms": 3}), None, alone=True)[0]
    assert answers.lines[0].points == [(0, 3), (2, 5)]


def test_failures_are_red_only_if_there_are_any() -> None:
    """A red line at the foot of a good run would mislead."""
    kinds = [
        charts(scenario({"t": 0, "sent": 50, "failed": failed}), None, alone=True)[2].lines[0].kind
        for failed in (0, 1)
    ]
    assert kinds == ["none-failed", "failed"]


def test_memory_has_a_chart_for_each_role() -> None:
    """With its own limit, and a line of its own kind for each container."""
    web, worker = memory_charts(ContainersSeries.model_validate(containers_series()))
    assert (web.title, worker.title) == ("Memory of web", "Memory of worker")
    assert [line.kind for line in web.lines] == ["container-1", "container-2"]
    assert [(limit.name, limit.value) for limit in web.limits] == [("limit", 256)]


def test_containers_without_a_limit_have_none_drawn() -> None:
    """And those of one limit have it drawn once."""
    container = {"name": "a", "role": "web", "samples": [{"t": 0, "memory_mb": 60}]}
    unlimited = ContainersSeries.model_validate({"containers": [container, {**container, "limit_mb": None}]})
    assert memory_charts(unlimited)[0].limits == []


def test_the_table_has_only_columns_with_values() -> None:
    """A gap in one of them is a dash."""
    table = second_table(scenario({"t": 0, "sent": 50, "p50_ms": 3.14159}, {"t": 1, "sent": 50}))
    assert table.head == ["second", "sent", "p50"]
    assert table.rows == [["0 s", "50", "3.14"], ["1 s", "50", "–"]]  # noqa: RUF001 - a dash is meant


def test_a_long_run_has_no_table() -> None:
    """It says where the figures are instead."""
    table = second_table(scenario(*({"t": t, "sent": 1} for t in range(3600))))
    assert table.rows == []
    assert "3,600 seconds are too many" in table.left_out
    assert "load.series.json" in table.left_out


def test_candidate_and_live_are_compared_in_the_same_seconds() -> None:
    """A second that only one of them has is not compared."""
    pair = {"p50_ms": 6.0, "baseline_p50_ms": 4.0}
    found = comparison(None, LoadSeries(scenarios=[scenario({"t": 0, **pair}, {"t": 1, "p50_ms": 900.0})]))
    assert found
    assert [(each.name, each.candidate, each.live, each.ratio) for each in found.pairs] == [
        ("p50 of a typical second", "6 ms", "4 ms", "1.5×")  # noqa: RUF001 - times is meant
    ]


def test_the_slowest_webhook_is_that_of_the_whole_run() -> None:
    """Not of a typical second: the tail is what differs."""
    seconds = [{"t": t, "max_ms": 100.0 * (t == 3) + 9, "baseline_max_ms": 10.0} for t in range(5)]
    found = comparison(None, LoadSeries(scenarios=[scenario(*seconds)]))
    assert found
    assert (found.pairs[0].candidate, found.pairs[0].live) == ("109 ms", "10 ms")


def test_a_live_release_that_took_no_time_has_no_ratio() -> None:
    """Nothing is divided by zero."""
    found = comparison(None, LoadSeries(scenarios=[scenario({"t": 0, "p50_ms": 6, "baseline_p50_ms": 0})]))
    assert found
    assert found.pairs[0].ratio == "–"  # noqa: RUF001 - a dash is meant


def test_checks_against_live_are_shown_whatever_they_compare() -> None:
    """By their name, failed first."""
    checks = [
        check("webhook against live", 1, 2),
        check("cost against live", 3, 2, verdict="fail"),
        check("lost", 0, 0),
    ]
    found = comparison(Report.of("load", checks, 20), None)
    assert found
    assert [each.name for each in found.checks] == ["cost against live", "webhook against live"]


def test_without_a_live_release_there_is_no_comparison() -> None:
    """The page has no such section then."""
    assert comparison(Report.of("load", [check("lost", 0, 0)], 20), LoadSeries(scenarios=[BURST])) is None
