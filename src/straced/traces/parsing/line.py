"""One line of a full ``strace`` log as a value. Pure functions over bytes; no input raises.

This reader is exact and general. Millions of lines go through :mod:`straced.traces`, which is tested against it.
Sources: strace's ``printleader``, ``print_event_exit``, ``printsiginfo`` and ``maybe_switch_tcbs``.
"""

from __future__ import annotations

import re

from msgspec import Struct

PID_MAX = 1 << 22
"""The largest value of kernel.pid_max (proc_sys_kernel(5)); a larger leading number is a clock."""
_EPOCH_MIN = 10**8
"""Seconds; a smaller clock is relative (``-r``)."""

_BRACKET_PID = re.compile(rb"\[pid +(\d+)(?:<([^>]*)>)?\] ")
_PID = re.compile(rb"(\d{1,7})(?:<([^>]*)>)?(?: +|$)")
_DAY = re.compile(rb"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? ")
_SECONDS = re.compile(rb" *(\d{1,12})(?:\.(\d{1,9}))? ")
_ODD_CLOCK = re.compile(rb" *[0-9:.]{1,30} ")
"""A damaged one: the call behind it is whole."""
RELATIVE = rb"\(\+ *[0-9:.]{1,30}\) "
"""The time since the line before, as -r prints it beside a clock."""
BRACKETS = rb"\[[^\]\"({\n]*\] "
"""What -n, -i and --secontext print before a call, each."""
_RELATIVE, _BRACKETS = re.compile(RELATIVE), re.compile(BRACKETS)
_CALL = re.compile(rb"([A-Za-z_][A-Za-z0-9_]*|\?\?\?)\(")
_RESUMED = re.compile(rb"<\.\.\. ([A-Za-z_][A-Za-z0-9_]*|\?\?\?) resumed> ?")
WAITING = rb"(?:\+(\d{1,8}\.\d{9}))?"
"""What stands behind the duration of a call that records have: the part in which its thread waited."""
_DURATION = re.compile(rb" <(\d{1,12})(?:\.(\d{1,9}))?" + WAITING + rb">$")
_RESULT = re.compile(
    rb"(\?|-?\d{1,20}|0x[0-9a-fA-F]{1,16})(?=$|[ <])(?:<(.{0,8192}?)>(?=$| ))?(?: ([A-Z][A-Z0-9_]{1,40}))?"
)
_SIGNAL = re.compile(rb"--- (stopped by )?(SIG[A-Z0-9_+]+)(?: (.*?))? ?---")
_EXITED = re.compile(rb"\+\+\+ exited with (\d{1,10}) \+\+\+")
_KILLED = re.compile(rb"\+\+\+ killed by (SIG[A-Z0-9_+]+)( \(core dumped\))? \+\+\+")
_SUPERSEDED = re.compile(rb"\+\+\+ superseded by execve in pid (\d{1,10}) \+\+\+")
_MODE = re.compile(rb"\[ Process PID=(\d{1,10}) runs in (.{1,16}) mode\. \]")
_MODES = {b"32 bit": "i386", b"x32": "x32", b"64 bit": "x86_64"}
OWN_WORDS = rb"(?:\.{0,2}(?:/[\w.+-]+)*/)?strace[\w.+-]*: "
"""What strace's messages begin with: its name as it was called, such as ``/usr/bin/strace``."""
COMMENT = b"# straced "
"""What a line begins with that ``straced trace`` adds to its traces."""
CLOCKS = {"epoch": rb"\d{9,10}(?:\.\d+)? ", "day": rb"\d\d:\d\d:\d\d(?:\.\d+)? ", "relative": rb" *\d+(?:\.\d+)? "}
"""What the clock of a line looks like, and the blank behind it."""
_WAITS = re.compile(rb"(?<= <)([\d.]{1,22})" + WAITING.removesuffix(b"?") + rb">$")
_NOTE = re.compile(
    rb"(?:"
    + OWN_WORDS
    + rb"| > | \| [0-9a-f]{5,16}  |Process \d{1,10} (?:attached|detached|suspended|resumed)|"
    + COMMENT
    + rb")"
)
"""Its words, stacks (-k), dumps of data (-e read, -e write), its words of old, and what ``straced trace`` adds."""
_TABLE = re.compile(
    rb"% time +(?:seconds|calls|errors|usecs/call)|(?:------+ ){2}"
    rb"| *\d{1,3}\.\d\d +\d+\.\d{6} +\d+ +\d+ .*[a-z_]\w*$|System call usage summary for \w+ [\w ]*mode:"
)
"""The table that -C writes behind the trace."""
_WORDS_BYTES = 400
_OWN_END = re.compile(OWN_WORDS + rb"Process \d{1,10} (?:attached(?: with \d+ threads)?|detached)$")
_UNFINISHED, _DETACHED = b"<unfinished ...>", b"<detached ...>"


class TraceLine(Struct, frozen=True, kw_only=True):
    """One line, decoded. ``args``, ``result`` and ``path`` are as in the file: scrub them before they are shown.

    ``kind`` is ``call``, ``unfinished``, ``resumed``, ``detached`` (strace let go inside the call), ``cut`` (a
    call whose line ends early), ``signal``, ``stopped``, ``exited``, ``killed``, ``superseded``, ``abi`` or ``note``.
    """

    kind: str
    pid: int | None = None
    """The task's TID; ``None`` where strace printed none (one task, or a file a task)."""
    comm: bytes | None = None
    clock: str | None = None
    """What ``clock_ns`` counts from: ``epoch`` (-ttt), ``day`` (-t, -tt: local midnight) or ``relative`` (-r)."""
    clock_ns: int | None = None
    name: str = ""
    """The call, or the signal."""
    args: bytes = b""
    """Between the parentheses, as far as this line has it; the siginfo of a signal."""
    result: bytes | None = None
    """All after `` = ``, the duration excepted; ``None`` when the call did not return on this line."""
    value: int | None = None
    """The return value; ``None`` for ``?``."""
    errno: str | None = None
    """``ENOENT``; ``ERESTARTSYS`` and the like for a call that is to be restarted."""
    path: bytes | None = None
    """Of the descriptor returned, where ``-y`` gave it."""
    duration_ns: int | None = None
    waiting_ns: int | None = None
    """The part of it in which the task was off the CPU; of records only."""
    status: int | None = None
    """The exit status."""
    core: bool = False
    resumed: bool = False
    """It is the second half of a call, whatever became of it."""
    other_pid: int | None = None
    """The task whose execve took this task's place."""
    abi: str | None = None


def parse_line(line: bytes) -> TraceLine | None:
    """Read one line of ``strace`` output, with or without its end of line.

    Returns:
        The line as a value, or ``None`` when it is none of strace's.
    """
    text = line.rstrip(b"\r\n")
    pid, comm, position = _pid(text, 0)
    clock, clock_ns, position = _clock(text, position)
    while match := _BRACKETS.match(text, position):  # -n, -i, --secontext
        if _MODE.match(text, position):
            break
        position = match.end()
    found = _body(text, position)
    if found is None:
        return None
    fields = {"pid": pid, "comm": comm, "clock": clock, "clock_ns": clock_ns, **found}
    return TraceLine(**fields)  # type: ignore[arg-type]


def _pid(text: bytes, position: int) -> tuple[int | None, bytes | None, int]:
    match = _BRACKET_PID.match(text, position) or _PID.match(text, position)
    if match is None or int(match.group(1)) > PID_MAX:
        return None, None, position
    return int(match.group(1)), match.group(2), match.end()


def _clock(text: bytes, position: int) -> tuple[str | None, int | None, int]:
    clock: str | None = None
    value: int | None = None
    if match := _DAY.match(text, position):
        hours, minutes, seconds = (int(part) for part in match.group(1, 2, 3))
        clock, value = "day", _ns((hours * 60 + minutes) * 60 + seconds, match.group(4))
        position = match.end()
    elif match := _SECONDS.match(text, position):
        seconds = int(match.group(1))
        clock, value = "epoch" if seconds >= _EPOCH_MIN else "relative", _ns(seconds, match.group(2))
        position = match.end()
    elif match := _ODD_CLOCK.match(text, position):
        position = match.end()
    if match := _RELATIVE.match(text, position):  # also behind a damaged clock
        position = match.end()
    return clock, value, position


def _ns(seconds: int, fraction: bytes | None) -> int:
    return seconds * 10**9 + (int(fraction.ljust(9, b"0")) if fraction else 0)


def _body(text: bytes, position: int) -> dict[str, object] | None:
    head = text[position : position + 4]
    if head == b"+++ ":
        return _ending(text, position)
    if head == b"--- ":
        signal = _SIGNAL.match(text, position)
        if signal is None:
            return None
        kind = "stopped" if signal.group(1) else "signal"
        return {"kind": kind, "name": signal.group(2).decode(), "args": signal.group(3) or b""}
    if mode := _MODE.match(text, position):
        return {"kind": "abi", "pid": int(mode.group(1)), "abi": _MODES.get(mode.group(2))}
    if resumed := _RESUMED.match(text, position):
        return _call("resumed", resumed.group(1).decode(), text, resumed.end())
    if call := _CALL.match(text, position):
        return _call("call", call.group(1).decode(), text, call.end())
    if _NOTE.match(text, position) or _NOTE.match(text) or text.startswith(b" <unfinished ...>"):
        return {"kind": "note", "args": text[position:]}
    if _TABLE.match(text):
        return {"kind": "note", "args": text}
    return None


def _ending(text: bytes, position: int) -> dict[str, object] | None:
    if match := _EXITED.match(text, position):
        return {"kind": "exited", "status": int(match.group(1))}
    if match := _KILLED.match(text, position):
        return {"kind": "killed", "name": match.group(1).decode(), "core": match.group(2) is not None}
    if match := _SUPERSEDED.match(text, position):
        return {"kind": "superseded", "other_pid": int(match.group(1))}
    return None


def _call(kind: str, name: str, text: bytes, start: int) -> dict[str, object]:
    resumed = kind == "resumed"
    if text.endswith(_UNFINISHED):
        args = text[start : -len(_UNFINISHED)].rstrip()
        return {"kind": "unfinished", "name": name, "args": args, "resumed": resumed}
    if text.endswith(b" attached") and (words := own_words(text, start)) >= 0:
        return {"kind": "unfinished", "name": name, "args": text[start:words].rstrip(), "resumed": resumed}
    if text.endswith(_DETACHED):
        args = text[start : -len(_DETACHED)].rstrip()
        return {"kind": "detached", "name": name, "args": args, "resumed": resumed}
    duration = waiting = None
    end = len(text)
    if match := _DURATION.search(text, max(start, end - 46)):
        duration, end = _ns(int(match.group(1)), match.group(2)), match.start()
        waiting = waiting_of(match.group(3))
    found: dict[str, object] = {"kind": kind, "name": name, "duration_ns": duration, "waiting_ns": waiting}
    found["resumed"] = resumed
    separator = find_result(text, start, end)
    if separator is None:
        return {"kind": "cut", "name": name, "args": text[start:], "resumed": resumed}
    closing, begin, result = separator
    word = result.group(1)
    found.update(args=text[start:closing], result=text[begin:end], path=result.group(2))
    found["value"] = None if word == b"?" else int(word, 0 if word.startswith(b"0x") else 10)
    if result.group(3) and (word == b"-1" or word == b"?"):
        found["errno"] = result.group(3).decode()
    return found


def waiting_of(text: bytes | None) -> int | None:
    """Read what ``WAITING`` has found -> ns; ``None``: it is not told, as in a line without a duration."""
    return int(text.replace(b".", b"")) if text else None


def without_waiting(text: bytes) -> bytes:
    """Return a line as strace itself would have written it."""
    return _WAITS.sub(rb"\1>", text) if text.endswith(b">") else text


def own_words(text: bytes, start: int) -> int:
    """Where ``strace: Process 4001 attached`` (or detached) begins that ends a line; -1: it does not end so.

    On a terminal, strace's own words come in the middle of a call; what is left of that follows on the next line.
    """
    words = _OWN_END.search(text, max(start, len(text) - _WORDS_BYTES))
    return words.start() if words else -1


def find_result(text: bytes, start: int, end: int) -> tuple[int, int, re.Match[bytes]] | None:
    """Where a call's arguments end and its result begins.

    The last `` = `` behind a ``)`` whose right side reads as a result. strace escapes ``<`` and ``>`` in paths, so
    a ``) = 5`` inside the path that ``-y`` adds to a result is recognised by its unmatched ``>``. No byte is looked at
    twice: a damaged line may hold millions of `` = ``.

    Returns:
        The place of the closing parenthesis, the place of the result, and the match on it; ``None``: not there.
    """
    search_end = counted = end
    unmatched = 0
    while (found := text.rfind(b" = ", start, search_end)) >= 0:
        search_end = found + 2
        closing = found - 1
        while closing >= start and text[closing] == 32:
            closing -= 1
        if closing < start or text[closing] != 41:
            continue
        begin = found + 3
        match = _RESULT.match(text, begin, end)
        if match:
            for sign, mark in ((1, b">"), (-1, b"->"), (-1, b"<")):
                unmatched += sign * text.count(mark, begin, counted)
            counted = begin
            if unmatched <= 0:
                return closing, begin, match
    return None
