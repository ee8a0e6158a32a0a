"""What to do about a finding: one sentence for each kind."""

from __future__ import annotations

ADVICE = {
    "slow_call": "Look at what this call waited for: straced why while it runs, or the device and file system below.",
    "slow_file": "Look at the device or file system below this file, and at who else uses it.",
    "slow_peer": "Look at the other end: it takes that long to answer.",
    "errors": "Calls that mostly fail are work without a result: find out who makes them, and why.",
    "failing_calls": "Calls that mostly fail are work without a result: find out who makes them, and why.",
    "fatal_errors": "Look at the error right before the end: it may be why the program gave up.",
    "failing_lookups": "Remember that it is missing, create it, or take it out of the search path.",
    "lookup_storm": "Shorten the search path, or put first the directory that has it.",
    "tiny_io": "Put a buffer in between: each call costs more than what it carries.",
    "empty_reads": "Wait until there is something to read (poll, epoll) in place of asking again and again.",
    "fsync": "Write more between two of them, or leave durability to a group commit.",
    "lock_waits": "Hold the lock for a shorter time, split what it guards, or let fewer tasks contend for it.",
    "retries": "Wait until the resource is ready (poll, epoll) before trying again, and longer each time.",
    "repeated_stat": "Remember the answer, or watch the file (inotify) in place of asking.",
    "many_processes": "Do it inside one process: starting a program costs a millisecond and hundreds of calls.",
    "idle_polls": "Wait without a timeout, or with a longer one: nothing had happened.",
    "busy_loop": "Block until there is something to do in place of spinning.",
    "no_vdso": "Reading the clock enters the kernel here: see which clock source the machine uses.",
    "io_uring": "What goes through the rings does not stand in a trace of system calls.",
    "killed": "See who sent the signal, and, for SIGKILL, whether memory ran out.",
}
"""By :attr:`straced.traces.values.Finding.code`."""
