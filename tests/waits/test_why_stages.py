"""Each staged situation, with real processes: the sentence names the right culprit and the right resource.

Of `waits/api.py`, `waits/classify/classify.py`, `waits/classify/descriptors.py`, `waits/classify/polls.py`,
`waits/classify/tasks.py`, `waits/facts/futexes.py`, `waits/facts/snapshot.py`, `waits/holders/common.py`,
`waits/holders/dispatch.py`, `waits/holders/files.py`, `waits/holders/locks.py`, `waits/holders/sockets.py`,
`waits/holders/tasks.py`, `waits/verdict/assemble.py`, `waits/verdict/chain.py`, `waits/verdict/representative.py`,
`views/why/phrases.py` and `views/why/tree.py`.
"""

from __future__ import annotations

import os
import re

import msgspec
import pytest
import why_more_stages  # noqa: F401, registers its stages
import why_net_stages  # noqa: F401, registers its stages
from why_grade import grade
from why_require import need
from why_stages import STAGES
from why_world import World

from straced.views.why.bundle import bundle
from straced.views.why.dot import dot
from straced.views.why.report import report
from straced.waits.process import why_process

_CGROUPS = {"frozen_v1": "/sys/fs/cgroup/freezer", "frozen_v2": "/sys/fs/cgroup/unified"}


@pytest.mark.parametrize("name", STAGES)
def test_stage(name: str, world: World) -> None:
    if name in _CGROUPS:
        need("root", os.access(_CGROUPS[name], os.W_OK), f"{_CGROUPS[name]} cannot be written")
    if name == "file_system_that_hangs":
        need("root", os.geteuid() == 0 and os.access("/dev/fuse", os.W_OK), "nothing can be mounted")
    stage = STAGES[name](world)
    why = why_process(stage.target, 100_000_000)
    word, text = grade(stage, why)
    if name == "file_system_that_hangs" and word == "unknown":
        need("fuse", False, "this kernel does not tell whose file system a descriptor of /dev/fuse serves")
    assert word == "right", text
    assert msgspec.json.decode(msgspec.json.encode(why.to_dict()))["schema"] == "straced.why/1"
    assert all(len(line) < 400 for line in report(why).split("\n"))
    assert dot([why]).startswith("digraph")
    assert str(world.directory) not in bundle(why)
    assert re.search(rf"\b{stage.target}\b", bundle(why))
