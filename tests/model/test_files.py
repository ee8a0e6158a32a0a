"""Sums by file: rows of one name are one.

Of `model/files.py`.
"""

from __future__ import annotations

from typing import Any

from straced.model.files import FileCounts, FileUse, merged, p99, sort_files, table_of


def use(name: str | None, calls: int, wall_ns: int, **about: Any) -> FileCounts:
    """The sums of a file."""
    given = {"errors": 0, "bytes": 0, "waiting_ns": 0, "max_ns": wall_ns, "histogram": (calls,), **about}
    return FileCounts(name=name, calls=calls, wall_ns=wall_ns, **given)


def test_rows_of_one_name_are_added_up() -> None:
    rows = [
        use("/a", 3, 100, kind="path", errors=1, errno="ENOENT"),
        use("/b", 1, 500),
        use("/a", 2, 50, kind="file", bytes=7, histogram=(0, 2)),
        use(None, 1, 1),
        use(None, 1, 2),
    ]
    first, second, *unknown = merged(rows)
    assert (first.name, first.calls) == ("/b", 1)
    assert (second.name, second.kind, second.calls, second.errors, second.errno) == ("/a", "file", 5, 1, "ENOENT")
    assert (second.bytes, second.wall_ns, second.max_ns, second.histogram) == (7, 150, 100, (3, 2))
    assert [each.wall_ns for each in unknown] == [2, 1]


def test_those_beyond_a_thousand_are_added_up() -> None:
    table = table_of([use(f"/{number}", 2, 5000 - number) for number in range(1010)], use(None, 3, 7), 4)
    assert len(table.rows) == 1000
    assert table.others is not None
    assert (table.others.name, table.others.calls, table.unplaced) == (None, 3 + 20, 4)
    assert {type(row) for row in (*table.rows, table.others)} == {FileUse}
    assert table_of([use("/a", 1, 1)], None, 0).others is None


def test_what_fails_is_kept_though_it_takes_no_time() -> None:
    quick = [use(f"/none/{number}", 1, 1, errors=number, errno="ENOENT") for number in range(1, 301)]
    table = table_of([use(f"/{number}", 2, 5000 - number) for number in range(1500)] + quick, None, 0)
    names = [row.name for row in table.rows]
    assert len(names) == 1000
    assert names[:800] == [f"/{number}" for number in range(800)]
    assert sorted(names[800:]) == sorted(f"/none/{number}" for number in range(101, 301)), "those that failed most"
    assert table.others is not None
    assert (table.others.calls, table.others.errors) == (2 * 700 + 100, sum(range(101)))


def test_an_order_for_each_key() -> None:
    rows = [
        use("/b", 1, 90, waiting_ns=80, max_ns=90),
        use("/a", 5, 50, errors=1, max_ns=20),
        use(None, 2, 10, errors=2, max_ns=9),
    ]
    for key, order in (
        ("time", "/b /a None"), ("working", "/a /b None"), ("waiting", "/b /a None"), ("calls", "/a None /b"),
        ("errors", "None /a /b"), ("max", "/b /a None"), ("name", "/a /b None"),
    ):  # fmt: skip
        assert " ".join(str(row.name) for row in sort_files(rows, key)) == order, key


def test_replies_of_one_peer_are_added_up() -> None:
    rows = [
        use("tcp 10.0.0.7:80", 1, 1, replies=2, reply_ns=30, reply_max_ns=20),
        use("tcp 10.0.0.7:80", 1, 1, replies=1, reply_ns=60, reply_max_ns=60, syncs=2, sync_ns=4),
        use("tcp 10.0.0.7:80", 1, 1),
    ]
    (peer,) = merged(rows)
    assert (peer.replies, peer.reply_ns, peer.reply_max_ns, peer.mean_reply_ns) == (3, 90, 60, 30)
    assert (peer.syncs, peer.sync_ns) == (2, 4)
    assert rows[2].mean_reply_ns is None


def test_a_percentile_is_never_beyond_the_longest() -> None:
    assert p99((0, 0, 5), 90) == 90
    assert p99((), 90) is None
