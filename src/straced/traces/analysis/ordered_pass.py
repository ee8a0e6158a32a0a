"""Files, descriptors, processes, slow calls and their lines: the ordered pass over a trace.

It sees every line once, in order, and looks into those calls only that have to do with paths, descriptors, processes
and locks. Equal texts are decoded once (:mod:`straced.traces.analysis.decoded_call`); the effects of calls
(:mod:`straced.traces.analysis.effects`) change the state (:mod:`straced.traces.analysis.state`).
"""

from __future__ import annotations

import re

from straced.traces.analysis import roles
from straced.traces.analysis.decoded_call import DecodedCall, DecodedTexts, duration_of, times_of
from straced.traces.analysis.decoders import decode
from straced.traces.analysis.file_stats import FileRows
from straced.traces.analysis.other_lines import clock_of
from straced.traces.analysis.state import AnalysisState
from straced.traces.analysis.tasks import DETACHED, UNFINISHED, TracedTask
from straced.traces.parsing.line import TraceLine, parse_line, without_waiting
from straced.traces.parsing.line_format import Form

_SHORT_WAIT = b"<0.000050>"
"""Shorter waits for a futex are no waits: the tracer itself takes longer. They are counted in the summary only."""
_MOST_DURATIONS = 100_000
_LONGEST_BEGUN = 1 << 20
"""Bytes of arguments that are kept of a call that did not return yet, however often it is interrupted."""
_HEADS = roles.heads(roles.ROLE_OF)
_BIRTHS = frozenset(head for head, (role, _, resumed) in _HEADS.items() if role == roles.FORK and not resumed)
_FIRST_FD = re.compile(rb"\w+\((\d{1,9})(?=[,) ])")
_MOVES_DATA = {roles.READ, roles.WRITE}
Words = tuple[bytes, bytes, bytes, bytes]
"""Of one line: pid, clock, the call with its bracket (or ``<... NAME``), and the rest."""
Known = tuple[int, str, bool, bool, dict[bytes, DecodedCall]]
"""Role and name of a call, whether this is its second half, whether its data can be left out, and its decoded texts."""


class OrderedPass:
    """Feed it the blocks of a trace in order."""

    def __init__(self, form: Form, files: FileRows | None = None) -> None:
        self.form = form
        self._texts = DecodedTexts()
        self._known: dict[bytes, Known] = {
            head: (role, name, resumed, role in _MOVES_DATA and not form.paths, self._texts.of(name))
            for head, (role, name, resumed) in _HEADS.items()
        }
        self._pattern = re.compile(rb"\n(?:" + form.prefix() + rb"(<\.\.\. \w+(?= resumed>)|[A-Za-z_]\w*\())?([^\n]*)")
        self.state = AnalysisState(files if files is not None else FileRows())
        self.lines = 0
        self._durations: dict[bytes, int] = {}

    def feed(self, block: bytes) -> None:
        """Read one block of whole lines."""
        found = self.words(block)
        if self.state.first_tid is None:
            self.state.first_tid = next((int(words[0]) for words in found if words[0]), None)
        self.read(found)
        self.state.tasks.forget_idle()

    def finish(self) -> None:
        """All blocks were read."""

    def words(self, block: bytes) -> list[Words]:
        """The words of each line of a block."""
        found = self._pattern.findall(block)
        found.pop()  # the empty line behind the last newline
        return found

    def read(self, found: list[Words]) -> None:
        """Read the words of some lines."""
        number, timed = self.lines, self.form.durations
        calls, durations, texts, state = self._known, self._durations, self._texts, self.state
        tasks, of_text, born = state.tasks.by_text, state.tasks.of_text, state.tasks.born
        files, slowest = state.files, state.slowest
        floor = slowest.floor
        for pid, clock, head, rest in found:
            number += 1
            tail = rest[-10:]  # <0.000123>
            if not b"<" <= tail <= floor:
                if tail == b"ished ...>" and head and rest[-16:] == UNFINISHED:  # not `...>) = ?`
                    task = tasks.get(pid) or of_text(pid)
                    if head[0] == 60:  # resumed, and interrupted once more
                        head, rest = head[5:] + b"(", task.begun() + rest[9:]
                    task.entered = head, rest[:_LONGEST_BEGUN], number
                    if head in _BIRTHS:
                        born(task.tid)
                    continue
                if head and rest[-14:] == DETACHED:
                    task = tasks.get(pid) or of_text(pid)
                    if head[0] == 60:
                        head, rest = head[5:] + b"(", task.begun() + rest[9:]
                    task.entered = head, rest.removesuffix(DETACHED)[:_LONGEST_BEGUN], number
                    continue
                if timed and (tail[:1] == b"<" or rest[-1:] == b">"):
                    self.slow(head, rest, number, pid)
                    floor = slowest.floor
            known = calls.get(head)
            if known is None:
                if not head:
                    if rest:
                        self._other_line(rest, number)
                elif head[0] == 60:
                    (tasks.get(pid) or of_text(pid)).entered = None
                continue
            role, name, resumed, brief, known_texts = known
            task = tasks.get(pid) or of_text(pid)
            line = number
            if role == roles.FUTEX and timed and b"<" <= tail < _SHORT_WAIT:
                if resumed:
                    task.entered = None
                continue
            if resumed:
                entered = task.entered
                if entered is None:
                    continue  # what it is about stood in its first half
                if tail[-1:] != b">" and b" = " not in rest:
                    continue  # cut: it did not return
                line = entered[2]  # evidence is where the call began
                rest = task.begun() + rest[9:]
                task.entered = None
            files.pid = task.pid
            ns = durations.get(tail)
            if ns is None:
                self.call(role, name, task, rest, line, clock)
                continue
            # the most frequent form: a duration that is known
            text = rest[:-10]
            if brief and 0 < (comma := text.find(b",")) < (split := text.rfind(b" = ")) and b"<" not in text[:comma]:
                text = text[:comma] + text[split:]
            decoded = known_texts.get(text)
            if decoded is None:
                decoded = decode(role, name, rest, self.form)
                texts.keep(name, text, decoded)
            if decoded.effect is not None:
                files.waiting_ns = None
                decoded.effect(state, task, name, decoded, ns, line, clock)
        self.lines = number

    def call(self, role: int, name: str, task: TracedTask, rest: bytes, number: int, clock: bytes) -> None:
        """A call whose duration is new, of another form, or not there."""
        timed = self.form.durations
        decoded = None if timed else self._texts.of(name).get(rest)
        if decoded is None:
            decoded = decode(role, name, rest, self.form)
            if not timed:
                self._texts.keep(name, rest, decoded)
        if decoded.effect is None:
            return
        ns: int | None = None
        waiting_ns: int | None = None
        if timed and rest[-10:-9] == b"<":
            ns = duration_of(rest[-9:-1])
            if ns is not None and rest[-1:] == b">" and len(self._durations) < _MOST_DURATIONS:
                self._durations[rest[-10:]] = ns  # few values make up most of a trace
        elif timed and rest[-1:] == b">":
            ns, waiting_ns = times_of(rest[rest.rfind(b"<") + 1 : -1])
        state = self.state
        state.files.pid = task.pid
        state.files.waiting_ns = waiting_ns
        decoded.effect(state, task, name, decoded, ns, number, clock)

    def slow(self, head: bytes, rest: bytes, number: int, pid: bytes) -> None:
        """Keep a line that took long, while it is among those that took longest."""
        duration, waiting = times_of(rest[rest.rfind(b"<") + 1 : -1])
        if duration is None or not head or self.state.quiet:
            return
        task = self.state.tasks.by_tid.get(int(pid or 0))
        if head[:1] == b"<":
            task = self.state.tasks.of(int(pid or 0))
            text = head[5:] + b"(" + (task.begun() if task.entered is not None else b"... ") + rest[9:]
        else:
            text = head + rest
        text = without_waiting(text)
        self.state.slowest.add(duration, number, pid, text, self._about(task, text), waiting)

    @staticmethod
    def _about(task: TracedTask | None, text: bytes) -> bytes:
        fd = _FIRST_FD.match(text)
        if task is None or task.table is None or fd is None:
            return b""
        return task.table.names.get(int(fd[1]), b"")

    def _other_line(self, line: bytes, number: int) -> None:
        """A line that does not begin as the calls of its trace do: a signal, an end, a call of another form."""
        state = self.state
        value = parse_line(line)
        if value is None:
            return
        if value.kind in ("exited", "killed"):
            tid = value.pid or 0
            state.tasks.end(tid)
            state.tree.end(tid, clock_of(line, value), number, status=value.status, killed=value.name or None)
        elif value.kind == "superseded" and value.pid is not None and value.other_pid is not None:
            state.tasks.supersede(value.pid, value.other_pid)
        elif value.kind == "signal":
            state.signal_counts[value.name] = state.signal_counts.get(value.name, 0) + 1
        elif value.kind in ("call", "resumed", "unfinished", "cut", "detached"):
            self._other_call(value, line, number)

    def _other_call(self, value: TraceLine, line: bytes, number: int) -> None:
        """A call whose line has another form than most."""
        task = self.state.tasks.of(value.pid or 0)
        if value.kind in ("unfinished", "cut", "detached"):
            begun = task.begun() if value.resumed else b""
            task.entered = (value.name.encode() + b"(", (begun + value.args)[:_LONGEST_BEGUN], number)
        elif value.result is not None and (role := roles.ROLE_OF.get(value.name)) is not None:
            begun = b""
            if value.kind == "resumed":
                if task.entered is None:
                    return
                begun, task.entered = task.begun(), None
            result = value.result + _printed(value)
            self.call(role, value.name, task, begun + value.args + b") = " + result, number, clock_of(line, value))


def _printed(value: TraceLine) -> bytes:
    """The times of a line, behind its result."""
    if value.duration_ns is None:
        return b""
    waiting = b"" if value.waiting_ns is None else b"+%d.%09d" % divmod(value.waiting_ns, 10**9)
    return b" <%d.%09d%s>" % (*divmod(value.duration_ns, 10**9), waiting)
