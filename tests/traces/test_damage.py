"""Damaged traces: counted, never fatal.

Of `traces/analysis/other_lines.py`.
"""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.tally import LineTally
from straced.traces.analysis.thread_groups import ThreadGroups
from straced.traces.parsing.line import parse_line
from straced.traces.parsing.line_format import Form, NotATrace, detect
from straced.traces.parsing.restarts import Restarts
from tests.traces.recorded import record

LINES = int(os.environ.get("STRACED_FUZZ_LINES", "40000"))
"""A million takes a minute: STRACED_FUZZ_LINES=1000000."""
FORMS = [("-f", "-ttt", "-T", "-yy"), ("-f", "-t"), ("-tt", "-T", "-i"), ("-f", "-r", "-Y")]


def passes(form: Form, block: bytes) -> int:
    """All passes over one block; the lines that the tally saw."""
    tally = LineTally(form, ticks=True)
    tally.feed(block, 1)
    tally.flush()
    for each in (OrderedPass(form), Restarts(form), ThreadGroups(form)):
        each.feed(block)  # type: ignore[attr-defined]
    return tally.counted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.binary(max_size=3000))
def test_any_bytes(data: bytes) -> None:
    block = b"\n" + data.replace(b"\r", b"") + b"\n"
    for form in (
        Form(pid="plain", clock="epoch", clock_digits=6, durations=True, paths=True),
        Form(pid="none", clock=None),
        Form(pid="bracket", clock="day", comm=True, brackets=1, durations=True),
    ):
        assert passes(form, block) == block.count(b"\n") - 1
    with contextlib.suppress(NotATrace):
        detect(data, "x")


@pytest.mark.parametrize("flags", FORMS, ids=lambda flags: "".join(flags))
def test_mutated_lines(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = record(tmp_path, ["sh", "-c", "ls /nope /etc | cat; sleep 0.01 & wait"], flags)
    lines = path.read_bytes().split(b"\n")[:-1]
    form = detect(path.read_bytes(), "x")
    dice = random.Random(1)
    done = 0
    while done < LINES // len(FORMS):
        mutated = [mutate(dice.choice(lines), dice) for _ in range(2000)]
        block = b"\n" + b"\n".join(mutated) + b"\n"
        assert passes(form, block) == len(mutated)
        for line in mutated[:200]:
            parse_line(line)
        done += len(mutated)


def mutate(line: bytes, dice: random.Random) -> bytes:
    """One to three random edits; no newline comes in."""
    data = bytearray(line)
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(data) + 1)
        kind = dice.randrange(5)
        if kind == 0:
            del data[place : place + dice.randint(1, 20)]
        elif kind == 1:
            data[place:place] = bytes(dice.choice((0, 9, 27, 34, 40, 41, 48, 60, 61, 62, 92, 255)) for _ in range(3))
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            data[place:place] = dice.choice((b"<unfinished ...>", b" = -1 ENOENT (x)", b"= ? ERESTARTSYS (", b"<0.1>"))
        elif data:
            data[place % len(data)] = dice.choice((0, 32, 40, 41, 60, 62, 200))
    return bytes(data).replace(b"\n", b" ")
