"""Requests of io_uring as text.

Of `views/text/uring.py` and `model/uring.py`.
"""

from __future__ import annotations

from straced.model.uring import UringTable, UringUse, name_of, table_of
from straced.views.text.spans import plain
from straced.views.text.uring import uring_lines

MS = 1_000_000
READ = UringUse(
    name="io_uring:read", requests=1200, completed=1200, errors=3, errno="EIO", in_flight=0, wall_ns=480 * MS,
    max_ns=90 * MS, p99_ns=2 * MS,
)  # fmt: skip
POLL = UringUse(name="io_uring:poll_add", requests=2, completed=0, errors=0, in_flight=2)
SHOT = UringUse(name="io_uring:recv", requests=1, completed=0, errors=0, in_flight=None, more=7)


def test_a_table() -> None:
    assert plain(uring_lines(table_of([POLL, READ], ()))) == (
        " requests  errors  in flight   total     p99    max  operation\n"
        "    1,200       3          0  480 ms  2.0 ms  90 ms  io_uring:read (EIO)\n"
        "        2       0          2       -       -      -  io_uring:poll_add\n"
    )


def test_what_is_not_known_is_said() -> None:
    text = plain(uring_lines(table_of([SHOT, READ], ["7 completions found their queue full"]), 1))
    assert text.splitlines()[-2:] == [" (1 more: --all)", " io_uring: 7 completions found their queue full"]
    assert plain(uring_lines(table_of([SHOT], ()))).splitlines()[1].split()[:4] == ["1", "0", "-", "7"]
    assert plain(uring_lines(UringTable(rows=None, problems=("none here",)))) == " io_uring: none here\n"
    off = UringTable(note="kernel.io_uring_disabled is 2: nobody may make new rings")
    assert plain(uring_lines(off)).splitlines()[1] == f" {off.note}"
    assert plain(uring_lines(UringTable())) == " no requests of io_uring seen\n"


def test_names() -> None:
    assert [name_of(code) for code in (0, 18, 22, 62, 200)] == [
        "io_uring:nop", "io_uring:openat", "io_uring:read", "io_uring:pipe", "io_uring:200",
    ]  # fmt: skip
