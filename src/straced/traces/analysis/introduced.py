"""What ``straced trace`` wrote of the processes at the attach, taken over before the first line is read."""

from __future__ import annotations

import json

from straced.traces.analysis.fd_table import DescriptorTable
from straced.traces.analysis.state import AnalysisState
from straced.traces.parsing.comments import TraceComments

MOST_DESCRIPTORS = 10_000


def introduce(state: AnalysisState, comments: TraceComments) -> None:
    """Make the processes known with their threads, names, parents, descriptors and folders."""
    tree, tasks = state.tree, state.tasks
    for facts in comments.processes.values():
        tree.leads(facts.pid)
        proc = tree.get(facts.pid, 0, b"")
        if proc is not None:
            proc.name = facts.name
            proc.argv = json.dumps(facts.argv, ensure_ascii=False)
            if facts.parent in comments.processes:
                proc.parent = facts.parent
        names = {int(fd): name.encode() for fd, name in list(facts.fds.items())[:MOST_DESCRIPTORS] if fd.isdecimal()}
        table = DescriptorTable(names, origin=b" of %d" % facts.pid, folder=facts.folder.encode())
        tasks.of(facts.pid).table = table
        for tid in facts.tasks:
            if tid != facts.pid:
                tree.join(tid, facts.pid)
                tasks.of(tid).table = table
