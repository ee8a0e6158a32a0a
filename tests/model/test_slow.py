"""The slow calls of a window, and of several stretches.

Of `model/slow.py`.
"""

from __future__ import annotations

from typing import Any

from straced.model.slow import SlowCalls, SlowSyscall, longest, since, together


def call(start_ns: int, duration_ns: int, **about: Any) -> SlowSyscall:
    """A call of some thread."""
    given = {"name": "read", "abi": "x86_64", "pid": 7, "tid": 7, "comm": "job", "epoch_s": 0.0, **about}
    return SlowSyscall(start_ns=start_ns, duration_ns=duration_ns, **given)


def test_a_window_has_what_ended_in_it_and_what_is_inside() -> None:
    before, across, later = call(10, 20), call(20, 40), call(60, 30)
    stuck = call(5, 95, inside=True)
    earlier = SlowCalls(limit_ns=10, seen=1, waits=4, calls=(before,))
    now = SlowCalls(limit_ns=10, seen=3, waits=6, untold=1, calls=(stuck, across, later, before))
    assert since(earlier, 50, now) == SlowCalls(limit_ns=10, seen=2, waits=2, untold=1, calls=(stuck, across, later))
    assert since(None, 50, now) is now
    assert since(earlier, 50, None) is None


def test_stretches_add_up() -> None:
    one = SlowCalls(limit_ns=10, seen=3, lost=1, calls=(call(0, 30), call(1, 20)))
    other = SlowCalls(limit_ns=10, seen=1, untold=2, calls=(call(2, 25),))
    both = together([one, None, other])
    assert both is not None
    assert (both.seen, both.lost, both.untold) == (4, 1, 2)
    assert [each.duration_ns for each in both.calls] == [30, 25, 20]
    assert together([None, one]) is one
    assert together([None, None]) is None


def test_the_longest_are_kept() -> None:
    calls = [call(number, number % 7) for number in range(100)]
    assert [each.start_ns for each in longest(calls, 3)] == [6, 13, 20]


def test_what_it_is_about() -> None:
    assert call(0, 1, path="/a", peer="tcp 1.2.3.4:5").about == "/a"
    assert call(0, 1, peer="tcp 1.2.3.4:5").about == "tcp 1.2.3.4:5"
    assert call(0, 1).about == ""
