"""Why a process waits, asked by pages: only of what is watched, one look at a time, and who may ask.

Of `web/why_answers.py`.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from straced.errors import NoSuchProcess
from straced.waits.model import Node, Wait, WaitingTask, Why
from straced.web.why_answers import MOST_WAITING, NotAnswered, WhyAnswers


def waiting(pid: int, kind: str = "sleep", holders: tuple[Node, ...] = ()) -> Node:
    task = WaitingTask(pid=pid, tid=pid, comm=f"task{pid}", uid=0, start_ticks=7, wait=Wait(kind=kind, state="S"))
    return Node(task=task, holders=holders)


def why(pid: int, start: int = 7) -> Why:
    chain = waiting(pid, "child", (waiting(pid + 1),))
    return Why(pid=pid, start_ticks=start, comm=f"task{pid}", uid=0, verdict="idle", chain=chain, evidence=("wchan",))


class Asked:
    """Answers when it is let, and counts."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.running = self.most = 0
        self.go = asyncio.Event()

    async def __call__(self, pid: int) -> Why:
        self.pids.append(pid)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        if pid == 13:
            raise NoSuchProcess("there is no process 13", pid=13)
        return why(pid, 8 if pid == 12 else 7)


async def test_one_look_serves_all_who_ask_the_same() -> None:
    asked = Asked()
    answers = WhyAnswers(lambda: {(4, 7), (5, 7)}, asked)
    tasks = [asyncio.create_task(answers.answer((4, 7))) for _ in range(5)]
    other = asyncio.create_task(answers.answer((5, 7)))
    left = tasks.pop()
    await asyncio.sleep(0)
    left.cancel()  # a page that went away takes nothing from the others
    asked.go.set()
    first = {await task for task in tasks}
    assert len(first) == 1
    await other
    assert (asked.pids, asked.most) == ([4, 5], 1)
    found = json.loads(first.pop())
    assert found["sentence"].startswith("4 (task4) is idle")
    assert [(row["depth"], row["who"], row["key"]) for row in found["chain"]] == [
        (0, "4 task4", [4, 7]),
        (1, "5 task5", [5, 7]),
    ]
    assert found["evidence"] == ["wchan"]
    assert await answers.answer((4, 7))  # kept for a moment: nobody looks again
    assert asked.pids == [4, 5]


async def test_what_is_not_watched_is_not_told_of() -> None:
    asked = Asked()
    asked.go.set()
    answers = WhyAnswers(lambda: {(4, 7), (12, 7), (13, 7)}, asked)
    for key in ((1, 7), (4, 8)):
        with pytest.raises(NotAnswered, match="not watched") as caught:
            await answers.answer(key)
        assert caught.value.status == 404
    assert asked.pids == []
    with pytest.raises(NotAnswered, match="has ended"):  # its pid is another's by now
        await answers.answer((12, 7))
    with pytest.raises(NotAnswered, match="no process 13"):
        await answers.answer((13, 7))
    assert json.loads(await answers.answer((4, 7)))["chain"][1]["key"] is None  # in the chain, with no page of its own


async def test_so_many_questions_and_no_more() -> None:
    asked = Asked()
    keys = [(pid, 7) for pid in range(100, 101 + MOST_WAITING)]
    answers = WhyAnswers(lambda: set(keys), asked)
    tasks = [asyncio.create_task(answers.answer(key)) for key in keys[:-1]]
    await asyncio.sleep(0)
    with pytest.raises(NotAnswered, match="too many") as caught:
        await answers.answer(keys[-1])
    assert caught.value.status == 503
    await answers.close()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
    asked.go.set()
    assert await answers.answer(keys[-1])  # there is room again
