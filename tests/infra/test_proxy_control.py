"""What HAProxy's master says of its processes."""

from __future__ import annotations

from infra.proxy_control import Workers, parse_workers

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
