"""Files, descriptors, processes, slow calls and their lines: the ordered pass over a trace.

It sees every line once, in order, and looks into those calls only that have to do with paths, descriptors, processes
and locks. What equal texts say is read once (:mod:`straced.traces.analysis.decoded_call`), and what a call does then
is in :mod:`straced.traces.analysis.effects`. What is kept a path is capped (:mod:`straced.traces.analysis.file_stats`).
"""

from __future__ import annotations

import heapq
import re

from straced.traces.analysis import roles
from straced.traces.analysis.decoded_call import NOTHING, DecodedCall, Texts, errno_of
from straced.traces.analysis.decoders import READINGS
from straced.traces.analysis.file_stats import FileRows
from straced.traces.analysis.other_lines import attached, other_line
from straced.traces.analysis.process_tree import Tree
from straced.traces.analysis.tasks import UNFINISHED, TaskTable, TracedTask
from straced.traces.parsing.line import find_result
from straced.traces.parsing.line_format import Form

SLOWEST = 25
_SHORT_WAIT = b"<0.000050>"
"""Shorter waits for a futex are no waits: the tracer itself takes longer. They are counted in the summary only."""
_LONGEST = b"<9.999999>"
"""No plain duration is longer: more digits make it another text."""
_MOST_DURATIONS = 100_000
_HEADS = roles.heads(roles.ROLE_OF)
_BIRTHS = frozenset(head for head, (role, _, resumed) in _HEADS.items() if role == roles.FORK and not resumed)
_MOVES_DATA = {roles.READ, roles.WRITE}
Words = tuple[bytes, bytes, bytes, bytes]
"""Of one line: pid, clock, the call with its bracket (or ``<... NAME``), and the rest."""
Known = tuple[int, str, bool, bool, dict[bytes, DecodedCall]]
"""Role and name of a call, whether this is its second half, whether its data can be left out, and what texts said."""


class OrderedPass:
    """Feed it the blocks of a trace in order."""

    def __init__(self, form: Form, files: FileRows | None = None) -> None:
        self.form = form
        self._texts = Texts()
        self._known: dict[bytes, Known] = {
            head: (role, name, resumed, role in _MOVES_DATA and not form.paths, self._texts.of(name))
            for head, (role, name, resumed) in _HEADS.items()
        }
        self._pattern = re.compile(rb"\n(?:" + form.prefix() + rb"(<\.\.\. \w+|\w+\())?([^\n]*)")
        self.files = files if files is not None else FileRows()
        self.quiet = False
        """The line at hand is not selected: follow its descriptors and processes, and count nothing."""
        self.tree = Tree()
        self.tasks = TaskTable(self.tree)
        self.slowest: list[tuple[int, int, bytes]] = []
        """A heap of duration, minus the line number (of equals the first is kept), and the line without its prefix."""
        self._floor = b"<0.000000>"
        self.signals: list[tuple[int, bytes, int, str]] = []
        self.signal_counts: dict[str, int] = {}
        self.locks: dict[tuple[int, bytes], list[int]] = {}
        """(pid, futex address) -> waits, time, longest, its line."""
        self.lines = 0
        self._durations: dict[bytes, int] = {}
        self._attached: set[bytes] = set()

    @property
    def root(self) -> int:
        """The task of lines without a pid, 0 while it is not known."""
        return self.tasks.root

    def feed(self, block: bytes) -> None:
        """Read one block of whole lines."""
        found = self.words(block)
        if self.form.pid == "bracket" and not self.root:
            self._find_root(block, found)
        self.read(found)
        self.tasks.forget_idle()

    def words(self, block: bytes) -> list[Words]:
        """The words of each line of a block."""
        found = self._pattern.findall(block)
        found.pop()  # the empty line behind the last newline
        return found

    def _find_root(self, block: bytes, found: list[Words]) -> None:
        """On a terminal, lines have no pid while there is one process: it is the one that strace did not attach to."""
        self._attached.update(attached(block))
        root = next((int(words[0]) for words in found if words[0] and words[0] not in self._attached), 0)
        if root:
            self.tasks.root_found(root)
            self.tree.rename(0, root)

    def read(self, found: list[Words]) -> None:
        """Read the words of some lines."""
        number, timed = self.lines, self.form.durations
        calls, durations, files, texts = self._known, self._durations, self.files, self._texts
        tasks, of_text, births = self.tasks.by_text, self.tasks.of_text, self.tasks.births
        floor = self._floor
        for pid, clock, head, rest in found:
            number += 1
            tail = rest[-10:]  # <0.000123>
            if not b"<" <= tail <= floor:
                if tail == b"ished ...>" and head and rest[-16:] == UNFINISHED:  # not `...>) = ?`
                    task = tasks.get(pid) or of_text(pid)
                    if head[0] == 60:  # resumed, and interrupted once more
                        head, rest = head[5:] + b"(", task.begun() + rest[9:]
                    task.entered = head, rest, number
                    if head in _BIRTHS:
                        births.append(task.tid)
                    continue
                if head and rest[-4:] == b"...>":  # detached
                    continue
                if timed and (tail[:1] == b"<" or rest[-1:] == b">"):
                    self.slow(head, rest, number, pid)
                    floor = self._floor
            known = calls.get(head)
            if known is None:
                if not head:
                    other_line(self, rest, number)
                elif head[0] == 60:
                    (tasks.get(pid) or of_text(pid)).entered = None
                continue
            role, name, resumed, brief, said_by = known
            task = tasks.get(pid) or of_text(pid)
            line = number
            if role == roles.FUTEX and timed and b"<" <= tail < _SHORT_WAIT:
                if resumed:
                    task.entered = None
                continue
            if resumed:
                if task.entered is not None:
                    line = task.entered[2]  # evidence is where the call began
                rest = task.begun() + rest[9:]
                task.entered = None
            files.pid = task.pid
            ns = durations.get(tail)
            if ns is None:
                self.call(role, name, task, rest, line, clock)
                continue
            # the most frequent form: a duration that is known
            text = rest[:-10]
            if brief and 0 < (comma := text.find(b",")) < (split := text.rfind(b" = ")):
                text = text[:comma] + text[split:]
            said = said_by.get(text)
            if said is None:
                said = self._said(role, name, rest)
                texts.keep(name, text, said)
            if said.act is not None:
                said.act(self, task, name, said, ns, line, clock)
        self.lines = number

    def call(self, role: int, name: str, task: TracedTask, rest: bytes, number: int, clock: bytes) -> None:
        """A call whose duration is new, of another form, or not there."""
        timed = self.form.durations
        said = None if timed else self._texts.of(name).get(rest)
        if said is None:
            said = self._said(role, name, rest)
            if not timed:
                self._texts.keep(name, rest, said)
        if said.act is None:
            return
        ns: int | None = None
        if timed and rest[-10:-9] == b"<":
            ns = self.duration(rest[-9:-1])
            if ns is not None and rest[-1:] == b">" and len(self._durations) < _MOST_DURATIONS:
                self._durations[rest[-10:]] = ns  # few values make up most of a trace
        elif timed and rest[-1:] == b">":
            ns = self.duration(rest[rest.rfind(b"<") + 1 : -1])
        self.files.pid = task.pid
        said.act(self, task, name, said, ns, number, clock)

    def _said(self, role: int, name: str, rest: bytes) -> DecodedCall:
        split = rest.rfind(b" = ")
        result = rest[split + 3 :]
        paths = self.form.paths
        plain = result[-10:-9] == b"<" and b">" not in result[:-1] and self.form.durations
        if split < 0 or (paths and not plain and result.count(b">") - result.count(b"->") != result.count(b"<")):
            found = find_result(rest, 0, len(rest))
            if found is None or found[1] < 3:
                return NOTHING
            split, result = found[1] - 3, rest[found[1] :]
        return READINGS[role](name, rest[:split], result, errno_of(result), paths)

    def slow(self, head: bytes, rest: bytes, number: int, pid: bytes) -> None:
        """Keep a line that took long, while it is among those that took longest."""
        duration = self.duration(rest[rest.rfind(b"<") + 1 : -1])
        if duration is None or not head or self.quiet:
            return
        if head[:1] == b"<":
            task = self.tasks.of(int(pid or self.root))
            text = head[5:] + b"(" + (task.begun() if task.entered is not None else b"... ") + rest[9:]
        else:
            text = head + rest
        item = (duration, -number, pid + b" " + text[:400])
        if len(self.slowest) < SLOWEST:
            heapq.heappush(self.slowest, item)
        elif item > self.slowest[0]:
            heapq.heapreplace(self.slowest, item)
        if len(self.slowest) == SLOWEST:
            lowest = self.slowest[0][0]
            self._floor = b"<%d.%06d>" % (lowest // 10**9, lowest % 10**9 // 1000) if lowest < 10**10 else _LONGEST

    @staticmethod
    def duration(text: bytes) -> int | None:
        """``0.000123`` -> 123000."""
        whole, _, fraction = text.partition(b".")
        if not whole.isdigit() or len(text) > 22 or (fraction and not fraction.isdigit()):
            return None
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))
