"""A test run in a forked copy of the test process, which strace counts: where eBPF may not serve.

The copy is held until strace has it. Fixtures are set up and torn down in the test process, as ever; what the test
changes in memory is gone with the copy. The test process itself is never traced.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from straced.blocking import BlockingProfiler
from straced.errors import StracedError
from straced.model.budgets import CallCounts
from straced.pytest_plugin.fixture import WINDOW
from straced.pytest_plugin.trace_reader import STRING_BYTES, TraceReader
from straced.pytest_plugin.windows import CallWindow

if TYPE_CHECKING:
    from straced.pytest_plugin.marks import SyscallBudget
    from straced.pytest_plugin.run_state import RunState

_PR_SET_PTRACER = 0x59616D61
"""prctl(2): lets Yama's scope 1 accept a tracer that is no ancestor."""
_GO = b"1"
_OUTCOMES: dict[str, Any] = {"failed": pytest.fail, "skipped": pytest.skip, "xfailed": pytest.xfail}


class ForkedTest:
    """One test function; :meth:`in_place` puts the copy in its place."""

    def __init__(self, item: Any, state: RunState, budget: SyscallBudget) -> None:
        self._item = item
        self._state = state
        self._budget = budget
        self._original: Callable[[], object] = item.runtest
        self.counts = CallCounts()
        self.doubt = ""
        self.shown: list[str] = []
        """Of the calls that broke the budget, the first of each kind."""

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the item run its copy."""
        self._item.runtest = self._run
        try:
            yield
        finally:
            del self._item.runtest

    def _run(self) -> None:
        """Run the copy to its end, and end as it did."""
        directory = Path(tempfile.mkdtemp(prefix="straced-pytest-"))
        try:
            told = self._traced(directory / "trace")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        self.counts = CallCounts(told["calls"], {(name, errno): count for name, errno, count in told["errors"]})
        self.doubt = told["doubt"]
        self.shown = told["shown"]
        if end := _OUTCOMES.get(told["outcome"]):
            options: dict[str, Any] = {"pytrace": False} if end is pytest.fail else {}
            end(told["text"], **options)

    def _traced(self, path: Path) -> dict[str, Any]:
        begin, result = os.pipe(), os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of other threads, which the copy does not have
            pid = os.fork()
        if pid == 0:
            os.close(begin[1])
            os.close(result[0])
            self._be_the_copy(path, begin[0], result[1])
        os.close(begin[0])
        os.close(result[1])
        return self._look_after(pid, path, begin[1], result[0])

    def _look_after(self, pid: int, path: Path, begin: int, result: int) -> dict[str, Any]:
        ended = False
        try:
            with BlockingProfiler("strace") as profiler, open(result, "rb") as told:
                try:
                    profiler.trace(pid, path, string_bytes=STRING_BYTES)
                except StracedError as error:
                    pytest.skip(self._state.refused(error.reason))
                os.write(begin, _GO)
                text = told.read()
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                ended = True
            if not text:
                pytest.fail(f"the process of the test ended before the test did: {_fate(status)}", pytrace=False)
            found: dict[str, Any] = json.loads(text)
            return found
        finally:
            os.close(begin)
            if not ended:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _be_the_copy(self, path: Path, begin: int, result: int) -> NoReturn:
        """Run the test, tell how it ended, and end without what a process does at its end: that is the original's."""
        told: dict[str, Any] = {"outcome": "failed", "text": "", "doubt": "", "calls": {}, "errors": [], "shown": []}
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))
            if os.read(begin, 1) != _GO:
                os._exit(1)
            os.close(begin)
            reader = TraceReader(path)
            window = self._item.stash[WINDOW] = CallWindow(reader, self._budget.threads, self._budget.children)
            told["outcome"], told["text"] = self._outcome()
            counts = window.counts()
            told["calls"] = dict(counts.calls)
            told["errors"] = [(*key, count) for key, count in counts.errors.items()]
            told["doubt"] = window.doubt()
            for breach in self._budget.broken_by(counts):
                told["shown"] += [f"{breach.key}: {call}" for call in reader.calls_of(breach.key)]
        except BaseException as error:
            told["text"] = f"{type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            with contextlib.suppress(OSError):
                data = json.dumps(told).encode()
                while data:
                    data = data[os.write(result, data) :]
            os._exit(0)

    def _outcome(self) -> tuple[str, str]:
        try:
            self._original()
        except pytest.skip.Exception as error:
            return "skipped", str(error)
        except pytest.xfail.Exception as error:
            return "xfailed", str(error)
        except BaseException:
            return "failed", str(self._item.repr_failure(pytest.ExceptionInfo.from_current()))
        return "passed", ""


def _fate(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
