"""All processes at once, and the answers from Python.

Of `views/why/folding.py` and `waits/pausing.py`.
"""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from typing import Any

import pytest
from tests.support.process_states import running
from why_stages import STAGES
from why_world import World

import straced
from straced import errors
from straced.views.why.overview import overview
from straced.waits import all_processes, pausing
from straced.waits.all_processes import why_everybody
from straced.waits.facts.snapshot import ProcSnapshot


def test_the_most_stuck_and_most_waited_for_come_first(world: World) -> None:
    chain = STAGES["chain_of_three"](world)
    idle = STAGES["accepts"](world)
    assert isinstance(chain.culprit, int)
    found = why_everybody(50_000_000)
    order = [answer.pid for answer in found.processes]
    assert order.index(chain.target) < order.index(idle.target)
    assert found.waited_for[chain.culprit] == 2
    verdicts = {answer.pid: answer.verdict for answer in found.processes}
    assert (verdicts[chain.target], verdicts[idle.target]) == ("stuck", "idle")
    text = overview(found, limit=len(found.processes))
    assert text.count(f"└ {chain.culprit} ") == 1, "the chain is drawn once, from its top"


def test_the_answer_for_all_is_the_answer_for_one(world: World) -> None:
    stages = [STAGES[name](world) for name in ("lock_through_fork", "unix_stream", "mutex_deadlock", "stopped")]
    found = {answer.pid: answer for answer in why_everybody(50_000_000).processes}
    for stage in stages:
        answer = found[stage.target]
        roots = [root.task.tid for root in answer.roots if root.relation]
        assert answer.verdict == stage.verdict
        assert roots == ([] if stage.culprit is None else [stage.culprit])


async def test_from_python(world: World) -> None:
    stage = STAGES["pipe_read"](world)
    answer = await straced.why(stage.target, duration=0.05)
    assert isinstance(answer, straced.Why)
    assert [root.task.pid for root in answer.roots] == [stage.culprit]
    everybody = await straced.why_all(duration=0.05)
    assert isinstance(everybody, straced.WhyAll)
    assert stage.target in {one.pid for one in everybody.processes}
    assert everybody.to_dict()["schema"] == "straced.why_all/1"


@pytest.mark.parametrize(("pid", "duration"), [(0, 1.0), (-4, 1.0), (True, 1.0), (1, -1.0), (1, float("nan"))])
async def test_bad_arguments_from_python(pid: int, duration: float) -> None:
    with pytest.raises(errors.InvalidArgument):
        await straced.why(pid, duration=duration)


def test_the_package_stays_light() -> None:
    """Neither asking for nothing nor having the names loads what answers."""
    code = "import sys, straced; straced.why; straced.why_all; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    heavy = {"asyncio", "click", "rich", "msgspec", "straced.waits.process", "straced.waits.all_processes"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(("owner", "step"), [(ProcSnapshot, "tasks"), (all_processes, "assemble")])
def test_who_gives_up_waits_for_no_further_process(owner: Any, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may have ten thousand, and a cancel waits until the one is through."""
    given_up, done, plain = threading.Event(), [], getattr(owner, step)

    def then_give_up(*words: Any) -> Any:
        done.append(step)
        given_up.set()
        return plain(*words)

    def look() -> None:
        pausing.heed(given_up)
        why_everybody(0, pids=pids)

    monkeypatch.setattr(owner, step, then_give_up)
    with running() as first, running() as second, running() as third:
        pids = [first, second, third]
        with pytest.raises(pausing.GivenUp):
            contextvars.copy_context().run(look)
    assert done == [step]
