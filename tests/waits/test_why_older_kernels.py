"""Where the kernel tells less: before Linux 5.14, fdinfo does not name the inode."""

from __future__ import annotations

import msgspec
import pytest
from why_stages import STAGES
from why_world import World

from straced.waits.facts import fds
from straced.waits.facts.fds import FdInfo
from straced.waits.facts.proc import ProcReader
from straced.waits.process import why_process


@pytest.mark.parametrize("name", ["lock_flock", "lock_fcntl"])
def test_the_holder_of_a_lock(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = STAGES[name](world)
    told = fds.info

    def info(proc: ProcReader, pid: int, number: int) -> FdInfo | None:
        found = told(proc, pid, number)
        return None if found is None else msgspec.structs.replace(found, inode=None)

    monkeypatch.setattr(fds, "info", info)
    why = why_process(stage.target, 10**8)
    assert (why.verdict, [root.task.pid for root in why.roots]) == ("stuck", [stage.culprit])
