"""straced: what running processes ask of the kernel, and why a process is stuck.

    async with straced.Profiler() as profiler:
        session = await profiler.attach(pid)
        ...
        summary = await session.detach()

    answer = await straced.why(pid)             # what it waits for, who holds it up, the root cause
    answers = await straced.why_all()

Names are imported when they are first used, so that ``import straced`` costs next to nothing.
"""

from __future__ import annotations

from straced._version import __version__

TYPE_CHECKING = False  # as in typing, whose import takes a third of the time that this package does
if TYPE_CHECKING:
    from straced import errors as errors
    from straced.errors import AttachError as AttachError
    from straced.errors import NotLive as NotLive
    from straced.errors import StracedError as StracedError
    from straced.errors import TracerUnavailable as TracerUnavailable
    from straced.gating import gate as gate
    from straced.manager.process_group import ProcessGroupManager as ProcessGroupManager
    from straced.manager.strace_manager import StraceManager as StraceManager
    from straced.manager.trace_summary import TraceSummary as TraceSummary
    from straced.model.files import FileTable as FileTable
    from straced.model.files import FileUse as FileUse
    from straced.model.slow import SlowCalls as SlowCalls
    from straced.model.slow import SlowSyscall as SlowSyscall
    from straced.model.types import Event as Event
    from straced.model.types import Quality as Quality
    from straced.model.types import Sample as Sample
    from straced.model.types import Summary as Summary
    from straced.model.types import SyscallStats as SyscallStats
    from straced.model.types import Target as Target
    from straced.model.uring import UringTable as UringTable
    from straced.model.uring import UringUse as UringUse
    from straced.profiling.profiler import Profiler as Profiler
    from straced.profiling.session import Session as Session
    from straced.tracers.base import Ending as Ending
    from straced.tracers.recording import Recording as Recording
    from straced.waits.api import why as why
    from straced.waits.api import why_all as why_all
    from straced.waits.model import Why as Why
    from straced.waits.model import WhyAll as WhyAll

_HOMES = {
    "AttachError": "errors",
    "Ending": "tracers.base",
    "Event": "model.types",
    "FileTable": "model.files",
    "FileUse": "model.files",
    "NotLive": "errors",
    "ProcessGroupManager": "manager.process_group",
    "Profiler": "profiling.profiler",
    "Quality": "model.types",
    "Recording": "tracers.recording",
    "Sample": "model.types",
    "Session": "profiling.session",
    "SlowCalls": "model.slow",
    "SlowSyscall": "model.slow",
    "StraceManager": "manager.strace_manager",
    "StracedError": "errors",
    "Summary": "model.types",
    "SyscallStats": "model.types",
    "Target": "model.types",
    "TraceSummary": "manager.trace_summary",
    "TracerUnavailable": "errors",
    "UringTable": "model.uring",
    "UringUse": "model.uring",
    "Why": "waits.model",
    "WhyAll": "waits.model",
    "gate": "gating",
    "why": "waits.api",
    "why_all": "waits.api",
}

__all__ = [*_HOMES, "__version__", "errors"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("straced.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'straced' has no attribute {name!r}")
    value: object = getattr(import_module(f"straced.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
