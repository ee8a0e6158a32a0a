"""The gate process: wait to be traced, then become the program.

Called as ``__main__.py OWNER START_TICKS PATIENCE_MS PATH ARGV...``.

It waits in epoll_wait(2), one of the calls that return EINTR when a tracer attaches (signal(7)), so the first thing
that the tracer sees of it is the execve of the program: the gate adds nothing to any count. It fails open: the same
epoll_wait ends when its patience is over or its owner has died, and the program runs, profiled or not.

Started with ``-I -S``: only what is imported here is loaded.
"""

import _signal as signal
import ctypes
import os
import sys

NAME = b"straced-gate"
PR_SET_NAME = 15
PR_SET_PTRACER = 0x59616D61
EPOLL_CLOEXEC = 0x80000
EPOLL_CTL_ADD = 1
EPOLLIN = 1
ENOEXEC = 8
ENOENT = 2


def main():
    """Prepare everything that needs a system call or memory, then wait, then exec with nothing in between."""
    words = _original("cmdline")
    at = words.index(os.fsencode(__file__)) + 1
    owner, patience_ms, path, argv = int(words[at]), int(words[at + 2]), words[at + 3], words[at + 4 :]
    libc = ctypes.CDLL(None, use_errno=True)
    # The environment as it was passed: Python itself may have added LC_CTYPE to its own (PEP 538).
    execve = _prepared_execve(libc, path, argv, [pair for pair in _original("environ") if pair])
    fallback = _prepared_execve(libc, b"/bin/sh", [b"sh", path, *argv[1:]], [p for p in _original("environ") if p])
    _restore_signals()
    epoll = _watch_owner(libc, owner, int(words[at + 1]))
    # Under Yama scope 1 only a named process, and its descendants, may trace us (prctl(2)).
    libc.prctl(PR_SET_PTRACER, owner, 0, 0, 0)
    events = ctypes.create_string_buffer(64)
    wait, where = libc.epoll_wait, ctypes.addressof(events)
    wait.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    wait(epoll, where, 1, 0)  # once for the loader: the symbol is bound and the memory is there
    libc.prctl(PR_SET_NAME, NAME, 0, 0, 0)
    if epoll >= 0:
        wait(epoll, where, 1, patience_ms)
    execve()
    if ctypes.get_errno() == ENOEXEC:
        fallback()  # a script without a first line that names its interpreter, as execvp(3) does
    _give_up(path, ctypes.get_errno())


def _original(name):
    with open(f"/proc/self/{name}", "rb", buffering=0) as file:
        parts = []
        while chunk := file.read(1 << 16):
            parts.append(chunk)
    return b"".join(parts).split(b"\0")[:-1]


def _prepared_execve(libc, path, argv, environment):
    """All memory of the call is allocated now, so that the call itself is the next thing the kernel sees."""
    arguments = (ctypes.c_char_p * (len(argv) + 1))(*argv, None)
    variables = (ctypes.c_char_p * (len(environment) + 1))(*environment, None)
    function = libc["execve"]
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
    first, second = ctypes.addressof(arguments), ctypes.addressof(variables)

    def call():
        function(path, first, second)
        return arguments, variables

    return call


def _restore_signals():
    """Python ignores SIGPIPE and SIGXFSZ and handles SIGINT; a program expects none of that."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _watch_owner(libc, owner, start_ticks):
    """An epoll that wakes when the owner dies; -1 when it is dead already."""
    epoll = libc.epoll_create1(EPOLL_CLOEXEC)
    try:
        pidfd = os.pidfd_open(owner)
        with open(f"/proc/{owner}/stat", "rb", buffering=0) as stat:
            data = stat.read()
        if int(data[data.rfind(b")") + 2 :].split()[19]) != start_ticks:
            return -1
    except OSError:
        return -1
    event = EPOLLIN.to_bytes(4, sys.byteorder) + bytes(12)
    libc.epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, ctypes.c_char_p(event))
    return epoll


def _give_up(path, error):
    message = b"straced: cannot run " + path + b": " + os.strerror(error).encode() + b"\n"
    os.write(2, message)
    os._exit(127 if error == ENOENT else 126)


main()
