"""What is known of a trace at one of its lines: tasks, descriptors and processes, and the sums up to there."""

from __future__ import annotations

from straced.traces.analysis.file_stats import FileRows
from straced.traces.analysis.idle_calls import IdleCalls
from straced.traces.analysis.lock_waits import LockWaits
from straced.traces.analysis.process_tree import ProcessTree
from straced.traces.analysis.slowest_calls import SlowestCalls
from straced.traces.analysis.tasks import TaskTable


class AnalysisState:
    """The state that :class:`OrderedPass` keeps and that the effects of calls change."""

    def __init__(self, files: FileRows) -> None:
        self.files = files
        """The sums of each path, socket and pipe."""
        self.quiet = False
        """The current line is not selected: descriptors and processes are followed, and nothing is counted."""
        self.first_tid: int | None = None
        """The task of the first line."""
        self.tree = ProcessTree()
        """The processes, with their programs, parents and ends."""
        self.tasks = TaskTable(self.tree)
        """The tasks, with their descriptors and the calls that they are in."""
        self.slowest = SlowestCalls()
        self.signal_counts: dict[str, int] = {}
        """Signals delivered, by name."""
        self.idle = IdleCalls()
        """Returns of poll and epoll that tell of nothing to do."""
        self.locks = LockWaits()
        """Waits for locks."""
