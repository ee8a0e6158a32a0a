"""On a narrow screen every part of the answer stays whole: a mark is on one line, and no line is too wide."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from straced.views.text.summary import plain
from straced.views.why.overview import lines as overview_lines
from straced.views.why.tree import tree
from straced.waits.model import HOLDS, LIKELY, Node, Resource, Wait, WaitingTask, Why, WhyAll

_MARKS = ("<- root cause", "<- what is behind it is not seen", "<- again: deadlock", "likely", "(see above)")


def _task(pid: int, kind: str, name: str, call: str = "recvfrom(1234)", **wait: object) -> WaitingTask:
    resource = Resource(kind="file", name=name)
    made = Wait(kind=kind, state="S", call=call, resource=resource, since_ns=987_654 * 10**9, **wait)  # type: ignore[arg-type]
    return WaitingTask(pid=pid, tid=pid + 1, comm="a-long-name-15c", uid=0, start_ticks=1, wait=made, switches=0)


def _chain(depth: int, kind: str) -> Node:
    node = Node(task=_task(4_000_000, kind, "/srv/a/long/path/to/something/that/is/waited/for", left_ns=10**12),
                relation=LIKELY)  # fmt: skip
    for level in range(depth):
        task = _task(
            4_000_100 + 10 * level, "lock", "/var/lib/application/of/some/length/data.lock", "fcntl(F_OFD_SETLKW)"
        )
        node = Node(task=task, relation=HOLDS if level < depth - 1 else None, holders=(node, node))
    return node


@pytest.mark.parametrize("width", [60, 80, 100, 132])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sleep", "lock"])
def test_no_mark_is_split(kind: str, depth: int, width: int) -> None:
    chain = _chain(depth, kind)
    text = plain(tree(chain, width))
    assert max(map(len, text.splitlines())) <= width, text
    whole = plain(tree(chain))
    for mark in _MARKS:
        assert text.count(mark) == whole.count(mark), text


def test_what_fits_stays_on_one_line() -> None:
    chain = _chain(1, "sleep")
    assert len(tree(chain, 200)) == len(tree(chain)) == 3


@pytest.mark.parametrize("width", [None, 80])
def test_who_ran_a_moment_ago_is_not_told_to_have_run_nothing_ago(width: int | None) -> None:
    task = _task(4_000_000, "sleep", "timer", left_ns=5 * 10**9)
    task = msgspec.structs.replace(task, wait=msgspec.structs.replace(task.wait, since_ns=0))
    (line,) = plain(tree(Node(task=task), width)).splitlines()
    assert line.endswith("timer  5.0 s left")


@pytest.mark.parametrize("width", [78, 80])
def test_a_mark_stands_beside_a_row_whose_columns_are_empty(width: int) -> None:
    """Padded up to the width it was pushed over it, and the terminal broke it."""
    running = msgspec.structs.replace(_task(4_000_001, "running", ""), comm="qemu-system-x86")
    running = msgspec.structs.replace(running, wait=Wait(kind="running", state="R"))
    other = _task(4_000_002, "mutex", "futex 0x5629b0ab57a8 in shared memory", call="futex")
    top = Node(task=_task(4_000_000, "pipe", "pipe:[34872958]", call="poll"), holders=(
        Node(task=running, relation=HOLDS, end="one of"), Node(task=other, relation=HOLDS, end="one of")))  # fmt: skip
    lines = plain(tree(top, width)).splitlines()
    assert max(map(len, lines)) <= width, lines
    assert sum(line.endswith("<- one of these") for line in lines) == 2


@pytest.mark.parametrize("depth", [1, 2])
def test_at_80_columns_pids_are_whole_and_strokes_go_on(depth: int) -> None:
    lines = plain(tree(_chain(depth, "sleep"), 80)).splitlines()
    for pid in (4_000_000, *(4_000_100 + 10 * level for level in range(depth))):
        assert any(f"{pid}/{pid + 1} a-long" in line for line in lines), lines
    for above, line in itertools.pairwise(lines):
        assert not any(letter == "└" and above[at] == " " for at, letter in enumerate(line)), lines


@pytest.mark.parametrize("width", [40, 80])
def test_the_counts_of_all_fit(width: int) -> None:
    words = ("stuck", "slow", "spinning", "busy", "idle", "stopped", "ended", "unknown")
    answers = tuple(
        Why(pid=number, start_ticks=1, comm="x", uid=0, verdict=words[number % 8], chain=_chain(1, "sleep"))
        for number in range(1, 9000, 7)
    )
    found = overview_lines(WhyAll(processes=answers, waited_for={}, window_ns=10**9), limit=1, width=width)
    assert max(map(len, plain(found[:3]).splitlines())) <= width
