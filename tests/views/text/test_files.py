"""Sums by file as text.

Of `views/text/files.py`.
"""

from __future__ import annotations

from msgspec.structs import replace

from straced.model.files import FileTable
from straced.views.text.files import file_lines
from straced.views.text.spans import plain
from tests.model.test_files import use
from tests.views.text.test_summary import shown, summary

MS = 1_000_000
TABLE = FileTable(
    rows=(
        use("/srv/db/wal", 1200, 480 * MS, bytes=52_400_000, waiting_ns=400 * MS, p99_ns=2 * MS, max_ns=90 * MS),
        use("/etc/none", 30, 1 * MS, errors=30, errno="ENOENT"),
        use(None, 2, 5000),
    ),
)


def test_a_table() -> None:
    assert plain(file_lines(TABLE, 2)) == (
        " calls  errors    bytes   total  waiting     p99     max  file or peer\n"
        " 1,200       0  52.4 MB  480 ms   400 ms  2.0 ms   90 ms  /srv/db/wal\n"
        "    30      30      0 B  1.0 ms     0 ns       -  1.0 ms  /etc/none (ENOENT)\n"
        " (1 more: --all)\n"
    )


def test_what_only_some_have() -> None:
    """Columns of syncs and of replies are there where there are any; the order is that of the table above."""
    rows = (
        use("/srv/db/wal", 9, 5 * MS, syncs=4, sync_ns=3 * MS),
        use("tcp 10.0.0.7:80", 2, 1 * MS, replies=2, reply_ns=80 * MS, reply_max_ns=60 * MS),
    )
    assert plain(file_lines(FileTable(rows=rows), None, 120, "name")) == (
        " calls  errors  bytes  syncs   total  waiting     max  reply  max reply  file or peer\n"
        "     9       0    0 B      4  5.0 ms     0 ns  5.0 ms      -          -  /srv/db/wal\n"
        "     2       0    0 B      -  1.0 ms     0 ns  1.0 ms  40 ms      60 ms  tcp 10.0.0.7:80\n"
    )
    (_titles, first, _more) = plain(file_lines(FileTable(rows=rows), 1, 120, "max")).splitlines()
    assert first.endswith("/srv/db/wal")


def test_the_order_is_that_of_the_calls() -> None:
    lines = shown(summary(files=TABLE), sort="errors")
    names = [line.split()[-1] for line in lines if line.endswith(("wal", "(ENOENT)", "resolved)"))]
    assert names == ["(ENOENT)", "/srv/db/wal", "resolved)"]


def test_what_is_missing_is_said() -> None:
    lost = replace(TABLE, others=use(None, 7, 10), unplaced=3)
    text = plain(file_lines(lost))
    assert "(not resolved)" in text
    assert "(all others)" in text
    assert "3 calls are in no row" in text


def test_nothing_is_said_in_words() -> None:
    assert plain(file_lines(FileTable())) == " No call was about a file or a peer.\n"


def test_names_are_cut_at_their_beginning_and_scrubbed() -> None:
    rows = (use("/" + "d/" * 60 + "\x1b[2Jfile", 1, 1),)
    lines = plain(file_lines(FileTable(rows=rows), None, 100)).splitlines()
    assert "\x1b" not in lines[1]
    assert lines[1].endswith("file")
    assert len(lines[1]) == 100
