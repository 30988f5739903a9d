"""The panels as a dashboard of Grafana, and the files with which it finds them at its start."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from infra.monitoring.panels import WINDOW, Panel, Unit

DATASOURCE = """\
apiVersion: 1
datasources:
  - {name: Prometheus, uid: prometheus, type: prometheus, access: proxy, isDefault: true,
     url: 'http://prometheus:9090/prometheus'}
"""
"""For `provisioning/datasources/`."""

DASHBOARD_FOLDER = "/conf/dashboards"
DASHBOARDS = f"""\
apiVersion: 1
providers:
  - {{name: runbook, type: file, allowUiUpdates: false, options: {{path: {DASHBOARD_FOLDER}}}}}
"""
"""For `provisioning/dashboards/`: each JSON file in `DASHBOARD_FOLDER` is a dashboard."""

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_UNITS = {
    Unit.SECONDS: "s",
    Unit.SHARE: "percentunit",
    Unit.COUNT: "short",
    Unit.PER_SECOND: "cps",  # counts a second, and a minute
    Unit.PER_MINUTE: "cpm",
}
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8
_SCHEMA_VERSION = 38  # Grafana 10's; a later one migrates it


def dashboard(stack: str, panels: Sequence[Panel]) -> str:
    """The dashboard of *stack* as JSON, with a row for each group of *panels*."""
    drawn: list[dict[str, Any]] = []
    y = 0
    for group, members in groupby(panels, key=lambda panel: panel.group):
        drawn.append({"type": "row", "title": group, "collapsed": False, "panels": [], **_place(0, y, 24, 1)})
        for number, panel in enumerate(members):
            line, column = divmod(number, _COLUMNS)
            top = y + 1 + line * _HEIGHT
            drawn.append({**_timeseries(panel), **_place(column * _WIDTH, top, _WIDTH, _HEIGHT)})
        y = top + _HEIGHT
    told = {
        "uid": re.sub(r"[^\w-]", "-", f"runbook-{stack}")[:40],
        "title": f"Stack {stack}",
        "tags": ["runbook"],
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair in all panels
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [{"id": number, **panel} for number, panel in enumerate(drawn, 1)],
    }
    return json.dumps(told, indent=2)


def _place(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _timeseries(panel: Panel) -> dict[str, Any]:
    has_limit = panel.limit is not None
    limit = [{"color": "red", "value": panel.limit}] if has_limit else []
    defaults = {
        "unit": _UNITS[panel.unit],
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}, *limit]},
        "custom": {"thresholdsStyle": {"mode": "dashed" if has_limit else "off"}},
    }
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": promql.replace(WINDOW, "$__rate_interval"),
                "legendFormat": legend,
            }
            for number, (legend, promql) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
