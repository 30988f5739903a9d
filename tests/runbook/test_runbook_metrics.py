"""The dashboard's panels from a real Prometheus: in the terminal, as a page, for machines."""

from __future__ import annotations

import io
import json
import locale
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from monitored_past import write_past
from monitors import behind_one_port, running_prometheus
from rich.console import Console
from rich.text import Text

from infra.monitoring.panels import Panel, Unit, read_panels
from infra.release_page.plot import Chart, Limit, Line
from infra.stack_settings import StackSettings
from runbook.console import show_row
from runbook.errors import RunbookError
from runbook.metrics_page import metrics_page
from runbook.monitoring_api import MetricSeries, Prometheus
from runbook.options import read_moment
from runbook.panel_charts import MAX_LINES, STEPS, PanelChart, read_chart
from runbook.sparklines import ASCII, BLOCKS, rows, spark
from runbook.verbs.metrics import metrics

LENGTH_S = 3600
WEB = 'job="web",instance="runbook-dev-web-1-r-3f2a9c1:8000"'
HOOK = f'{WEB},lane="live",path="/api/webhooks/whatsapp",status="202"'
ANSWERS = "http_request_duration_seconds"


def slow_since_half_time(at_s: float) -> float:
    """Of two requests a second, those within 0.5 s: all but one in a hundred, then nine in ten."""
    return 2 * (0.99 * min(at_s, LENGTH_S / 2) + 0.9 * max(0, at_s - LENGTH_S / 2))


PAST = {
    f'{ANSWERS}_bucket{{{HOOK},le="0.01"}}': lambda at_s: 2 * 0.85 * at_s,
    f'{ANSWERS}_bucket{{{HOOK},le="0.5"}}': slow_since_half_time,
    f'{ANSWERS}_bucket{{{HOOK},le="1.0"}}': lambda at_s: 2 * at_s,
    f'{ANSWERS}_bucket{{{HOOK},le="+Inf"}}': lambda at_s: 2 * at_s,
    f'{ANSWERS}_count{{{HOOK}}}': lambda at_s: 2 * at_s,
    f"process_cpu_seconds_total{{{WEB}}}": lambda at_s: 0.9 * at_s,
    f'queue_depth{{{WEB},lane="live"}}': lambda at_s: -1 if at_s < LENGTH_S / 2 else 7,
    f"redis_sustained_messages_per_second{{{WEB}}}": lambda at_s: math.inf,
}  # fmt: skip


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where one answers that knows the last hour."""
    folder = tmp_path_factory.mktemp("prometheus")
    write_past(folder, int(time.time()) - LENGTH_S, LENGTH_S, PAST)
    with (
        running_prometheus(folder, "{}", "/prometheus") as url,
        behind_one_port(prometheus=url) as one,
    ):
        yield one


@pytest.fixture
def stack(prometheus: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stack whose monitors it is, seen at 80 columns."""
    layout = StackSettings(monitoring=True, monitoring_port=int(prometheus.rpartition(":")[2]))
    monkeypatch.setattr("runbook.monitoring_api.layout_of", lambda _: layout)
    monkeypatch.setattr("runbook.monitoring_api.refuse_unless_running", lambda _: None)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(locale, "getencoding", lambda: "UTF-8")
    return "dev"


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What was printed as JSON, by panel."""
    return {panel["name"]: panel for panel in json.loads(capsys.readouterr().out)}


def test_figures_are_those_that_prometheus_has(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a unit that people read, with the limit in the same; a series is as long as the time asked for."""
    metrics(since=read_moment("30m"), as_json=True)
    found = told(capsys)
    assert set(found) == {panel.name for panel in read_panels()}
    webhooks = found["webhooks"]
    assert (webhooks["unit"], webhooks["limit"], webhooks["limited"]) == ("ms", 500, "p95")
    p50, p95, p99 = webhooks["lines"]
    assert [line["legend"] for line in webhooks["lines"]] == ["p50", "p95", "p99"]
    assert p50["max"] < 10
    assert p95["max"] == pytest.approx(750, abs=5)
    assert p99["max"] == pytest.approx(950, abs=5)
    times = [at_s for at_s, _ in p95["series"]]
    assert len(times) == STEPS + 1
    assert times[-1] - times[0] == pytest.approx(1800)
    (cpu,) = found["cpu"]["lines"]
    assert (found["cpu"]["unit"], found["cpu"]["limit"]) == ("%", 80)
    assert cpu["max"] == pytest.approx(90, abs=1)
    assert found["replies"]["lines"] == []


def test_what_is_not_known_is_a_gap(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Redis away (-1) is no depth of a queue; what has no bound is no figure, and no JSON."""
    metrics("queue", since=read_moment("1h"), as_json=True)
    (depth,) = told(capsys)["queue"]["lines"]
    values = [value for _, value in depth["series"]]
    assert values[10] is None
    assert values[-5] == depth["min"] == depth["max"] == 7
    metrics("redis-sustains", since=read_moment("1h"), as_json=True)
    assert told(capsys)["redis-sustains"]["lines"] == []


def test_the_terminal_shows_every_panel_in_80_columns(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its limit, and a sign where that is broken; without colour where there is no terminal."""
    metrics()
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert all(panel.title in shown for panel in read_panels())
    assert max(map(len, lines)) == 80
    assert "\x1b" not in shown
    at = next(number for number, line in enumerate(lines) if line.startswith("Webhook answers"))
    assert lines[at].endswith("limit of p95 500 ms")
    p95 = lines[at + 2]
    assert re.fullmatch(r"  p95 {20,}  [▁-█ ]{22} !    7\d\d ms  \d+ to 7\d\d", p95)
    assert p95.index("▄") < p95.index("▇")
    assert "!" not in lines[at + 3]  # p99 has no limit
    assert next(line for line in lines if line.startswith("Replies")).endswith("  no data")


@pytest.mark.parametrize("lost", ["locale", "stream"])
def test_without_blocks_it_is_plain_ascii(
    stack: str, lost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the locale, or the encoding of what is written to, has none."""
    if lost == "locale":
        monkeypatch.setattr(locale, "getencoding", lambda: "ANSI_X3.4-1968")
        metrics("webhooks")
        shown = capsys.readouterr().out
    else:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        monkeypatch.setattr(sys, "stdout", stream)
        metrics("webhooks")
        stream.seek(0)
        shown = stream.read()
    assert shown.isascii()
    assert "####" in shown


def test_the_page_is_one_file_for_everybody(stack: str, tmp_path: Path) -> None:
    """Charts with words, a table of the latest values, nothing to run or to load; the folder is made."""
    file = tmp_path / "new" / "page.html"
    metrics(html=file)
    page = file.read_text(encoding="utf-8")
    assert page.count("<figure") == page.count("<desc") == 5
    assert all(panel.title in page for panel in read_panels())
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    row = re.search(r"<tr><th scope=\"row\">Webhook answers</th><td>p95</td>(.*?)</tr>", page)
    assert row is not None
    assert "above the limit" in row[1]
    assert '<td class="n">500 ms</td>' in row[1]


def test_open_opens_it(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the stack's folder, where no file is named; without a browser the file is."""
    opened: list[str] = []
    monkeypatch.setattr("runbook.verbs.metrics.BUILD", tmp_path)
    monkeypatch.setattr("webbrowser.open", opened.append)
    metrics("queue", open_page=True)
    page = tmp_path / "reports/dev/metrics.html"
    assert opened == [page.as_uri()]
    assert f"no browser could be opened; the page is {page}" in " ".join(capsys.readouterr().err.split("\n"))
    assert "Queue" in page.read_text()


def test_a_panel_that_there_is_not_is_an_error(stack: str) -> None:
    """Those that there are, are named."""
    with pytest.raises(RunbookError, match="there is no panel 'nope'") as refusal:
        metrics("nope")
    assert "webhooks, processing, replies" in refusal.value.hint


@pytest.mark.parametrize(
    "given", ["", "1", "h", "0m", "59s", "1y", "-1h", "1.5h", "99999d", "1h ", "2999-01-01"]
)
def test_a_wrong_time_is_usage(given: str) -> None:
    """Before anything is asked."""
    with pytest.raises(typer.BadParameter):
        metrics(since=read_moment(given))


class FakePrometheus(Prometheus):
    """Answers each query with the same series; remembers what was asked."""

    def __init__(self, *series: tuple[str, float, float]) -> None:
        """*series*: instance, and its values in the middle and at the end."""
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "series", series)

    def query_range(self, promql: str, start_s: float, end_s: float, step_s: float) -> list[MetricSeries]:
        self.asked.append((promql, start_s, end_s, step_s))  # type: ignore[attr-defined]
        middle = start_s + STEPS // 2 * step_s
        return [
            MetricSeries(metric={"instance": name}, values=[(middle, half), (end_s, last)])
            for name, half, last in self.series  # type: ignore[attr-defined]
        ]


def panel(**more: Any) -> Panel:
    """One of CPU."""
    told = {"name": "cpu", "group": "G", "title": "CPU", "unit": Unit.SHARE, "meaning": "Of one core."}
    return Panel(**{**told, "queries": {"{{instance}}": "rate(cpu[$window])"}, **more})


@pytest.mark.parametrize(("length_s", "window"), [(900, "60s"), (14 * 86_400, "6720s")])
def test_a_rate_misses_nothing_between_two_steps(length_s: int, window: str) -> None:
    """It is taken over a step, and over a minute at least."""
    prometheus = FakePrometheus()
    read_chart(prometheus, panel(), 1000.0, length_s)
    assert prometheus.asked == [(f"rate(cpu[{window}])", 1000.0, 1000.0 + length_s, length_s / STEPS)]


def test_of_many_series_the_highest_are_shown() -> None:
    """Those that have ended come last; how many are left out is said."""
    series = [(f"web-{number}", 0.1, number / 100) for number in range(MAX_LINES + 2)]
    drawn = read_chart(FakePrometheus(*series, ("old", 0.99, math.nan)), panel(), 0.0, 900)
    assert [line.name for line in drawn.chart.lines] == ["web-0", "web-1", *[f"web-{n}" for n in range(2, 8)]]
    assert drawn.left_out == 3
    assert str(list(rows(drawn, 80))[-1]) == "  and 3 lower ones"


def test_what_has_ended_has_no_latest_value() -> None:
    """Nor does it break a limit."""
    drawn = read_chart(FakePrometheus(("old", 0.99, math.nan)), panel(limit=0.8), 0.0, 900)
    assert not drawn.is_above_limit(drawn.chart.lines[0])
    assert str(list(rows(drawn, 80))[1]).split() == ["old", "█", "-", "99"]


def line(*values: float | None) -> Line:
    """A line of *values*."""
    return Line("a", "k", [(float(number), value) for number, value in enumerate(values)])


@pytest.mark.parametrize(
    ("values", "highest", "columns", "shown"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7), 7, 8, "▁▂▃▄▅▆▇█"),
        ((0, 7, 0, 0), 7, 2, "█▁"),
        ((None, None, 7, None), 7, 2, " █"),
        ((0, 0), 0, 2, "▁▁"),
        ((-1, 7), 7, 2, "▁█"),
    ],
)
def test_a_spark_keeps_peaks_and_gaps(
    values: tuple[float | None, ...], highest: float, columns: int, shown: str
) -> None:
    """0 is the lowest block, nothing measured none."""
    assert spark(line(*values), highest, columns) == shown
    assert spark(line(*values), highest, columns, ASCII) == shown.translate(str.maketrans(BLOCKS, ASCII))


def test_colour_is_for_terminals_and_long_names_keep_their_end() -> None:
    """A row above its limit is red; it is cut off at a narrow terminal's edge."""
    chart = Chart("CPU", "%", [Line("x" * 30 + "-r-1:8000", "k", [(0, 90.0)])], [Limit("limit", 80)])
    _, row = rows(PanelChart(panel(limit=0.8), chart, 0), 80)
    assert row.plain.startswith(f"  ~{'x' * 14}-r-1:8000  ")
    shown = io.StringIO()
    show_row(row, Console(file=shown, force_terminal=True, width=40, color_system="standard"))
    assert shown.getvalue().startswith("\x1b[31m")
    assert len(Text.from_ansi(shown.getvalue()).plain.rstrip()) <= 40


def test_names_on_the_page_are_text() -> None:
    """Whatever an instance is called."""
    drawn = read_chart(FakePrometheus(("<script>x", 0.1, 0.2)), panel(), 0.0, 900)
    page = metrics_page("dev", [drawn], 0.0, 900)
    assert "<script" not in page
    assert "&lt;script&gt;x" in page
