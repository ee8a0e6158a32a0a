"""Programs with more rights than their callers, and what another user is told of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.service.daemon import SOURCE, Daemon
from tests.service.processes import as_nobody, end
from tests.support.owner import environment, python_of_nobody

PLAIN = f"plain{os.getpid()}"
"""The workload without rights of its own: a service that watches that name counts no copy of another run."""
WORKLOADS = Path(__file__).parent / "workloads"
USER = 65534
CAP_NET_RAW = 13
KINDS = ("set-user-ID", "set-group-ID", "file capabilities")


def build(folder: Path, workload: str = "rights") -> Path:
    """Compile a workload; without rights of its own."""
    plain = folder / PLAIN
    compiler = shutil.which("cc") or "gcc"
    argv = [compiler, "-O1", "-Wall", "-Werror", "-pthread", "-o", plain, WORKLOADS / f"{workload}.c"]
    subprocess.run(argv, check=True, timeout=60)
    plain.chmod(0o755)
    return plain


def strong(plain: Path, kind: str) -> Path:
    """A copy of the workload that gives rights to whoever runs it."""
    copy = plain.with_name(kind.replace(" ", "-"))
    shutil.copy(plain, copy)
    if kind == "file capabilities":
        os.setxattr(copy, "security.capability", struct.pack("<5I", 0x02000001, 1 << CAP_NET_RAW, 0, 0, 0))
        copy.chmod(0o755)
    else:
        copy.chmod(0o4755 if kind == "set-user-ID" else 0o2755)
    return copy


@contextlib.contextmanager
def started(program: Path, *words: object, prefix: tuple[str, ...] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The workload for the length of a block, as the user unless told otherwise; its first word was said."""
    argv = [*(as_nobody() if prefix is None else prefix), str(program), *map(str, words)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/")
    try:
        assert heard(process)
        yield process
    finally:
        end(process)


def heard(process: subprocess.Popen[str]) -> str:
    """The next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a process go on that waits for a byte."""
    assert process.stdin is not None
    process.stdin.write("x")
    process.stdin.flush()


def children(*words: object, times: int = 1) -> tuple[object, ...]:
    """Words that make children which do these, one after the other."""
    return ("times", times, len(words), *words)


PRELUDE = """
import asyncio, json, sys
sys.path.insert(0, {source!r})
from straced.client import Client, Select
from straced.errors import StracedError
from straced.model.tick import Tick
told = {{}}
def note(place, rows):
    place = told.setdefault(place, {{}})
    for row in rows:
        place[row.name] = place.get(row.name, 0) + (row.calls or 0)
async def line():
    return await asyncio.to_thread(sys.stdin.readline)
def see(tick, seen):
    for sample in tick.processes:
        if (tick.epoch_s, sample.facts.pid) not in seen:
            seen.add((tick.epoch_s, sample.facts.pid))
            note("snapshots", (*(sample.calls or ()), *sample.ended, *sample.others))
async def watch_snapshots(client, seen):
    told_of = asyncio.create_task(watch_news(client, seen))  # two ticks may come at once, and a snapshot is the last
    try:
        while True:
            tick = await client.snapshot()
            if tick is not None:
                see(tick, seen)
            await asyncio.sleep(0.02)
    finally:
        told_of.cancel()
async def watch_news(client, seen):
    async for tick in client.news("ticks"):
        if isinstance(tick, Tick):
            see(tick, seen)
async def main(pid):
    async with Client({socket!r}) as client:
{body}
    print(json.dumps(told), flush=True)
asyncio.run(main(int(sys.argv[1])))
"""
SESSION = """
session = await client.attach(pid)
print("attached", flush=True)
watching = asyncio.create_task(watch_snapshots(client, set()))
asked = asyncio.create_task(line())
live = {}
while not asked.done():
    try:
        for row in (await session.read()).rows:
            live[row.name] = max(live.get(row.name, 0), row.calls)
    except StracedError:
        pass
    await asyncio.sleep(0.005)
try:
    summary = await session.summary()
    note("summary", summary.rows)
    told["reasons"] = [reason.code for reason in summary.quality.reasons]
    result = await session.detach()
    note("result", result.rows)
    told["end"] = result.end
    told["exit_status"] = result.exit_status
except StracedError as error:
    told["refused"] = error.code
told["live"] = live
watching.cancel()
"""
HISTORY = """
watching = asyncio.create_task(watch_snapshots(client, set()))
print("watching", flush=True)
await line()
for process in await client.processes(Select()):
    if process.kind == "others":
        told["others"] = True
select = Select(pid=pid)
note("history", (await client.history(select)).rows)
note("all", (await client.history(Select())).rows)
told["top"] = sum(ranked.calls or 0 for ranked in await client.top(Select(by="calls", limit=1000)))
told["events"] = [event.text for event in await client.events(Select())]
watching.cancel()
"""
TRACE = """
from pathlib import Path
trace = await client.trace(pid, Path(sys.argv[2]), tracer=sys.argv[3])
print("traced", flush=True)
await line()
ending = await trace.stop()
told.update(tracer=trace.tracer, why=trace.tracer_reason, end=ending.reason)
told["reasons"] = [reason.code for reason in trace.reasons]
"""
ATTACH = """
try:
    await (await client.attach(pid)).detach()
    told["attach"] = "fine"
except StracedError as error:
    told["attach"] = error.code
print("asked", flush=True)
await line()
"""


@contextlib.contextmanager
def asking(daemon: Daemon, body: str, pid: int, *words: object, inside: str = "") -> Iterator[subprocess.Popen[str]]:
    """A client of the service, as the user, ``inside`` of another command perhaps; its first line was read."""
    indented = "".join(f"        {each}\n" for each in body.strip("\n").splitlines())
    code = PRELUDE.format(source=SOURCE, socket=str(daemon.socket), body=indented)
    argv = [*as_nobody(), *inside.split(), python_of_nobody(), "-c", code, str(pid), *map(str, words)]
    env = {**os.environ, **environment()}
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/", env=env
    )
    try:
        assert heard(process)
        yield process
    finally:
        end(process)


def told(client: subprocess.Popen[str]) -> dict[str, dict[str, int]]:
    """Let a client ask its last, and return what it was told."""
    assert client.stdin is not None
    client.stdin.write("now\n")
    client.stdin.flush()
    found: dict[str, dict[str, int]] = json.loads(heard(client))
    return found
