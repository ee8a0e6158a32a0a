"""Long work on the loop, in pieces: clients are answered between them, however much there is of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

PIECE_NS = 5_000_000
"""How long the loop may be kept at a time."""
Result = TypeVar("Result")


class Pace:
    """Lets the loop do other things each time that ``PIECE_NS`` are over."""

    def __init__(self) -> None:
        self._since_ns = time.monotonic_ns()

    async def rest(self) -> None:
        """Come here often; it waits seldom."""
        if time.monotonic_ns() - self._since_ns >= PIECE_NS:
            await asyncio.sleep(0)
            self._since_ns = time.monotonic_ns()


async def in_pieces(steps: Generator[None, None, Result]) -> Result:
    """Run a generator to its end; each of its yields is a place to rest."""
    pace = Pace()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result
        await pace.rest()


def at_once(steps: Generator[None, None, Result]) -> Result:
    """The same without a loop."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result
