"""Files, descriptors, processes, slow calls and their lines: the ordered pass over a trace.

It sees every line once, in order, and looks into those calls only that have to do with paths, descriptors, processes
and locks (:mod:`straced.fulltrace.effects`). What is kept a path is capped (:mod:`straced.fulltrace.files`).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable

from straced.fulltrace import roles
from straced.fulltrace.effects import EFFECTS
from straced.fulltrace.fdtable import Table
from straced.fulltrace.files import FileRows
from straced.fulltrace.form import Form
from straced.fulltrace.processes import Tree
from straced.fulltrace.select import SelectedFiles
from straced.tracers.strace_line import OWN_WORDS, TraceLine, find_result, parse_line

SLOWEST = 25
SIGNALS_KEPT = 200
_SHORT_WAIT = b"0.000050"
"""Shorter waits for a futex are no waits: the tracer itself takes longer. They are counted in the summary only."""
_HEADS = roles.heads(roles.ROLE_OF)
TABLES = "tables"
"""All that changes or needs the tables of descriptors and processes."""
PATHS = "paths"
"""Calls that name a path from the root or the working directory, waits for futexes, and the slowest calls: they need no
tables, so another process can look at them."""
_FREE = {roles.PATH, roles.FUTEX}
_PARTS = {
    "": _HEADS,
    TABLES: {head: known for head, known in _HEADS.items() if known[0] not in _FREE},
    PATHS: {head: known for head, known in _HEADS.items() if known[0] in {*_FREE, roles.PATH_AT}},
}
_ATTACHED = re.compile(OWN_WORDS + rb"Process (\d+) attached")
_UNFINISHED = b"<unfinished ...>"


class Detail:
    """Feed it the blocks of a trace in order."""

    def __init__(self, form: Form, files: FileRows | None = None, part: str = "") -> None:
        self.form = form
        self.part = ""
        self._handlers = _HEADS
        self.take_part(part)
        self._pattern = re.compile(rb"\n(?:" + form.prefix() + rb"(<\.\.\. \w+|\w+\())?([^\n]*)")
        self.files = files if files is not None else FileRows()
        self.quiet = False
        """The line at hand is not selected: follow its descriptors and processes, and count nothing."""
        self.tree = Tree()
        self.tables: dict[int, Table] = {}
        self.open: dict[int, tuple[bytes, bytes, int]] = {}
        """Calls that were entered and did not return yet: name, arguments, line."""
        self.slowest: list[tuple[int, int, bytes]] = []
        """A heap of duration, minus the line number (of equals the first is kept), and the line without its prefix."""
        self._floor = b"0.000000"
        self.signals: list[tuple[int, bytes, int, str]] = []
        self.signal_counts: dict[str, int] = {}
        self.locks: dict[tuple[int, bytes], list[int]] = {}
        """(pid, futex address) -> waits, time, longest, its line."""
        self.lines = 0
        self._durations: dict[bytes, int] = {}
        self.root = 0
        self._attached: set[bytes] = set()
        self.births: list[int] = []
        self._halves: dict[int, bytes] = {}

    def take_part(self, part: str) -> None:
        """From now on do only :data:`TABLES` or :data:`PATHS`; somebody else does the rest."""
        self.part = part
        self._handlers = _PARTS[part]

    def feed(self, block: bytes) -> None:
        """Read one block of whole lines."""
        found = self._pattern.findall(block)
        found.pop()  # the empty line behind the last newline
        if self.form.pid == "bracket" and not self.root:
            self._find_root(block, found)
        self._lines(found)

    def _find_root(self, block: bytes, found: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        """On a terminal, lines have no pid while there is one process: it is the one that strace did not attach to."""
        self._attached.update(_ATTACHED.findall(block))
        root = next((int(words[0]) for words in found if words[0] and words[0] not in self._attached), 0)
        if not root:
            return
        self.root = root
        if 0 in self.tables:
            self.tables[root] = self.tables.pop(0)
        if 0 in self.open:
            self.open[root] = self.open.pop(0)
        self.tree.rename(0, root)

    def feed_selected(self, block: bytes, wanted: Callable[[int, str, bytes], bool]) -> bytes:
        """Read one block, keep what is wanted (by tid, call and clock, and by the path), and return those lines."""
        files = self.files
        assert isinstance(files, SelectedFiles)
        found = self._pattern.findall(block)
        found.pop()
        kept: list[bytes] = []
        for words, line in zip(found, block[1:-1].split(b"\n"), strict=True):
            pid, clock, head, rest = words
            tid = int(pid or self.root)
            good = wanted(tid, (head[5:] if head[:1] == b"<" else head[:-1]).decode(), clock)
            files.mute, files.touched, self.quiet = not good, not files.by_path, not good or files.by_path
            self._lines([words])
            if not good:
                continue
            if files.by_path and rest.endswith(_UNFINISHED):
                self._halves[tid] = line  # whether it is on the path is known when it returns
                continue
            half = self._halves.pop(tid, None) if head[:1] == b"<" else None
            if files.touched:
                kept += [line] if half is None else [half, line]
                if files.by_path and self.form.durations and rest[-1:] == b">":
                    self.quiet = False
                    self._slow(head, rest, self.lines, pid)
        return b"\n" + b"\n".join(kept) + b"\n" if kept else b"\n"

    def _lines(self, found: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        number = self.lines
        handlers, timed, unfinished, paths = self._handlers, self.form.durations, self.open, self.form.paths
        floor, durations, files, leader = self._floor, self._durations, self.files, self.tree.leader
        part = self.part
        slow = timed and part != TABLES
        for pid, clock, head, rest in found:
            number += 1
            tail = rest[-9:-1]
            if rest[-10:-9] == b"<" and timed:  # <0.000123>
                if tail > floor and slow:
                    self._slow(head, rest, number, pid)
                    floor = self._floor
            elif rest[-4:] == b"...>":  # unfinished or detached; `<unfinished ...>) = ?` ends otherwise
                if head:
                    self._entered(int(pid or self.root), head, rest, number)
                    continue
            elif slow and rest[-1:] == b">":
                self._slow(head, rest, number, pid)
                floor = self._floor
            known = handlers.get(head)
            if known is None:
                if not head:
                    if part != PATHS:
                        self._other(rest, number)
                elif head[0] == 60:
                    unfinished.pop(int(pid or self.root), None)
                continue
            role, name, resumed = known
            tid = int(pid or self.root)
            begun = number
            if resumed:
                before = unfinished.pop(tid, None)
                if before is None:
                    rest = rest[9:]
                else:  # evidence is where the call began
                    rest, begun = before[1] + rest[9:], before[2]
            if role == roles.FUTEX and tail < _SHORT_WAIT and timed and rest[-10:-9] == b"<":
                continue
            if role == roles.PATH_AT and part and (part == TABLES) != rest[:1].isdigit():
                continue  # the other part's
            split = rest.rfind(b" = ")
            result = rest[split + 3 :]
            if split < 0 or result[-10:-9] != b"<" or not timed or (paths and b">" in result[:-1]):
                self._call(role, name, tid, rest, begun, clock)
                continue
            # the most frequent form, with nothing in it that needs a closer look
            errno = None
            if result[:1] in b"-?":
                errno = (
                    result[3 : result.find(b" ", 3)] if result[:3] == b"-1 " else b"?" if result[:1] == b"?" else None
                )
            ns = durations.get(tail) or self.duration(tail)
            files.pid = leader.get(tid, tid)
            EFFECTS[role](self, name, tid, rest[:split], result, errno, ns, begun, clock)
        self.lines = number

    def _entered(self, tid: int, head: bytes, rest: bytes, number: int) -> None:
        """A call that does not return on its line."""
        if not rest.endswith(_UNFINISHED):
            return
        text = rest[:-16]
        if head[0] == 60:  # resumed, and interrupted once more
            before = self.open.get(tid)
            text = (before[1] if before else b"") + text[9:]
            head = head[5:] + b"("
        self.open[tid] = (head, text, number)
        if _HEADS.get(head, (None,))[0] == roles.FORK:
            self.births.append(tid)

    def _slow(self, head: bytes, rest: bytes, number: int, pid: bytes) -> None:
        start = rest.rfind(b"<") + 1
        duration = self.duration(rest[start:-1])
        if duration is None or not head or self.quiet:
            return
        if head[:1] == b"<":
            before = self.open.get(int(pid or self.root))
            text = head[5:] + b"(" + (before[1] if before else b"... ") + rest[9:]
        else:
            text = head + rest
        item = (duration, -number, pid + b" " + text[:400])
        if len(self.slowest) < SLOWEST:
            heapq.heappush(self.slowest, item)
        elif item > self.slowest[0]:
            heapq.heapreplace(self.slowest, item)
        if len(self.slowest) == SLOWEST:
            lowest = self.slowest[0][0]
            self._floor = b"%d.%06d" % (lowest // 10**9, lowest % 10**9 // 1000) if lowest < 10**10 else b"9.999999"

    def duration(self, text: bytes) -> int | None:
        """``0.000123`` -> 123000, remembered: few values make up most of a trace."""
        known = self._durations.get(text)
        if known is None:
            whole, _, fraction = text.partition(b".")
            if not whole.isdigit() or len(text) > 22 or (fraction and not fraction.isdigit()):
                return None
            known = int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))
            if len(self._durations) < 100_000:
                self._durations[text] = known
        return known

    def table(self, tid: int) -> Table:
        """The descriptors of a task's process; a task not seen before is a child of the newest open clone."""
        table = self.tables.get(tid)
        if table is None:
            leader = self.tree.leader.get(tid)
            if leader is not None:
                table = self.table(leader)
            else:
                parent = self.births[-1] if self.births else None
                known = self.tables.get(parent) if parent is not None and parent != tid else None
                table = known.copy() if known else Table()
            self.tables[tid] = table
        return table

    def _call(self, role: int, name: str, tid: int, rest: bytes, number: int, clock: bytes) -> None:
        split = rest.rfind(b" = ")
        result = rest[split + 3 :]
        if split < 0 or (self.form.paths and result.count(b">") - result.count(b"->") != result.count(b"<")):
            split, result = _careful(rest)
            if split < 0:
                return
        duration: int | None = None
        if result[-10:-9] == b"<" and self.form.durations:
            duration = self._durations.get(result[-9:-1]) or self.duration(result[-9:-1])
        elif self.form.durations and result[-1:] == b">":
            less = result.rfind(b"<")
            text = result[less + 1 : -1]
            duration = self._durations.get(text)
            if duration is None:
                duration = self.duration(text)
        errno = None
        if result[:1] in b"-?":
            errno = result[3 : result.find(b" ", 3)] if result[:3] == b"-1 " else b"?" if result[:1] == b"?" else None
        leader = self.tree.leader
        self.files.pid = leader.get(tid, tid)
        EFFECTS[role](self, name, tid, rest[:split], result, errno, duration, number, clock)

    def _other(self, line: bytes, number: int) -> None:
        """Signals, exits, and lines of another form."""
        value = parse_line(line)
        if value is None:
            return
        if value.kind in ("exited", "killed"):
            self._exit(value, line, number)
        elif value.kind == "superseded" and value.pid is not None and value.other_pid is not None:
            self.tables[value.pid] = self.table(value.other_pid)
            if value.other_pid in self.open:
                self.open[value.pid] = self.open.pop(value.other_pid)
            self.tree.leader.pop(value.other_pid, None)
        elif value.kind == "signal":
            self.signal_counts[value.name] = self.signal_counts.get(value.name, 0) + 1
            if len(self.signals) < SIGNALS_KEPT:
                self.signals.append((number, clock_of(line, value), value.pid or self.root, value.name))
        elif value.kind in ("call", "resumed", "unfinished", "cut"):
            self._other_call(value, line, number)

    def _other_call(self, value: TraceLine, line: bytes, number: int) -> None:
        """A call whose line has another form than most."""
        known = _HEADS.get(value.name.encode() + b"(")
        tid = value.pid or self.root
        head = value.name.encode() + b"("
        if value.kind in ("unfinished", "cut"):
            self.open[tid] = (head, value.args, number)
        elif value.result is not None and known is not None:
            before = self.open.pop(tid, None) if value.kind == "resumed" else None
            result = value.result + (
                b" <%d.%09d>" % divmod(value.duration_ns, 10**9) if value.duration_ns is not None else b""
            )
            rest = (before[1] if before else b"") + value.args + b") = " + result
            self._call(known[0], value.name, tid, rest, number, clock_of(line, value))

    def _exit(self, value: TraceLine, line: bytes, number: int) -> None:
        tid = value.pid or self.root
        self.open.pop(tid, None)
        self.tables.pop(tid, None)
        self.tree.end(tid, clock_of(line, value), number, status=value.status, killed=value.name or None)


def _careful(rest: bytes) -> tuple[int, bytes]:
    found = find_result(rest, 0, len(rest))
    return (-1, b"") if found is None else (found[1] - 3, rest[found[1] :])


def clock_of(line: bytes, value: TraceLine) -> bytes:
    """The clock of a line as it is written there."""
    if value.clock is None:
        return b""
    match = re.match(rb"(?:\[pid +[^\]]*\] |\d+(?:<[^>]*>)? +)? *([\d:.]+) ", line)
    return match.group(1) if match else b""
