"""Lines of records that are made by hand: what a program beside strace cannot show each time.

Of `records/text/lines.py`, `records/text/quoting.py`, `records/text/initial.py` and `records/text/processes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from straced.records.plans import plan_of
from straced.records.text.calls import SIGNATURES
from straced.records.text.compiled import words_of
from straced.records.text.dependent import WHOLE
from straced.records.text.lines import BATCH, LineOptions, TextLines
from straced.records.values import Blob, BlobKind, OpenDescriptor, Record, RecordingFacts, RecordKind
from straced.syscalls import number_of
from tests.records.made import FD_CWD, PID, SECOND, call, ended, facts, path
from tests.traces.recorded import report

PLAIN = LineOptions(stamp="", durations=False, pids=False)
OPENED = call("openat", FD_CWD, 0x7000, 0, result=3, blobs={1: path(b"data")})


def lines(records: Iterable[Record], options: LineOptions = PLAIN, origin: RecordingFacts | None = None) -> list[str]:
    text = TextLines(origin or facts(), options)
    made = [text.feed(record) for record in records]
    return b"".join([*made, text.flush()]).decode().splitlines()


def line(record: Record, options: LineOptions = PLAIN, origin: RecordingFacts | None = None) -> str:
    return " ".join(lines([record], options, origin)[0].split())


def test_the_width_and_the_times_are_those_of_strace() -> None:
    record = call("read", 3, 0x7FFC0000, 100, result=7, at=1.25, took=1_234_567)
    assert lines([record], LineOptions()) == ['4000  23:13:21.250000 read(3, ""..., 100) = 7 <0.001234>']
    assert lines([record], LineOptions(stamp="t")) == ['4000  23:13:21 read(3, ""..., 100)      = 7 <0.001234>']
    assert lines([record], LineOptions(stamp="ttt", pids=False, durations=False)) == [
        '1700000001.250000 read(3, ""..., 100)   = 7'
    ]
    exact = LineOptions(stamp="ttt", nanoseconds=True, pids=False)
    assert lines([record, call("getpid", result=PID, at=3.0, took=123)], exact) == [
        '1700000001.250000000 read(3, ""..., 100) = 7 <0.001234567>',
        "1700000003.000000000 getpid()           = 4000 <0.000000123>",
    ]
    assert lines([call("getpid", result=PID, took=3 * SECOND + 5)], exact)[0].endswith("<3.000000005>")
    assert lines([call("getpid", result=PID)]) == ["getpid()                                = 4000"]


def test_what_did_not_return() -> None:
    start = call("read", 0, 0x7000, 10, result=None, kind=RecordKind.START)
    never = call("exit_group", 3, result=None, kind=RecordKind.UNFINISHED)
    assert lines([start])[0] == "read(0,  <unfinished ...>"
    assert line(call("futex", 0x7000, 128, 1, 0, 0, 0, result=None, kind=RecordKind.START)).endswith("<unfinished ...>")
    assert line(never) == "exit_group(3) = ?"
    killed = call("read", 0, 0x7000, 10, result=None, kind=RecordKind.UNFINISHED)
    assert lines([killed], LineOptions(stamp="", pids=False)) == ["read(0,  <unfinished ...>) = ?"]
    assert lines([ended(3 << 8), ended(9), ended(11 | 0x80)]) == [
        "+++ exited with 3 +++", "+++ killed by SIGKILL +++", "+++ killed by SIGSEGV (core dumped) +++",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "text"),
    [(-2, "-1 ENOENT (No such file or directory)"), (-512, "? ERESTARTSYS (To be restarted if SA_RESTART is set)"),
     (-514, "? ERESTARTNOHAND (To be restarted if no handler)"), (-3000, "-1 (errno 3000)"),
     (-516, "? ERESTART_RESTARTBLOCK (Interrupted by signal)"), (0, "0")],
)  # fmt: skip
def test_results(result: int, text: str) -> None:
    assert line(call("fsync", 5, result=result)) == f"fsync(5) = {text}"


def test_descriptors_of_the_attach() -> None:
    origin = facts(
        {0: OpenDescriptor(b"/dev/pts/3"), 1: OpenDescriptor(b"pipe:[77]"), 2: OpenDescriptor(b"/tmp/x<y (deleted)"),
         3: OpenDescriptor(b"socket:[12]", "tcp 127.0.0.1:80 listen"), 4: OpenDescriptor(b"socket:[13]", "unix /run/x"),
         5: OpenDescriptor(b"anon_inode:[eventpoll]"),
         6: OpenDescriptor(b"socket:[14]"),
         7: OpenDescriptor(b"socket:[15]", "tcp [::1]:80 -> [::1]:9 close-wait")}
    )  # fmt: skip
    found = [
        line(call("fsync", number), origin=origin).removeprefix("fsync(").removesuffix(") = 0") for number in range(9)
    ]
    assert found == [
        "0</dev/pts/3<char 136:3>>", "1<pipe:[77]>", "2</tmp/x\\74y>(deleted)", "3<TCP:[127.0.0.1:80]>",
        '4<UNIX:[13,"/run/x"]>', "5<anon_inode:[eventpoll]>", "6<socket:[14]>", "7<TCPv6:[[::1]:80->[::1]:9]>", "8",
    ]  # fmt: skip


def test_a_descriptor_that_another_thread_changes_has_no_name() -> None:
    """Its number was given out again while the call was inside, or closed: which file it was is not known."""
    reading = call("read", 3, 0x7000, 10, result=1, at=1.5, took=2_000_000_000, tid=PID + 1)
    closing = call("close", 3, at=2.0)
    again = call("openat", FD_CWD, 0x7000, 0, result=3, at=2.5, blobs={1: path(b"other")})
    later = call("read", 3, 0x7000, 10, result=1, at=3.0)
    found = lines([OPENED, closing, again, later, reading])
    assert found[1:] == [
        "close(3</repo/data>)                    = 0",
        'openat(AT_FDCWD</repo>, "other", O_RDONLY) = 3</repo/other>',
        'read(3, ""..., 10)                      = 1',
        'read(3</repo/other>, ""..., 10)         = 1',
    ]
    slow = call("openat", FD_CWD, 0x7000, 0, result=3, at=2.2, took=900_000_000, blobs={1: path(b"slow")})
    early = call("read", 3, 0x7000, 10, result=1, at=2.4, tid=PID + 1)
    assert lines([OPENED, closing, early, slow])[3] == 'read(3, ""..., 10)                      = 1'


def test_a_close_that_is_slower_than_who_takes_its_number() -> None:
    """The kernel gives the number out before close(2) returns: the new name stays."""
    closing = call("close", 3, at=2.0, took=500_000_000)
    again = call("openat", FD_CWD, 0x7000, 0, result=3, at=2.1, blobs={1: path(b"other")}, tid=PID + 1)
    found = lines([OPENED, again, closing, call("fsync", 3, at=3.0)])
    assert found[-1] == "fsync(3</repo/other>)                   = 0"


def test_a_child_has_a_copy_and_a_thread_shares() -> None:
    clone = call("clone", 17, 0, 0, 0, 0, result=PID + 5, at=2.0)
    thread = call("clone", 0x10F00, 0x7000, 0, 0, 0, result=PID + 6, at=2.1)
    records = [
        OPENED, clone, thread,
        call("close", 3, at=2.2, tid=PID + 5, pid=PID + 5),
        call("chdir", 0x7000, at=2.3, tid=PID + 5, pid=PID + 5, blobs={0: path(b"..")}),
        call("fsync", 3, at=2.4, tid=PID + 5, pid=PID + 5), call("fsync", 3, at=2.5, tid=PID + 6),
        call("close", 3, at=2.6, tid=PID + 6), call("fsync", 3, at=2.7),
        call("openat", FD_CWD, 0x7000, 0, result=-2, at=2.8, tid=PID + 5, pid=PID + 5, blobs={1: path(b"x")}),
    ]  # fmt: skip
    found = [" ".join(each.split()) for each in lines(records)[3:]]
    assert found == [
        "close(3</repo/data>) = 0", 'chdir("..") = 0', "fsync(3) = 0", "fsync(3</repo/data>) = 0",
        "close(3</repo/data>) = 0", "fsync(3) = 0",
        'openat(AT_FDCWD</>, "x", O_RDONLY) = -1 ENOENT (No such file or directory)',
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["flags", "no flags"])
def test_a_task_of_clone3(known: bool) -> None:
    """Where the flags were not read, a thread shares and a process does not: which it is, its first record tells."""
    blobs = {0: Blob(BlobKind.BYTES_IN, (0x10F00).to_bytes(8, "little"))} if known else {}
    thread = call("clone3", 0x7000, 88, result=PID + 6, at=2.0, blobs=blobs)
    blobs = {0: Blob(BlobKind.BYTES_IN, bytes(8))} if known else {}
    child = call("clone3", 0x7000, 88, result=PID + 7, at=2.1, blobs=blobs)
    records = [
        OPENED, thread, child, call("fsync", 3, at=2.15, tid=PID + 7, pid=PID + 7),
        call("close", 3, at=2.2, tid=PID + 6), call("fsync", 3, at=2.3),
        call("fsync", 3, at=2.4, tid=PID + 7, pid=PID + 7),
    ]  # fmt: skip
    assert [" ".join(each.split()) for each in lines(records)[3:]] == [
        "fsync(3</repo/data>) = 0", "close(3</repo/data>) = 0", "fsync(3) = 0", "fsync(3</repo/data>) = 0",
    ]  # fmt: skip


def test_a_child_that_is_recorded_before_its_clone_returns() -> None:
    """As after vfork(2)."""
    closing = call("close", 3, at=2.1, tid=PID + 5, pid=PID + 5)
    vfork = call("vfork", result=PID + 5, at=2.0, took=150_000_000)
    assert lines([OPENED, closing, vfork])[2] == "close(3</repo/data>)                    = 0"


def test_an_execve_closes_what_is_to_be_closed() -> None:
    hidden = call("openat", FD_CWD, 0x7000, 0o2000000, result=4, at=1.1, blobs={1: path(b"hidden")})
    marked = call("fcntl", 3, 2, 1, at=1.2)
    unmarked = call("dup", 3, result=5, at=1.3)
    execve = call("execve", 0x7000, 0x7000, 0x7000, at=2.0, blobs={0: path(b"/bin/true")}, tid=PID)
    records = [OPENED, hidden, marked, unmarked, execve, *(call("fsync", number, at=3.0) for number in (3, 4, 5))]
    found = [" ".join(each.split()) for each in lines(records)[4:]]
    assert found == [
        'execve("/bin/true", [...], 0x7000) = 0', "fsync(3) = 0", "fsync(4) = 0", "fsync(5</repo/data>) = 0",
    ]  # fmt: skip


def test_a_mark_of_a_child_is_its_own() -> None:
    fork = call("fork", result=PID + 5, at=2.0)
    marked = call("fcntl", 3, 2, 1, at=2.1, tid=PID + 5, pid=PID + 5)
    execve = call("execve", 0x7000, 0x7000, 0x7000, at=2.2, blobs={0: path(b"/bin/true")})
    assert lines([OPENED, fork, marked, execve, call("fsync", 3, at=3.0)])[-1].startswith("fsync(3</repo/data>)")


def test_what_is_unknown_is_a_number() -> None:
    assert line(msgspec.structs.replace(call("read", result=5), args=())) == "read(...) = 5"
    assert line(call("openat", FD_CWD, 0x7000, 0, result=3, blobs={1: Blob(BlobKind.PATH, b"", unread=True)})) == (
        "openat(AT_FDCWD</repo>, 0x7000, O_RDONLY) = 3"
    )
    assert line(call("futex_wait", 3, 1, 0, 0, 0, 0)) == "futex_wait(0x3, 0x1, 0, 0, 0, 0) = 0"
    assert line(call("openat", FD_CWD, 0x7000, 0, result=3, abi="i386", blobs={1: path(b"x")})).startswith(
        "openat(0xff"
    )
    unheard = Record(
        kind=RecordKind.CALL, sequence=0, cpu=0, tid=1, pid=1, abi="x86_64", number=4444, args=(1, 0), result=0
    )
    assert line(unheard) == "syscall_0x115c(0x1, 0) = 0"


def test_the_words_of_an_execve() -> None:
    """Its arguments are gone when it has succeeded."""
    blobs = {0: path(b"/bin/sh"), 1: Blob(BlobKind.WORDS, b"sh\0-c\0exit 3\0")}
    done = msgspec.structs.replace(call("execve", blobs=blobs), args=())
    assert line(done) == 'execve("/bin/sh", ["sh", "-c", "exit 3"], [...]) = 0'
    cut = msgspec.structs.replace(done, blobs=blobs | {1: Blob(BlobKind.WORDS, b"a\0b", cut=True)})
    assert line(cut) == 'execve("/bin/sh", ["a", "b", ...], [...]) = 0'
    assert line(done, LineOptions(stamp="", durations=False, pids=False, words=False)) == (
        'execve("/bin/sh", [...], [...]) = 0'
    )
    failing = call("execve", 0x7000, 0x7000, 0x7000, result=-2, blobs={0: path(b"/x")})
    assert line(failing) == 'execve("/x", [...], 0x7000) = -1 ENOENT (No such file or directory)'


def test_a_report_counts_what_was_lost(tmp_path: Path) -> None:
    lost = msgspec.structs.replace(call("getpid"), kind=RecordKind.LOST, result=70, abi="", number=0)
    text = TextLines(facts())
    file = tmp_path / "t.strace"
    file.write_bytes(b"".join(text.feed(each) for each in (OPENED, lost, OPENED)) + text.flush())
    made = report(file)
    assert (made.summary.quality.kind, made.summary.quality.lost) == ("lossy", 70)
    assert {row.name: row.calls for row in made.summary.rows} == {"openat": 2}


def test_constants_are_those_of_the_machine() -> None:
    """O_DIRECTORY and O_LARGEFILE have other values on arm64."""
    record = call("openat", FD_CWD, 0x7000, 0o40000 | 0o400000, result=-2, abi="arm64", blobs={1: path(b"x")})
    assert "O_RDONLY|O_LARGEFILE|O_DIRECTORY)" in line(record)
    assert "O_RDONLY|O_DIRECT|O_NOFOLLOW)" in line(call("openat", *record.args, result=-2, blobs=record.blobs))


def test_quoting() -> None:
    cut = Blob(BlobKind.PATH, b'\x1b[31m\x001\xff"\\\n', cut=True)
    assert line(call("chdir", 0x7000, result=-2, blobs={0: cut})).startswith(
        'chdir("\\33[31m\\0001\\377\\"\\\\\\n"...) ='
    )


def test_lines_come_by_their_starts_and_soon() -> None:
    """A call that took longer than the window comes late, and no record is kept for long."""
    text = TextLines(facts(), LineOptions(stamp="ttt", durations=False, pids=False))
    slow = call("pause", result=-514, at=0.1, took=5_000_000_000)
    found = b""
    for place in range(2 * BATCH):
        found += text.feed(call("getpid", result=PID, at=1 + place / 1000))
        assert len(text.held) <= BATCH
    assert found.count(b"\n") >= BATCH
    found += text.feed(slow) + text.flush()
    stamps = [float(each.split()[0]) for each in found.decode().splitlines() if b"pause" not in each.encode()]
    assert len(stamps) == 2 * BATCH
    assert stamps == sorted(stamps)


def test_secrets_are_hidden_where_that_is_asked_for() -> None:
    blobs = {0: path(b"/bin/x"), 1: Blob(BlobKind.WORDS, b"x\0--token=hunter2\0")}
    done = msgspec.structs.replace(call("execve", blobs=blobs), args=())
    options = LineOptions(stamp="", durations=False, pids=False, redacted=True)
    assert line(done, options) == 'execve("/bin/x", ["x", "--token=***"], [...]) = 0'
    assert "hunter2" in line(done)


def test_a_report_has_times_to_the_nanosecond(tmp_path: Path) -> None:
    text = TextLines(facts(), LineOptions(stamp="ttt", nanoseconds=True))
    file = tmp_path / "t.strace"
    file.write_bytes(b"".join(text.feed(call("getpid", at=1.0, took=123)) for _ in range(10)) + text.flush())
    assert [row.wall_ns for row in report(file).summary.rows] == [1230]


def test_a_report_of_lines_that_come_late_is_exact(tmp_path: Path) -> None:
    slow = call("read", 0, 0x7000, 10, result=3, at=0.9, took=2 * SECOND)
    quick = [call("getpid", result=PID, at=1 + place / 1000) for place in range(2500)]
    text = TextLines(facts())
    file = tmp_path / "t.strace"
    file.write_bytes(b"".join(text.feed(each) for each in sorted([slow, *quick], key=lambda each: each.end_ns)))
    with file.open("ab") as rest:
        rest.write(text.flush())
    assert "read" not in file.read_text().splitlines()[0]
    made = report(file)
    assert made.summary.quality.kind == "exact"
    assert {row.name: row.calls for row in made.summary.rows} == {"getpid": 2500, "read": 1}


def test_nothing_is_held_back_when_nothing_comes() -> None:
    text = TextLines(facts(), PLAIN)
    assert text.feed(call("getpid", at=1.0)) == b""
    assert text.ready(SECOND + 1000) == b""
    assert text.ready(2 * SECOND).count(b"\n") == 1
    assert (text.ready(3 * SECOND), text.flush()) == (b"", b"")


@pytest.mark.parametrize("abi", ["x86_64", "arm64"])
def test_each_call_is_printed_whatever_its_arguments_are(abi: str) -> None:
    """Nothing in a damaged file raises."""
    text = TextLines(facts(), PLAIN)
    for name in sorted(SIGNATURES.keys() | WHOLE.keys()):
        number = number_of(name, abi)
        if name in SIGNATURES:
            assert len(words_of(name)) <= plan_of(name).nargs, name
        for value in (0, 5, (1 << 64) - 1, 0x7FFC_0000_0000):
            for result in (0, 7, -14, -512, None) if number is not None else ():
                record = call(name, *(value,) * plan_of(name).nargs, result=result, abi=abi)
                assert text.line(record).startswith(f"{name}("), name
                assert text.line(msgspec.structs.replace(record, args=())).startswith(f"{name}("), name


def test_a_call_of_no_known_abi_is_printed_by_its_number() -> None:
    text = TextLines(facts(), PLAIN)
    record = msgspec.structs.replace(call("openat", 1, 2, result=-2), abi="")
    assert text.line(record).startswith("syscall_0x101(0x1, 0x2, 0, 0)")
    assert "= -1 ENOENT" in text.line(record)
