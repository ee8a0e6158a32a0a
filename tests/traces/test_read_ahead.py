"""Of `traces/parsing/read_ahead.py`: blocks come in order, failures where they are asked for, and the thread ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from straced.traces.parsing.read_ahead import ReadAhead
from tests.support import poll


def blocks(count: int, *, asked: list[int] | None = None) -> Iterator[bytes]:
    for number in range(count):
        if asked is not None:
            asked.append(number)
        yield b"%d" % number


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "straced-reading"]


def test_all_blocks_in_order() -> None:
    ahead = ReadAhead(blocks(100))
    assert list(ahead) == list(blocks(100))
    assert next(ahead, None) is None
    ahead.close()
    assert threads() == []


def test_few_blocks_are_read_ahead_and_the_rest_is_left() -> None:
    asked: list[int] = []
    ahead = ReadAhead(blocks(10**6, asked=asked))
    assert next(ahead) == b"0"
    ahead.close()
    poll.until(lambda: threads() == [])
    assert len(asked) < 12


def test_a_failure_is_raised_where_the_block_is_asked_for() -> None:
    def failing() -> Iterator[bytes]:
        yield b"0"
        raise ValueError("damaged")

    ahead = ReadAhead(failing())
    assert next(ahead) == b"0"
    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            next(ahead)
    ahead.close()


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert ReadAhead.started(blocks(3)) is None
