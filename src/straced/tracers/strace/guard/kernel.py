"""What the guard asks of the kernel beyond the os module: prctl, and who traces whom.

Only the C modules behind ``ctypes`` and ``signal`` are imported: the Python ones cost the guard 10 ms at start.
"""

import _ctypes
import _signal as signal
import os

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_PRCTL = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")


def prctl(option, value):
    """prctl(2) with one argument; a buffer may stand for a pointer."""
    return _ctypes.call_function(_PRCTL, (option, value, 0, 0, 0))


def set_name(name):
    """What ps shows for this process, 15 bytes."""
    try:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(name)
    except OSError:
        pass


_changed = set()
"""Signals whose disposition is not the default one, since :func:`start_with_default_signals`."""


def start_with_default_signals():
    """Default dispositions and an empty mask: a daemon's ignored and blocked signals are inherited."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # KILL, STOP, and those that libc keeps for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def on_signal(number, handler):
    """Handle or ignore a signal here, but in no child that calls :func:`reset_signals`."""
    _changed.add(number)
    signal.signal(number, handler)


def reset_signals():
    """Undo every :func:`on_signal`, and what :func:`fork` blocked: after a fork each call costs time and memory."""
    for number in _changed:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def fork():
    """fork(2) with all signals blocked in the child: the guard's own handlers must never run there.

    They act on the epoll that the child shares with the guard. :func:`reset_signals` unblocks them.

    Raises:
        OSError: EAGAIN or ENOMEM; the guard hears its signals as before.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def tracer_and_state(pid):
    """``(TracerPid, state letter)`` of a task, or ``None`` when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            data = status.read()
    except OSError:
        return None
    tracer = data.find(b"\nTracerPid:")
    state = data.find(b"\nState:")
    if tracer < 0 or state < 0:
        return None
    return int(data[tracer + 11 : data.find(b"\n", tracer + 1)]), data[state + 7 :].lstrip()[:1].decode()


def send(pidfd, number):
    """Signal a process by pidfd, which cannot hit another one that got its pid; False when it is gone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        return False
    return True


def kill_group(pid):
    """SIGKILL the process group of a helper that has not been reaped yet, so the number is still its own.

    strace forks children at start-up to test ptrace; killed in that moment, it leaves one frozen.
    """
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
