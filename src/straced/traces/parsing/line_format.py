"""Which form a trace is in: what stands before each call, and whether durations and paths stand behind it."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
from msgspec import Struct

from straced.errors import StracedError
from straced.traces.parsing.argument_names import has_names
from straced.traces.parsing.foreign_prefix import PREFIXES
from straced.traces.parsing.line import BRACKETS, COMMENT, RELATIVE, TraceLine, parse_line
from straced.traces.parsing.other_tracers import attached_to, refusal_of, tool_of

SAMPLE_LINES = 2000
MAKE_ONE = "a trace is what this makes: straced trace 4242 -o FILE, or strace -f -ttt -T -o FILE ..."
_LEADING_BRACKETS = re.compile(rb"(?:" + BRACKETS + rb")+(?=[A-Za-z_<?+-])")
CALLS_ALIKE = ("truss", "ltrace")
"""Tracers whose lines look like those of strace, but for their errors."""
_RELATIVE_TOO = re.compile(rb"\(\+ *\d")


class NotATrace(StracedError):
    """The input is no strace text, or none that could be read."""

    exit_code = 2
    code = "not_a_trace"


class Form(Struct, frozen=True, kw_only=True):
    """The form that most lines of a trace have. Lines of another form are read too, more slowly."""

    pid: str = "none"
    """``plain`` (-f -o), ``bracket`` (-f on a terminal) or ``none``."""
    comm: bool = False
    """-Y: the command name stands behind each pid."""
    clock: str | None = None
    """``epoch``, ``day`` or ``relative``, as in :class:`straced.traces.parsing.line.TraceLine`."""
    clock_digits: int = 0
    """Digits behind the point."""
    relative_too: bool = False
    """-r beside -t."""
    brackets: int = 0
    """How many ``[...]`` (-n, -i) stand before the call."""
    durations: bool = False
    """-T."""
    returns: bool = True
    """Whether any call of the first lines returned: others have no duration in any form."""
    paths: bool = False
    """-y or -yy: descriptors carry their paths."""
    crlf: bool = False
    argument_names: bool = False
    """-N: arguments stand behind their names."""
    prefix_kind: str = ""
    """What another tool put in front of each line: a key of ``PREFIXES``, or nothing."""
    calls: bool = True
    """Whether the first lines hold any call or end of a task."""

    def cleaned(self) -> Form:
        """The form of the lines that :class:`straced.traces.parsing.cleaning.LineCleaner` gives."""
        return msgspec.structs.replace(self, pid="plain")

    def prefix(self, *, clock: bool = True) -> bytes:
        """A regular expression for what stands before the call: group 1 the pid; group 2 the clock, where asked for."""
        comm = rb"(?:<[^>\n]*>)?" if self.comm else rb""
        pid = {
            "plain": rb"(\d{1,7})" + comm + rb" +",
            "bracket": rb"(?:\[pid +(\d{1,7})" + comm + rb"\] )?",
            "none": rb"()",
        }[self.pid]
        word = rb"([0-9:.]+)" if clock else rb"[0-9:.]+"
        time = rb" *" + word + rb" " if self.clock else rb"()" if clock else rb""
        also = RELATIVE if self.relative_too else rb""
        return pid + time + also + BRACKETS * self.brackets

    def task_mark(self, tid: int) -> bytes:
        """What a line of this task begins with, its newline included."""
        if self.pid == "none":
            return b"\n"
        after = b"<" if self.comm else b"]" if self.pid == "bracket" else b" "
        return (b"\n[pid %5d" % tid if self.pid == "bracket" else b"\n%d" % tid) + after

    def missing(self) -> list[str]:
        """Return what a trace of this form lacks, each with the option of strace that adds it."""
        gaps: list[str] = []
        if not self.calls:
            return gaps
        if self.clock is None:
            gaps.append("no times of day (-ttt)")
        elif self.clock == "day" and self.clock_digits == 0:
            gaps.append("times to the second only (-ttt)")
        if not self.returns:
            gaps.append("no call that returned, and so no durations")
        elif not self.durations:
            gaps.append("no durations (-T)")
        if self.pid == "none":
            gaps.append("no pids (-f -o FILE)")
        return gaps


_SHOWING_FORM = {"call", "unfinished", "resumed", "detached", "signal", "stopped", "exited", "killed", "superseded"}
"""Kinds of lines that show the form; a process that slept all the time leaves one ``<detached ...>``, no more."""


def detect(sample: bytes, name: str) -> Form:
    """Find the form from the first lines of a trace.

    Raises:
        NotATrace: none of them is strace's.
    """
    lines = sample.split(b"\n")[:SAMPLE_LINES]
    if len(lines) > 1:
        lines.pop()  # may be cut
    crlf = lines[0].endswith(b"\r")
    calls, kind = _calls_of(lines), ""
    if not calls:
        kind, calls = _behind_a_prefix(lines)
    other = tool_of(sample)
    if other is not None and (not calls or other in CALLS_ALIKE):
        raise NotATrace(f"{name} is a log of {other}, not of strace", hint=MAKE_ONE)
    if not calls:
        if refusal_of(sample) is None and (attached_to(sample) or sample.startswith(COMMENT)):
            return Form(crlf=crlf, calls=False)
        reason, hint = _refusal(sample, lines, name)
        raise NotATrace(reason, hint=hint)
    forms = Counter(_form_of(line, value) for line, value in calls)
    common = max(forms, key=lambda form: forms[form])
    bracket = any(form.pid == "bracket" for form in forms)
    named = sum(has_names(value.name, value.args) for _, value in calls if value.kind in ("call", "unfinished"))
    return Form(
        pid="bracket" if bracket else common.pid,
        comm=any(form.comm for form in forms) if bracket else common.comm,
        clock=common.clock,
        clock_digits=common.clock_digits,
        relative_too=common.relative_too,
        brackets=common.brackets,
        returns=any(value.value is not None or value.errno is not None for _, value in calls),
        durations=any(value.duration_ns is not None for _, value in calls),
        paths=any(value.path is not None for _, value in calls),
        crlf=crlf,
        argument_names=named * 2 > sum(value.kind == "call" and value.args != b"" for _, value in calls),
        prefix_kind=kind,
    )


def _calls_of(lines: list[bytes]) -> list[tuple[bytes, TraceLine]]:
    values = [(line, value) for line in lines if (value := parse_line(line)) is not None]
    return [(line, value) for line, value in values if value.kind in _SHOWING_FORM or _is_cut_call(value)]


def _is_cut_call(value: TraceLine) -> bool:
    """A stuck process leaves the beginning of one call, no more."""
    return value.kind == "cut" and value.pid is not None and value.clock is not None


def _behind_a_prefix(lines: list[bytes]) -> tuple[str, list[tuple[bytes, TraceLine]]]:
    """The kind of prefix behind which most lines are strace's, and these lines without it."""
    filled = sum(1 for line in lines if line.strip())
    for kind, pattern in PREFIXES.items():
        lead = re.compile(pattern)
        calls = _calls_of([line[match.end() :] for line in lines if (match := lead.match(line))])
        if len(calls) * 2 >= filled and calls:
            return kind, calls
    return "", []


def _form_of(line: bytes, value: TraceLine) -> Form:
    body = line.split(b" ", 1)[1].lstrip() if value.pid is not None and not line.startswith(b"[") else line
    clock = re.match(rb" *(?:\[pid[^\]]*\] )? *[\d:]+(?:\.(\d+))? ", body) if value.clock else None
    digits = len(clock.group(1) or b"") if clock else 0
    rest = body[clock.end() :] if clock else re.sub(rb"^\[pid[^\]]*\] ", b"", body)
    brackets = _LEADING_BRACKETS.match(re.sub(rb"^\(\+[^)]*\) ", b"", rest))
    return Form(
        pid="none" if value.pid is None else "bracket" if line.startswith(b"[pid") else "plain",
        comm=value.comm is not None,
        clock=value.clock,
        clock_digits=digits,
        relative_too=_RELATIVE_TOO.match(rest) is not None,
        brackets=brackets.group().count(b"] ") if brackets else 0,
    )


def _refusal(sample: bytes, lines: list[bytes], name: str) -> tuple[str, str]:
    if not sample.strip():
        return f"{name} is empty", ""
    if said := refusal_of(sample):
        return f"{name}: {said}", ""
    if b"\0" in sample[:4096]:
        return f"{name} is binary, not strace text (line 1)", MAKE_ONE
    if any(b"% time" in line and b"syscall" in line for line in lines):
        return f"{name} is a table of strace -c, not a trace: there are no single calls in it", MAKE_ONE
    number = next((index for index, line in enumerate(lines, 1) if line.strip()), 1)
    saved = b'"straced.' in sample and sample.lstrip()[:1] == b"{"
    hint = "it looks like a saved summary: straced diff reads those" if saved else MAKE_ONE
    return f"{name}: line {number} is not strace text", hint
