"""Slow calls as text.

Of `views/text/slow.py` and `views/text/spans.py`.
"""

from __future__ import annotations

from straced.model.slow import SlowCalls
from straced.views.text.slow import slow_lines
from straced.views.text.spans import plain
from tests.model.test_slow import call

MS = 1_000_000
SLOW = SlowCalls(
    limit_ns=10 * MS,
    seen=1205,
    waits=3,
    untold=1200,
    calls=(
        call(0, 1500 * MS, inside=True, call='openat(AT_FDCWD</srv>, "x", O_RDONLY ...', path="/srv/x"),
        call(
            0, 52 * MS, waiting_ns=51 * MS, result=1, call='recvfrom(7<TCP:[a->b]>, ""..., 1)', peer="tcp 10.0.0.7:80"
        ),
        call(0, 12 * MS, result=-2, errno="ENOENT", call='stat("/\x1b[2J", {...})', path="/" + "d/" * 40 + "file"),
    ),
)


def test_a_table() -> None:
    assert plain(slow_lines(SLOW, 2)) == (
        "Calls of 10 ms or more: 1,205; 1 inside at the end; 1,200 too many at a time to be shown; 3 that wait by their"
        " nature left out (--waits).\n"
        "  took  waiting  thread  file or peer     call\n"
        ' 1.5 s        -  7 job   /srv/x           openat(AT_FDCWD</srv>, "x", O_RDONLY ...\n'
        ' 52 ms    51 ms  7 job   tcp 10.0.0.7:80  recvfrom(7<TCP:[a->b]>, ""..., 1) = 1\n'
        " (1 more: --all)\n"
    )


def test_a_narrow_screen_and_foreign_text() -> None:
    lines = plain(slow_lines(SLOW, None, 100)).splitlines()
    assert "\x1b" not in "".join(lines)
    assert "…" in lines[-1]
    assert lines[-1].index("/file") < lines[-1].index("stat(")
    assert all(len(line) <= 100 for line in lines[2:])


def test_none() -> None:
    assert plain(slow_lines(SlowCalls(limit_ns=MS))) == "Calls of 1.0 ms or more: 0.\n"
