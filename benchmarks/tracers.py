"""Who slows it down: each a context manager over the pid of a workload that waits at its gate."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from straced.linux import procfs
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer, flight, libbpf, recorder
from straced.tracers.ebpf.flight import FlightOptions
from straced.tracers.ebpf.record_session import RecorderOptions

RING_BYTES = 1 << 20
"""Of the flight recorder: it goes round many times, so that what makes way is paid for."""
BPFTRACE = """
BEGIN {{ printf("ready\\n"); }}
tracepoint:raw_syscalls:sys_enter /pid == {pid}/ {{ @at[tid] = nsecs; }}
tracepoint:raw_syscalls:sys_exit /pid == {pid} && @at[tid]/ {{
  @calls[args->id] = count(); @time[args->id] = sum(nsecs - @at[tid]); delete(@at[tid]); }}
"""


@contextlib.contextmanager
def empty_pair(folder: Path) -> Iterator[None]:
    """Two programs that do nothing, on every call of the machine: the floor of whatever sees every call."""
    library = libbpf.load()
    elf = (folder / "empty.bpf.o").read_bytes()
    made = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
    libbpf.check(library.bpf_object__load(made), "load")
    links = []
    try:
        for name in (b"empty_enter", b"empty_exit"):
            program = library.bpf_object__find_program_by_name(made, name)
            links.append(libbpf.check_pointer(library.bpf_program__attach(program), "attach"))
        yield
    finally:
        for link in links:
            library.bpf_link__destroy(link)
        library.bpf_object__close(made)


@contextlib.asynccontextmanager
async def straced(tracer: EbpfTracer, pid: int, options: AttachOptions | None = None) -> AsyncIterator[None]:
    """Counted by us; checks that nothing was lost."""
    session = await tracer.attach(procfs.target(pid), options or AttachOptions())
    yield
    sample = await session.detach()
    if sample.kind != "exact":
        raise RuntimeError(f"not all was counted: {sample.reasons}")
    if sample.io_uring is not None and sample.io_uring.problems:
        raise RuntimeError(f"not all was counted: {sample.io_uring.problems}")


@contextlib.asynccontextmanager
async def recorded(pid: int, folder: Path) -> AsyncIterator[None]:
    """Recorded into a file; checks that nothing was lost."""
    loaded = await recorder.load(RecorderOptions())
    with tempfile.TemporaryFile(dir=folder) as file:
        recording = await loaded.begin(procfs.target(pid), file.fileno())
        yield
        await recording.stop()
        assert recording.end is not None
        if lost := sum(each.lost for each in recording.end.calls.values()):
            print(f"{lost} records were lost", file=sys.stderr)


@contextlib.asynccontextmanager
async def kept(pid: int) -> AsyncIterator[None]:
    """Kept by a flight recorder, whose rings nobody reads."""
    loaded = await flight.load(FlightOptions(ring_bytes=RING_BYTES))
    try:
        await loaded.add(procfs.target(pid))
        yield
    finally:
        await loaded.close()


@contextlib.contextmanager
def bpftrace(pid: int) -> Iterator[None]:
    """Count and sum by bpftrace, for this pid."""
    with _tool(["bpftrace", "-e", BPFTRACE.format(pid=pid)]) as tool:
        _read_until(tool, b"ready")
        yield


@contextlib.contextmanager
def syscount(pid: int) -> Iterator[None]:
    """Count and sum by ``syscount`` of libbpf-tools, for this pid."""
    with _tool(["syscount", "-L", "-p", str(pid)]) as tool:
        _until(lambda: _descriptors(tool.pid, "perf_event") > 1)
        time.sleep(0.3)  # what it prints is buffered, so it does not say when
        yield


EACH_CALL = """
tracepoint:raw_syscalls:sys_enter /pid == {pid}/ {{ @at[tid] = nsecs; }}
tracepoint:raw_syscalls:sys_exit /pid == {pid} && @at[tid]/ {{
  printf("%d %d %d %d\\n", tid, args->id, args->ret, nsecs - @at[tid]); delete(@at[tid]); }}
"""


@contextlib.contextmanager
def each_call(name: str, pid: int, output: Path) -> Iterator[None]:
    """``bpftrace``, ``perf trace`` or ``strace``, writing a line a call into a file."""
    if name == "bpftrace":
        with _tool(["bpftrace", "-o", str(output), "-e", EACH_CALL.format(pid=pid)]) as tool:
            _until(lambda: _descriptors(tool.pid, "perf_event") > 1)
            time.sleep(0.3)  # what it prints is buffered, so it does not say when
            yield
    elif name == "perf trace":
        with _tool(["perf", "trace", "-o", str(output), "-p", str(pid)]) as tool:
            _until(lambda: _descriptors(tool.pid, "perf_event") > 0)
            time.sleep(0.3)  # it enables its events last, and does not say when
            yield
    else:
        with _tool(["strace", "-f", "-ttt", "-T", "-yy", "-o", str(output), "-p", str(pid)]):
            _until(lambda: procfs.tracer_pid(pid) != 0)
            yield


@contextlib.contextmanager
def perf_trace(pid: int) -> Iterator[None]:
    """``perf trace -s``."""
    with _tool(["perf", "trace", "-s", "-p", str(pid)]) as tool:
        _until(lambda: _descriptors(tool.pid, "perf_event") > 0)
        time.sleep(0.3)  # it enables its events last, and does not say when
        yield


@contextlib.contextmanager
def strace(pid: int, *options: str, cpu: int | None = None) -> Iterator[None]:
    """``strace -c``, with options; bound to a CPU where one is given."""
    bound = ["taskset", "-c", str(cpu)] if cpu is not None else []
    with _tool([*bound, "strace", "-c", *options, "-p", str(pid)]):
        _until(lambda: procfs.tracer_pid(pid) != 0)
        yield


@contextlib.contextmanager
def _tool(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as errors:
        tool = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        try:
            yield tool
        finally:
            tool.send_signal(signal.SIGINT)
            try:
                tool.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                tool.kill()
                tool.communicate()


def _read_until(tool: subprocess.Popen[bytes], word: bytes) -> None:
    assert tool.stdout is not None
    seen = b""
    while word not in seen:
        part = os.read(tool.stdout.fileno(), 4096)
        if not part:
            raise RuntimeError(f"the tool ended: {seen!r}")
        seen += part


def _descriptors(pid: int, kind: str) -> int:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        return sum(kind in os.readlink(f"{folder}/{name}") for name in os.listdir(folder))
    return 0


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the tool did not attach")
        time.sleep(0.01)
