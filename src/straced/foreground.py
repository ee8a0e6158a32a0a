"""Standing between a shell and a command without being felt: signals, job control, the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import Self

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
SI_KERNEL = 0x80
"""siginfo's code of a signal that the terminal sent: to the whole group, so the command has it already."""


class Foreground:
    """Waits for one child, in whose process group we are, and passes on what only we are told.

    Enter it after the child was started: signals are blocked here from then on, and a child would inherit that.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._ended = threading.Event()
        self._before: set[signal.Signals] = set()

    def __enter__(self) -> Self:
        handled = {number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN}
        self._before = {signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, handled)}
        if handled:
            threading.Thread(target=self._pass_on, args=(handled,), daemon=True, name="straced-signals").start()
        return self

    def __exit__(self, *_: object) -> None:
        # The mask stays: what arrives from here on must not cut the report short.
        self._ended.set()
        os.close(self._pidfd)

    async def wait(self) -> int:
        """The child's end: its exit code, or minus its signal. While it is stopped, so are we (and then it goes on)."""
        return await asyncio.to_thread(self._wait)

    def _wait(self) -> int:
        while True:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WSTOPPED)
            assert found is not None
            if found.si_code == os.CLD_STOPPED:
                os.kill(os.getpid(), signal.SIGSTOP)  # the shell's turn; its fg or bg continues us
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)
                continue
            self._ended.set()
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def _pass_on(self, handled: set[signal.Signals]) -> None:
        while not self._ended.is_set():
            info = signal.sigwaitinfo(handled)
            if info.si_code == SI_KERNEL or info.si_pid == self.pid:
                continue
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, info.si_signo)
