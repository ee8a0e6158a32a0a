"""Lines of a log on a terminal that something else tore apart, made whole again.

strace writes the beginning of a call before the kernel has answered. Where its log shares stderr with others, strace's
own words and the output of the traced program come in between; the rest of the call follows on a line of its own.
"""

from __future__ import annotations

import re

from straced.traces.native.finding import contains
from straced.traces.parsing.line import BRACKETS, CLOCKS, OWN_WORDS, RELATIVE, own_words, parse_line
from straced.traces.parsing.line_format import Form

MOST_BETWEEN = 25
"""Lines of foreign output in the middle of one call."""
LONGEST_HELD_BYTES = 1 << 16
"""A longer beginning is not waited for."""
_TAIL = re.compile(rb".{0,65536}?\) += (?:-?\d|0x[0-9a-f]|\?)")
_CALL_BEHIND_DAMAGE = re.compile(rb"[^\n\"{\[(]{0,60} (?:" + RELATIVE + rb")?(?:" + BRACKETS + rb")*[A-Za-z_]\w*\(")
"""A line of its own whose beginning is damaged, and no rest of another."""
_WAITS = (b"<unfinished ...>", b"<detached ...>")
_DATA_WRITTEN = re.compile(rb'.{0,64}?\b(?:write|pwrite64|sendto|send)\(.{0,65536}"(?:\.\.\.)?, \d+')
_WORDS = b": Process "
_CLOCK_START = {**CLOCKS, "epoch": rb"\d{9,10}[. ]", "day": rb"\d\d:\d\d:\d\d"}
"""What no rest of a call begins with, though the clock be damaged."""
_CALL_START = rb"[A-Za-z_]\w*\(|\?\?\?\(|<\.\.\. "


class TornLines:
    """Feed it blocks of whole lines, each beginning and ending with a newline; every line stays at its number.

    The rest of a torn call is put behind its beginning, and what stood between keeps its place: strace's words as they
    were; the foreign output is left out.
    """

    def __init__(self, form: Form) -> None:
        pid = rb"\d{1,7}" if form.pid == "plain" else rb"\[pid +\d+"
        lead = pid + rb"(?:<[^>\n]*>)?" + (rb" " if form.pid == "plain" else rb"\] ")
        if form.pid != "plain":
            lead += rb"|" + (_CLOCK_START[form.clock] if form.clock else rb"\[" if form.brackets else _CALL_START)
        lead += rb"|" + OWN_WORDS + rb"| > | \| |\[ Process |\+\+\+ |--- |# straced "
        self._improper = re.compile(rb"\n(?!" + lead + rb")(?=[^\n])")
        self._suspect = re.compile(rb"\n[^\d\n]") if form.pid == "plain" else self._improper
        """What is found fast, and in every block that has a line of another beginning."""
        self._shared = form.pid != "plain"
        """Whether others write into this log: strace's own words never go to a file of ``-o``."""
        self._held = b""

    def feed(self, block: bytes) -> bytes:
        """Return the lines of a block; a call at its end that may go on is kept for the next one."""
        if self._held:
            block, self._held = self._held + block[1:], b""
        return self._whole(self._hold(block))

    def finish(self) -> bytes:
        """Return what was kept; empty, when nothing was."""
        held, self._held = self._held, b""
        return self._whole(held) if held else b""

    def _whole(self, block: bytes) -> bytes:
        if contains(block, _WORDS):
            self._shared = True
            block = self._without_words(block)
        return self._rejoined(block) if self._shared and self._suspect.search(block) else block

    def _hold(self, block: bytes) -> bytes:
        """Keep back the last call, when it has no end yet."""
        start = end = len(block) - 1
        for _ in range(MOST_BETWEEN):
            start, end = block.rfind(b"\n", 0, start), start
            if start < 0 or len(block) - start > LONGEST_HELD_BYTES:
                return block
            line = block[start + 1 : end]
            if own_words(line, 0) < 0 and (self._improper.match(block, start) is not None or not line):
                continue
            if self._is_open(line) or (own_words(line, 0) > 0):
                self._held = block[start:]
                return block[: start + 1]
            if own_words(line, 0) < 0:
                return block
        return block

    @staticmethod
    def _is_open(line: bytes) -> bool:
        if line.endswith(_WAITS) or not _has_call(line):
            return False
        value = parse_line(line)
        return value is not None and value.kind == "cut"

    def _without_words(self, block: bytes) -> bytes:
        """``clone(flags=...strace: Process 7 attached``: put the words behind the call that they stand in."""
        lines = block.split(b"\n")
        index = 1
        while index < len(lines) - 1:
            line = lines[index]
            if line[-9:] in (b" attached", b" detached") and (place := own_words(line, 0)) > 0:
                words, last = [line[place:]], index + 1
                while last < len(lines) - 1 and own_words(lines[last], 0) == 0:
                    words.append(lines[last])
                    last += 1
                rest = lines[last] if last < len(lines) - 1 else b""
                if rest and self._improper.match(b"\n" + rest):
                    lines[index : last + 1] = [line[:place] + rest, *words]
                    index = last
            index += 1
        return b"\n".join(lines)

    def _rejoined(self, block: bytes) -> bytes:
        """Put the rest of calls behind the beginning that foreign output cut off."""
        pieces: list[bytes] = []
        done = 0
        position = 0
        while match := self._improper.search(block, position):
            start = match.start()
            begin = block.rfind(b"\n", 0, start) + 1 if start > 0 else 0
            line = block[begin:start]
            tail, after = self._tail(block, start) if start > 0 and begin >= done and self._is_open(line) else (-1, 0)
            if tail < 0:
                position = block.find(b"\n", start + 1)
                continue
            cut = _DATA_WRITTEN.match(line)
            whole = (line[: cut.end()] if cut else line) + block[tail:after]
            pieces += [block[done:begin], whole, b"\n" * block.count(b"\n", start, after)]
            done = position = after
        return b"".join(pieces) + block[done:] if pieces else block

    def _tail(self, block: bytes, position: int) -> tuple[int, int]:
        """Where the line begins and ends that holds the rest of a call whose next line is at ``position``."""
        for _ in range(MOST_BETWEEN):
            if self._improper.match(block, position) is None:
                return -1, 0
            end = block.find(b"\n", position + 1)
            if end < 0:
                return -1, 0
            if _TAIL.match(block, position + 1, end):
                return (-1, 0) if _CALL_BEHIND_DAMAGE.match(block, position + 1, end) else (position + 1, end)
            position = end
        return -1, 0


def _has_call(line: bytes) -> bool:
    return b"(" in line or b" resumed>" in line
