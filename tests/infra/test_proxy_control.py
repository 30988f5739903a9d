"""What HAProxy's master says of its processes."""

from __future__ import annotations

from infra.proxy_control import Counters, Workers, parse_counters, parse_workers

SHOWN = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          2               0d00h01m10s     2.6.12-1+deb12u2
# workers
42              worker          0               0d00h00m02s     2.6.12-1+deb12u2
# old workers
17              worker          1               0d00h00m40s     2.6.12-1+deb12u2
23              worker          2               0d00h00m20s     2.6.12-1+deb12u2
# programs

"""


def test_current_and_old_workers_are_told_apart() -> None:
    """Draining waits for the old ones only."""
    assert parse_workers(SHOWN) == Workers("42", ("17", "23"))


def test_a_master_that_is_restarting_itself_has_no_workers() -> None:
    """An empty answer during a reload is not the news that the reload is over."""
    assert parse_workers("") == Workers("", ())


STAT = """\
# pxname,svname,stot,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,rtime,ttime,rtime_max,ttime_max,
live,BACKEND,120,0,100,0,17,3,0,12,15,900,950,
canary,BACKEND,0,0,0,0,0,0,0,,,,,

"""


def test_a_backends_answers_are_counted_by_status() -> None:
    """A 4xx is the sender's doing, unless only one of two releases gives it; a 5xx is the release's."""
    assert parse_counters(STAT, "live") == Counters(120, errors=3, mean_ms=12, slowest_ms=900, refused=17)
    assert parse_counters(STAT, "canary") == Counters(0, 0, 0, 0)


def test_a_backend_that_is_not_there_has_no_counters() -> None:
    """A route without a canary, or a master that is restarting itself."""
    assert parse_counters(STAT, "other") is None
    assert parse_counters("", "live") is None
