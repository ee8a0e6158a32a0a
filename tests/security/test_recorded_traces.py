"""A full trace that a service takes by records: its user gets what is theirs, and nothing else.

Of `service/api/client_traces.py`, `service/api/record_spool.py`, `client/trace_sinks.py` and `records/arriving.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from straced.errors import ServiceUnreachable, TracerUnavailable
from straced.ipc.messages import Attached, Ended, SessionParams, TraceParams, TracePiece
from straced.ipc.protocol import TooMuch
from straced.linux import procfs
from straced.linux.credentials import Peer
from straced.profiling.profiler import Profiler
from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.service.api import client_traces
from straced.service.api.client_traces import ClientTraces
from tests.security import rights
from tests.security.rights import KINDS, USER, asking, build, children, go_on, heard, started, strong, told
from tests.security.test_traces import mounting
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_root
from tests.service.processes import READY, as_nobody, end, folder_of_nobody, popen, running
from tests.support.poll import auntil
from tests.tracers.ebpf.test_lifecycle import loaded, programs_of

pytestmark = [needs_root, pytest.mark.needs("ebpf")]
SECRET = b"nobodys-business"
LOUD = (
    READY
    + "for line in sys.stdin:\n"
    + "    [os.access('/seen', 0) for _ in range(int(line))]\n"
    + "    print('done', flush=True)\n"
)


@pytest.mark.needs("cc")
def test_nothing_of_what_is_not_theirs(public: Path, daemon: Daemon) -> None:
    """Programs with more rights, whatever they drop or run then; another id; one that hides: each a child."""
    plain = build(public)
    strongs = [strong(plain, kind) for kind in KINDS]
    words: tuple[object, ...] = ("exec", strongs[0], "secret", "say", "ready", "secret", "drop", "secret")
    words = (*children(*words), "mine", 21, "open", "/mine-before")
    for each in strongs:
        words = (*words, *children("exec", each, "secret", "drop", "secret", "exec", plain, "secret", "theirs", 7))
    words = (*words, *children("exec", strongs[0], "become", 65533, "secret", "exec", plain, "secret"))
    words = (*words, *children("hide", "secret", "theirs", 7), "open", "/mine-after", "say", "made")
    words = (*words, "exec", strongs[2], "secret", "theirs", 7, "say", "gone")
    folder = folder_of_nobody(public)
    lines, records = folder / "trace.txt", folder / "trace.strc"
    with (
        started(plain, *words) as process,
        asking(daemon, rights.TRACE, process.pid, lines, "auto") as one,
        asking(daemon, rights.TRACE, process.pid, records, "auto") as other,
    ):
        go_on(process)
        assert heard(process) == "made"
        go_on(process)
        assert heard(process) == "gone"
        answers = [told(one), told(other)]
    for answer, path in zip(answers, (lines, records), strict=True):
        assert (answer["tracer"], answer["why"]) == ("ebpf", "asked for" if path is records else "")
        assert answer["reasons"] == ["changed_user"]
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (USER, 0o600)
        data = path.read_bytes()
        assert SECRET not in data
        assert b"/mine-before" in data
        assert b"/mine-after" in data
    text = lines.read_text()
    assert text.count("# straced process ") == 1
    assert text.count("getppid()") == 21
    assert "umask(" not in text
    file = RecordFile(records)
    found = list(file)
    assert file.end is not None
    assert file.end.exact
    assert "took other rights or hid itself: what it did from there on is not yours to see" in file.troubles()[0]
    assert len(file.troubles()) == 1
    assert [each.pid for each in file.facts.processes] == [process.pid]
    assert sum(each.label == "getppid" for each in found) == 21
    assert not [each for each in found if each.label == "umask"]
    left = [each for each in found if each.kind is RecordKind.UNFINISHED and each.label in ("execve", "prctl")]
    assert [each.args for each in left] == [()] * 6


@pytest.mark.needs("cc")
@pytest.mark.parametrize("where", [(), ("handler",)], ids=["beside", "inside"])
def test_all_threads_are_let_go_of_for_good(where: tuple[str, ...], public: Path, daemon: Daemon) -> None:
    """Of the call that one is in its name is told; of what they call later, nothing, though it shows itself."""
    records = folder_of_nobody(public) / "trace.strc"
    with (
        started(build(public, "hides"), *where) as process,
        asking(daemon, rights.TRACE, process.pid, records, "ebpf") as client,
    ):
        go_on(process)
        assert heard(process) == "done"
        assert told(client)["reasons"] == ["changed_user"]
    file = RecordFile(records)
    found = list(file)
    assert file.end is not None
    assert file.end.exact
    left = [(each.label, each.args) for each in found if each.kind is RecordKind.UNFINISHED]
    assert sorted({*left} - {("tgkill", ())}) == [("prctl", ()), ("read", ())]  # who sent the signal may be in that yet
    assert not [each for each in found if each.label in ("umask", "exit", "exit_group")]


async def test_what_was_not_read_counts_as_a_trace(public: Path) -> None:
    """Its file lies on the disk of the service until then."""
    with serving(public, "[ipc]\n#\nmax_sessions_per_user = 1\n") as daemon, running(LOUD) as target:
        params = TraceParams(pid=target.pid, tracer="ebpf", binary=True)
        async with daemon.client() as client:
            session = SessionParams(session=(await client.request("trace", params, Attached)).session)
            calls_in(target, 100)
            assert (await client.request("session.detach", session, Ended)).reason == "detached"
            assert (await client.status()).recorded == 0
            with pytest.raises(TooMuch):
                await client.request("trace", params, Attached)
            size = 0
            while data := (await client.request("trace.read", session, TracePiece)).data:
                size += len(data)
            assert size > 100 * 56
            await client.request("trace", params, Attached)


async def test_users_leave_root_a_trace(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has taken all that there are for users; root finds one beside them."""
    monkeypatch.setattr(client_traces, "RECORDED", 1)
    theirs = popen([*as_nobody(), "sh", "-c", "echo ready; read word"])
    try:
        assert heard(theirs) == "ready"
        async with Profiler() as profiler:
            with running(LOUD) as roots:
                traces = ClientTraces(lambda: profiler, public)
                user, root = Peer(pid=theirs.pid, uid=USER, gid=USER), Peer(pid=os.getpid(), uid=0, gid=0)
                made = []
                for peer, pid in ((user, theirs.pid), (root, roots.pid)):
                    params = TraceParams(pid=pid, tracer="ebpf", binary=True)
                    made.append((await traces.begin(peer, params, 1_000_000))[0])
                assert traces.recorded == 2
                for peer in (user, Peer(pid=theirs.pid, uid=USER - 1, gid=USER)):
                    with pytest.raises(TracerUnavailable, match="as many traces by records"):
                        await traces.begin(peer, TraceParams(pid=theirs.pid, tracer="ebpf"), 1_000_000)
                for each in made:
                    await each.recording.stop()
                    assert each.alive
                    each.spool.close()
                    await each.wait()
                    assert not each.alive
                assert traces.recorded == 0
    finally:
        end(theirs)


def calls_in(process: subprocess.Popen[str], count: int) -> None:
    """Let the loud program make so many, and wait until it has."""
    assert process.stdin is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    assert heard(process) == "done"


async def test_clients_that_go_limits_and_the_end_of_the_target(public: Path, daemon: Daemon) -> None:
    """Each of two has all of it; of one who has gone nothing goes on; nobody is under ptrace."""
    with running(LOUD) as target:
        async with daemon.client() as one, daemon.client() as other:
            async with daemon.client() as gone:
                left = await gone.trace(target.pid, public / "left")
                calls_in(target, 100)
            bounded = await one.trace(target.pid, public / "lines", filter="access", max_bytes=20_000)
            records = await other.trace(target.pid, public / "t.strc", filter="access")
            assert (bounded.tracer, records.tracer, procfs.tracer_pid(target.pid)) == ("ebpf", "ebpf", 0)
            assert (await one.status()).recorded >= 2
            calls_in(target, 1000)
            assert (await bounded.wait()).reason == "max_bytes"
            target.send_signal(signal.SIGTERM)
            ending = await records.wait()
            assert (ending.reason, ending.exit_status, records.dropped_lines) == ("killed(15)", -15, 0)

            async def none_left() -> bool:
                return not (await one.status()).recorded

            await auntil(none_left, 60, "all have ended")
        assert not left.alive
    text = (public / "lines").read_text()
    assert 20_000 <= len(text) < 21_000
    assert text.endswith("\n")
    assert 'access("/seen", F_OK) = -1 ENOENT' in text
    file = RecordFile(public / "t.strc")
    assert sum(each.label == "access" for each in file) == 1000
    assert not file.troubles()


@pytest.mark.needs("tmpfs")
async def test_a_full_disk_and_a_service_that_is_killed(public: Path) -> None:
    """Whole lines stay, no program stays in the kernel, and the target runs on."""
    disk = public / "disk"
    disk.mkdir()
    mounting("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk))
    try:
        with running(LOUD) as target, serving(public) as daemon:
            async with daemon.client() as client:
                trace = await client.trace(target.pid, disk / "lines", min_free_bytes=100_000)
                calls_in(target, 20_000)
                assert (await trace.wait()).reason == "disk_full"
                space = os.statvfs(disk)
                assert space.f_bfree * space.f_frsize >= 100_000
                assert (disk / "lines").read_bytes().endswith(b"\n")
                trace = await client.trace(target.pid, public / "lines")
                calls_in(target, 500)
                await auntil(lambda: (public / "lines").read_text().count("access(") > 300, 60, "lines have come")
                assert daemon.process is not None
                programs = programs_of(daemon.process.pid)
                assert loaded(programs)
                daemon.kill()
                with pytest.raises(ServiceUnreachable):
                    await trace.wait()
            await auntil(lambda: not loaded(programs), 60, "the kernel has let go of them")
            calls_in(target, 500)
            assert (public / "lines").read_bytes().endswith(b"\n")
    finally:
        mounting("umount", str(disk))
