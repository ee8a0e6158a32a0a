"""Logs that are no strace text, and what they are."""

from __future__ import annotations

import re

_OTHERS = (
    ("gVisor's log (runsc --strace)", rb"strace\.go:\d+\] |\] \[ *\d+(?:\(\d+\))?: *\d+(?:\(\d+\))?\] \S+ [EX] \w+\("),
    ("u-root's strace", rb"^\[pid \d+\] [EX] \w+\(|^PID \d+ (?:clone|exited from|got signal)"),
    (
        "Cygwin's strace",
        rb"^--- Process \d+(?:, exception|, thread| \(|,? (?:created|loaded|exited))"
        rb"|^ *\d+ +\d+ \[[^\]\n]+\] .* \d+ [\w:~]+: ",
    ),
    ("truss", rb" (?:Err#\d+ E[A-Z0-9]+|ERR#\d+ ')|^execve\([^\n]*\)  argc = \d+"),
    ("ktrace (kdump)", rb"^ *\d+ (?:\d+ )?\S+ +(?:CALL|RET|NAMI|GIO) +\w+"),
    ("dtruss", rb"^SYSCALL\(args\) +\t*= return"),
    ("ltrace", rb"(?:^|[\d>] )(?:SYS_[a-z]\w*|\w+@SYS)\("),
    ("perf trace", rb"^ *\d+\.\d{3} \( *(?:\d+\.\d{3} ms)? *\): "),
)
_PATTERNS = tuple((name, re.compile(pattern, re.M)) for name, pattern in _OTHERS)
_OWN = rb"(?:\.{0,2}(?:/[\w.+-]+)*/)?strace[\w.+-]*: "
_REFUSED = re.compile(
    rb"^" + _OWN + rb"(?:attach: ptrace\(PTRACE_\w+, (\d+)\)|Could not attach to process)[^\n]*?: ([^:\n]+)$", re.M
)
_SAID = re.compile(rb"^" + _OWN + rb"((?!Process \d+ (?:attached|detached))[^\n]{1,300})$", re.M)
_ATTACHED = re.compile(rb"^(?:" + _OWN + rb")?Process (\d+) attached", re.M)
SAMPLE_BYTES = 1 << 18


def tool_of(sample: bytes) -> str | None:
    """Return which other tracer wrote the beginning of a log; ``None``: none that is known."""
    part = sample[:SAMPLE_BYTES]
    return next((name for name, pattern in _PATTERNS if pattern.search(part)), None)


def refusal_of(sample: bytes) -> str | None:
    """Return why strace itself traced nothing, in words, when its log says so."""
    part = sample[:SAMPLE_BYTES]
    if refused := _REFUSED.search(part):
        whom = f" to process {refused.group(1).decode()}" if refused.group(1) else ""
        return f"strace could not attach{whom}: {refused.group(2).decode('ascii', 'replace').strip()}"
    if said := _SAID.search(part):
        return f"strace traced nothing, and said: {said.group(1).decode('ascii', 'replace')}"
    return None


def attached_to(sample: bytes) -> list[int]:
    """Return the tasks that strace says it attached to."""
    return [int(tid) for tid in _ATTACHED.findall(sample[:SAMPLE_BYTES])]
