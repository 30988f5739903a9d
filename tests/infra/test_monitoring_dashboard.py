"""Grafana's dashboard shows every panel once, with its limit, and is found at Grafana's start."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import yaml
from monitor_files import monitor_file

from infra.monitoring.panels import read_panels

DASHBOARD = "dashboards/runbook.json"
PANELS = read_panels()
UNITS = {"s", "percentunit", "short", "cps", "cpm"}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The dashboard of stack dev."""
    found: dict[str, Any] = json.loads(monitor_file(DASHBOARD))
    return found


def charts(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the rows."""
    return [panel for panel in told["panels"] if panel["type"] == "timeseries"]


def test_every_panel_is_there_with_its_queries(told: dict[str, Any]) -> None:
    """Rates are over Grafana's own window; each query has a letter and a legend."""
    assert [panel["title"] for panel in charts(told)] == [panel.title for panel in PANELS]
    for drawn, panel in zip(charts(told), PANELS, strict=True):
        assert [target["legendFormat"] for target in drawn["targets"]] == list(panel.queries)
        assert [target["refId"] for target in drawn["targets"]] == list("ABCDEFGH")[: len(panel.queries)]
    text = json.dumps(told)
    assert "$__rate_interval" in text
    assert "$window" not in text


def test_ids_are_unique_and_nothing_overlaps(told: dict[str, Any]) -> None:
    """On a grid of 24 columns."""
    assert len({panel["id"] for panel in told["panels"]}) == len(told["panels"])
    places = [panel["gridPos"] for panel in told["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


def test_a_limit_is_a_line(told: dict[str, Any]) -> None:
    """Red above it; a panel without one has none."""
    for drawn, panel in zip(charts(told), PANELS, strict=True):
        defaults = drawn["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS
        red = [step["value"] for step in defaults["thresholds"]["steps"] if step["color"] == "red"]
        assert red == ([] if panel.limit is None else [panel.limit])
        assert defaults["custom"]["thresholdsStyle"]["mode"] == ("dashed" if red else "off")


def test_it_is_the_stacks(told: dict[str, Any]) -> None:
    """By title and by an id that Grafana takes, whatever the stack is called."""
    assert (told["title"], told["uid"], told["timezone"], told["refresh"]) == (
        "Stack dev",
        "runbook-dev",
        "utc",
        "30s",
    )
    assert json.loads(monitor_file(DASHBOARD, stack="org/runbook/a.b" + "c" * 60))["uid"].startswith(
        "runbook-org-runbook-a-bccc"
    )
    assert len(json.loads(monitor_file(DASHBOARD, stack="c" * 60))["uid"]) == 40


def test_the_files_of_its_start_say_where_everything_is(told: dict[str, Any]) -> None:
    """The source that all queries name is the one that is set up."""
    (source,) = yaml.safe_load(monitor_file("provisioning/datasources/prometheus.yml"))["datasources"]
    assert source["url"] == "http://prometheus:9090/prometheus"
    used = {target["datasource"]["uid"] for panel in charts(told) for target in panel["targets"]}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load(monitor_file("provisioning/dashboards/runbook.yml"))["providers"]
    assert provider["options"] == {"path": f"/conf/{DASHBOARD.partition('/')[0]}"}
