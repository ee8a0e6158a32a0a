"""What one traced call costs on this machine, measured on a child of the guard's own."""

import os
import time

import kernel

CALLS = 150
PATIENCE_S = 3.0


def start():
    """Fork a child that times getppid untraced, waits for a tracer, and times it again.

    Returns ``(pid, fd)``; the descriptor yields the cost of a call in nanoseconds, as text, and then ends.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    guard = os.getpid()
    try:
        pid = kernel.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        try:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
            if os.getppid() != guard:
                os._exit(1)  # killed before the line above, which tells of later deaths only
            kernel.reset_signals()
            kernel.set_name(b"straced-measure")
            untraced = _cost_ns(CALLS * 20)
            patience = time.monotonic() + PATIENCE_S
            while time.monotonic() < patience:
                found = kernel.tracer_and_state("self")
                if found and found[0]:
                    cost = max(0, _cost_ns(CALLS) - untraced)
                    os.write(writer, str(cost).encode())
                    break
                time.sleep(0.001)
        finally:
            os._exit(0)
    os.close(writer)
    return pid, reader


def _cost_ns(calls):
    getppid = os.getppid
    began = time.perf_counter_ns()
    for _ in range(calls):
        getppid()
    return (time.perf_counter_ns() - began) // calls
