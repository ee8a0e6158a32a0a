"""Standing between a shell and a command without being felt: signals, job control, the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Self

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""Ctrl-Z, and what a job in the background gets that wants the terminal."""
SI_KERNEL = 0x80
"""siginfo's code of a signal that the terminal sent: to its group of processes, not to one of them."""
STOP_TAKES_S = 5.0
"""How long a command may take to stop after it was told to: an editor first puts the terminal in order."""


class Foreground:
    """Waits for one child, in whose process group we are, and passes on what only we are told.

    Enter it before any thread is started and before the child, so that nothing that we are told from then on is lost,
    and start the child by :meth:`start`. Signals are blocked meanwhile, but for the moment in which the child inherits
    what is blocked: no other thread may be told what the command is to be told.
    """

    def __init__(self) -> None:
        self.pid = 0
        self._pidfd = -1
        before = {number: signal.getsignal(number) for number in (*FORWARDED, *STOPS)}
        self._handled = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        self._early: list[int] = []
        self._mask: set[signal.Signals | int] = set()
        """What was blocked before."""
        self._of_children = signal.getsignal(signal.SIGCHLD)
        self._ended = threading.Event()
        self._stopping = threading.Lock()
        self._stopped = False
        self._told: tuple[int, float] | None = None
        """The last stop signal that we were sent, and when."""

    def __enter__(self) -> Self:
        def keep(number: int, frame: FrameType | None) -> None:
            self._early.append(number)

        # A handler is gone in the child after its execve; what is ignored stays so in both.
        for number in self._handled:
            signal.signal(number, keep)
        self._block()
        return self

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start the child, as :class:`subprocess.Popen` does, and begin to stand in front of it.

        Raises:
            OSError: it cannot be started.
        """
        self._unblock()
        try:
            process = subprocess.Popen(argv, **options)
        finally:
            self._block()
        self._watch(process.pid)
        return process

    def _block(self) -> None:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._handled, signal.SIGCONT})
        # Who started us may ignore SIGCHLD: a child's end would be thrown away. The child has it as it was.
        self._of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _unblock(self) -> None:
        signal.signal(signal.SIGCHLD, self._of_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _watch(self, pid: int) -> None:
        self.pid, self._pidfd = pid, os.pidfd_open(pid)
        for number in self._handled:
            signal.signal(number, signal.SIG_DFL)
        for early in self._early:
            self._send(early)
            if early in STOPS:
                self._told = (early, time.monotonic())
        threading.Thread(target=self._pass_on, daemon=True, name="straced-signals").start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._pidfd >= 0:
            os.close(self._pidfd)  # the mask stays: what arrives from here on must not cut the report short
            return
        for number, handler in self._handled.items():
            signal.signal(number, handler)
        self._unblock()

    async def wait(self) -> int:
        """The child's end: its exit code, or minus its signal. A stop that was meant for us too stops us as well."""
        return await asyncio.to_thread(self._wait)

    def _wait(self) -> int:
        while True:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WSTOPPED | os.WCONTINUED)
            assert found is not None
            if found.si_code not in (os.CLD_STOPPED, os.CLD_CONTINUED):
                self._ended.set()
                return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            self._stopped = found.si_code == os.CLD_STOPPED
            self._stop_too()

    def _pass_on(self) -> None:
        while not self._ended.is_set():
            info = signal.sigwaitinfo({*self._handled, signal.SIGCONT})
            if not self._has_it(info):
                with (
                    self._stopping
                ):  # the child goes on once we are out of our own stop: its next one is not lost in it
                    self._send(info.si_signo)
            self._told = (info.si_signo, time.monotonic()) if info.si_signo in STOPS else None
            self._stop_too()

    def _has_it(self, info: signal.struct_siginfo) -> bool:
        """Whether the child was sent this signal as well, or sent it."""
        if info.si_code != SI_KERNEL:
            return info.si_pid == self.pid
        if info.si_signo in (signal.SIGHUP, signal.SIGCONT) and os.getsid(0) == os.getpid():
            return False  # a terminal that is closed tells the leader of its session only
        with contextlib.suppress(ProcessLookupError):
            return os.getpgid(self.pid) == os.getpgrp()
        return True

    def _send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _stop_too(self) -> None:
        """Stop as the child has, if that is what we were told to do.

        A stop that the child alone was sent is between it and the sender, who will continue it and not us. Nobody but
        a shell continues us, and a shell stops us first: by the terminal, or by a signal to the whole job.
        """
        with self._stopping:
            told, self._told = self._told, None
            if told is None or time.monotonic() > told[1] + STOP_TAKES_S:
                return
            if not self._stopped or signal.SIGCONT in signal.sigpending():
                self._told = told  # it has not stopped yet, or is about to go on
                return
            # To this thread, where it stays pending until the child was looked at: a SIGCONT that comes in between
            # takes it away. The kernel stops no group that has nobody to continue it.
            me, number = threading.get_ident(), told[0]
            signal.pthread_kill(me, number)
            if self._lies_still():
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # here we stop
                signal.pthread_sigmask(signal.SIG_BLOCK, {number})
            else:
                self._told = told
                signal.sigtimedwait({number}, 0)

    def _lies_still(self) -> bool:
        flags = os.WEXITED | os.WCONTINUED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, flags) is None
        except ChildProcessError:
            return False
