"""Why a process waits, for pages: one question at a time, about processes that the service watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from straced.errors import StracedError
from straced.model.frame import Key

if TYPE_CHECKING:
    from straced.views.why.tree import TreeRow
    from straced.waits.model import Why

WATCHED_S = 1.5
"""How long a process is watched before the verdict: somebody looks at the page meanwhile."""
KEPT_S = 3.0
"""An answer serves whoever asks the same so soon after."""
MOST_WAITING = 8
"""Questions; each takes :data:`WATCHED_S` and one look at all of /proc."""


class NotAnswered(Exception):
    """There is no answer to this question; ``status`` says whether there may be one later."""

    def __init__(self, text: str, status: int = 404) -> None:
        super().__init__(text)
        self.status = status


class ChainRow(Struct, frozen=True, kw_only=True):
    """One task of a chain: who it is, what it is in, and on what it waits."""

    depth: int
    who: str
    call: str
    resource: str
    ran: str
    mark: str
    """What the end of the chain is: ``root cause``, ``idle``, ..."""
    key: Key | None = None
    """A process that has a page of its own."""


class WhyAnswer(Struct, frozen=True, kw_only=True):
    """The answer of ``straced why`` as the page shows it; all text in it has been scrubbed."""

    key: Key
    epoch_s: float
    verdict: str
    sentence: str
    chain: tuple[ChainRow, ...]
    evidence: tuple[str, ...]
    not_seen: tuple[str, ...]
    next: str | None


async def _ask(pid: int) -> Why:
    from straced.waits.api import why

    return await why(pid, duration=WATCHED_S, tracer="none")


class WhyAnswers:
    """Asks, one question after the other, and gives an answer to all that asked the same meanwhile.

    Args:
        shown: the processes that a page may ask about.
        ask: looks at one process.
    """

    def __init__(self, shown: Callable[[], Collection[Key]], ask: Callable[[int], Awaitable[Why]] = _ask) -> None:
        self._shown = shown
        self._ask = ask
        self._turn = asyncio.Semaphore(1)
        self._asked: dict[Key, asyncio.Task[bytes]] = {}
        self._kept: dict[Key, tuple[float, bytes]] = {}

    async def answer(self, key: Key) -> bytes:
        """The answer as JSON.

        Raises:
            NotAnswered: the process is not watched, has ended, or too many questions wait.
        """
        if key not in self._shown():
            raise NotAnswered("this process is not watched now")
        now = time.monotonic()
        self._kept = {each: kept for each, kept in self._kept.items() if now - kept[0] < KEPT_S}
        if (kept := self._kept.get(key)) is not None:
            return kept[1]
        if (asked := self._asked.get(key)) is None:
            if len(self._asked) >= MOST_WAITING:
                raise NotAnswered("too many such questions at the moment: try again", 503)
            asked = self._asked[key] = asyncio.get_running_loop().create_task(self._in_turn(key))
            asked.add_done_callback(lambda task: self._done(key, task))
        return await asyncio.shield(asked)  # another page may wait for it, too

    async def _in_turn(self, key: Key) -> bytes:
        async with self._turn:
            try:
                why = await self._ask(key[0])
            except StracedError as error:
                raise NotAnswered(str(error)) from error
        if why.start_ticks not in (0, key[1]):  # 0: it ended meanwhile
            raise NotAnswered("it has ended")
        built = msgspec.json.encode(answer_of(key, why, self._shown()))
        self._kept[key] = (time.monotonic(), built)
        return built

    def _done(self, key: Key, task: asyncio.Task[bytes]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer_of(key: Key, why: Why, shown: Collection[Key]) -> WhyAnswer:
    """Build what the page shows of an answer."""
    from straced.views.why.sentence import rest_of_reason, sentence
    from straced.views.why.tree import tree_rows

    return WhyAnswer(
        key=key,
        epoch_s=time.time(),
        verdict=why.verdict,
        sentence=sentence(why),
        chain=tuple(_row(row, shown) for row in tree_rows(why.chain)) if why.chain is not None else (),
        evidence=tuple(text for text in (*why.evidence, rest_of_reason(why)) if text),
        not_seen=why.not_seen,
        next=why.next,
    )


def _row(row: TreeRow, shown: Collection[Key]) -> ChainRow:
    task = row.task
    own = (task.pid, task.start_ticks) if task is not None and task.tid == task.pid else None
    return ChainRow(
        depth=len(row.guide) // 2,
        who=row.name,
        call=row.call,
        resource=row.resource,
        ran=row.ran,
        mark=row.mark.replace("<-", "").strip(),
        key=own if own in shown else None,
    )
