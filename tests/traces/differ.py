"""Reads logs with the Python reader and with the native core, and compares what comes out, byte by byte.

``python -m tests.traces.differ LIBRARY MUTATIONS SEED LOG...`` does so with mutations, up to the first that differs.
"""

from __future__ import annotations

import io
import os
import random
import sys
from pathlib import Path
from unittest import mock

import msgspec

from straced.errors import StracedError
from straced.traces.analysis.reader import read
from straced.traces.native import choice, library
from straced.traces.parsing.source import TraceSource
from straced.traces.report.build import build
from tests.traces.test_damage import mutate

MOST_LINES = 40


def outcome(log: bytes, reader: str, *, counts: bool = False, jobs: int = 1) -> bytes:
    """The report of a log as JSON, by one reader; or the words of its refusal."""
    source = TraceSource("log")
    source._stream = io.BytesIO(log)
    with mock.patch.dict(os.environ, {choice.CHOICE: reader}):
        try:
            return msgspec.json.encode(build(read(source, detail=not counts, jobs=jobs)))
        except StracedError as error:
            return str(error).encode()


def differs(log: bytes) -> bool:
    """Whether the readers differ on a log, in the whole report or in the counts."""
    return any(
        outcome(log, "python", counts=counts) != outcome(log, "native", counts=counts) for counts in (False, True)
    )


def mutated(log: bytes, dice: random.Random) -> bytes:
    """A piece of a log, with lines lost, doubled, swapped, damaged or cut."""
    lines = log.split(b"\n")
    start = dice.randrange(len(lines))
    lines = lines[start : start + dice.randint(2, MOST_LINES)]
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(lines))
        kind = dice.randrange(8)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, dice.choice(lines))
        elif kind == 2:
            other = dice.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 3:
            figures = [at for at, byte in enumerate(lines[place]) if 48 <= byte <= 57]
            if figures:
                at = dice.choice(figures)
                lines[place] = lines[place][:at] + b"%d" % dice.randrange(10) + lines[place][at + 1 :]
        else:
            lines[place] = mutate(lines[place], dice)
    return b"\n".join(lines) + b"\n" * dice.randrange(2)


def main(path: str, mutations: str, seed: str, *logs: str) -> int:
    """Compare, and print the first log on which the readers differ."""
    choice.PATH = Path(path)
    if library.library() is None:
        print(f"{path} cannot be loaded")
        return 2
    dice = random.Random(int(seed))
    texts = [Path(log).read_bytes() for log in logs]
    for number in range(int(mutations)):
        log = mutated(dice.choice(texts), dice)
        if differs(log):
            print(f"mutation {number} of seed {seed}:\n{log!r}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
