"""A second look at a trace: tasks over time, the longest calls, the lines of findings; and the flame graph.

Of `traces/report/closeup.py`, `traces/report/lanes.py` and `traces/report/flame.py`.
"""

from __future__ import annotations

from pathlib import Path

from straced.traces.parsing.line_format import Form
from straced.traces.parsing.selection import TraceSelection
from straced.traces.report.build import build
from straced.traces.report.closeup import look_closer
from straced.traces.report.flame import pruned
from straced.traces.report.lanes import MOST_LANES, MOST_LONG, LaneCounter
from straced.traces.report.load import load_reading
from straced.traces.report.request import ReportRequest
from straced.traces.values import LANE_CLASSES, CloseUp, FlameNode, TraceReport

MS = 10**6
WAIT, FILE = LANE_CLASSES.index("wait"), LANE_CLASSES.index("file")
TRACE = """\
10 1790000000.000000 execve("/usr/bin/make", ["make", "-j2"], 0x7ffd /* 9 vars */) = 0 <0.000500>
10 1790000000.100000 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 11 <0.000100>
11 1790000000.110000 execve("/usr/bin/cc", ["cc", "a.c"], 0x7ffd /* 9 vars */) = 0 <0.000500>
11 1790000000.200000 read(3</tmp/a.c>, "x", 1) = 1 <0.100000>
11 1790000000.300000 openat(AT_FDCWD, "/no/such", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000200>
10 1790000000.310000 wait4(-1,  <unfinished ...>
11 1790000000.800000 exit_group(0) = ?
11 1790000000.800100 +++ exited with 0 +++
10 1790000000.800200 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 11 <0.490200>
10 1790000000.810000 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_uid=0, si_status=0} ---
10 1790000000.850000 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 12 <0.000100>
12 1790000000.860000 execve("/usr/bin/cc", ["cc", "b.c"], 0x7ffd /* 9 vars */) = 0 <0.000500>
12 1790000000.900000 read(3</tmp/b.c>, "x", 1) = 1 <0.050000>
12 1790000000.960000 +++ exited with 0 +++
10 1790000001.000000 +++ exited with 0 +++
"""


def looked(path: Path, text: str | bytes = TRACE, **request: object) -> tuple[TraceReport, CloseUp]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    asked = ReportRequest(file=str(path), **request)  # type: ignore[arg-type]
    reading = load_reading(asked)
    report = build(reading)
    closeup = look_closer(asked, reading, report)
    assert closeup is not None
    return report, closeup


def test_a_call_stands_in_the_steps_that_it_lasted(tmp_path: Path) -> None:
    _report, found = looked(tmp_path / "t")
    assert found.steps * found.step_ns >= 1000 * MS
    make, cc, last = found.lanes
    assert [(lane.tid, lane.calls) for lane in found.lanes] == [(10, 4), (11, 3), (12, 2)]
    assert found.calls == 9  # exit_group never returned
    step_ns = found.step_ns
    reading = {step: cell[FILE] for step, cell in cc.steps.items() if cell[FILE]}
    assert sum(reading.values()) == round(100.2 * MS)
    assert all(value <= step_ns for value in reading.values())
    inside = range(200 * MS // step_ns + 1, 300 * MS // step_ns)
    assert all(reading[step] == step_ns for step in inside)
    waited = {step: cell[WAIT] for step, cell in make.steps.items() if cell[WAIT]}
    assert sum(waited.values()) == round(490.2 * MS)
    assert min(waited) == 310 * MS // step_ns  # where it began, which its second half does not say
    assert max(waited) == round(800.2 * MS) // step_ns
    assert sum(map(sum, last.steps.values())) == round(50.5 * MS)


def test_the_longest_calls_have_their_lines(tmp_path: Path) -> None:
    _report, found = looked(tmp_path / "t")
    by_name = {(call.tid, call.name): call for call in found.long_calls}
    wait = by_name[10, "wait4"]
    assert (wait.start_ns, wait.duration_ns, wait.line) == (310 * MS, round(490.2 * MS), 9)
    read = by_name[12, "read"]
    assert (read.start_ns, read.duration_ns, read.line) == (900 * MS, 50 * MS, 13)
    assert [call.start_ns for call in found.long_calls] == sorted(call.start_ns for call in found.long_calls)


def test_as_many_long_calls_as_there_is_room_for_and_the_longest(tmp_path: Path) -> None:
    form = Form(pid="plain", clock="epoch", clock_digits=6, durations=True)
    counter = LaneCounter(form, 0, 10**10)
    lines = b"".join(b"%d %d.000000 read(0) = 1 <%d.%06d>\n" % (1 + n % 300, n % 9, n % 2, n) for n in range(9000))
    waits = b"".join(b"1 %d.000000 poll(0) = 1 <1.%06d>\n" % (n % 9, n) for n in range(50))
    for number in range(0, 9000, 1000):
        start = b"\n".join(lines.split(b"\n")[number : number + 1000])
        counter.feed(b"\n" + start + b"\n", number + 1)
    counter.feed(b"\n" + waits, 9001)
    calls = counter.long_calls(int)
    assert len(calls) == MOST_LONG + 50
    reads = [call for call in calls if call.name == "read"]
    assert min(call.duration_ns for call in reads) == 10**9 + (9000 - 2 * MOST_LONG + 1) * 1000
    assert all(call.line == call.duration_ns % 10**9 // 1000 + 1 for call in reads)
    lanes, hidden = counter.lanes(int)
    assert (len(lanes), hidden) == (MOST_LANES, 300 - MOST_LANES)
    assert counter.calls == 9050


def test_clocks_over_midnight_and_traces_without_durations(tmp_path: Path) -> None:
    text = "".join(
        f"5 {clock} read(3, 4) = 1\n"
        for clock in ("23:59:58.000000", "23:59:59.500000", "00:00:01.000000", "00:00:02.000000")
    )
    _report, found = looked(tmp_path / "t", text)
    (lane,) = found.lanes
    assert lane.calls == 4
    places = {step * found.step_ns / 1e9: cell[FILE] for step, cell in lane.steps.items()}
    assert sorted(places.values()) == [1, 1, 1, 1]
    assert all(any(abs(place - wanted) <= found.step_ns / 1e9 for wanted in (0.0, 1.5, 3.0, 4.0)) for place in places)
    assert found.long_calls == ()
    assert look_at_relative(tmp_path).lanes == ()


def look_at_relative(folder: Path) -> CloseUp:
    return looked(folder / "r", "     0.000000 read(3, 4) = 1 <0.1>\n     0.200000 read(3, 4) = 1 <0.1>\n")[1]


def test_a_selection_is_in_the_lanes_too(tmp_path: Path) -> None:
    _report, found = looked(tmp_path / "t", selection=TraceSelection(pids=frozenset({12})))
    assert [lane.tid for lane in found.lanes] == [12]
    assert found.calls == 2
    assert [(call.name, call.line) for call in found.long_calls] == [("execve", 12), ("read", 13)]


def test_lines_of_findings_with_those_around_them(tmp_path: Path) -> None:
    lines = [
        f'7 1790000000.{n:06d} openat(AT_FDCWD, "/opt/x.so", O_RDONLY) = -1 ENOENT (No such) <0.000100>'
        for n in range(400)
    ]
    lines.insert(0, "7 1790000000.000000 getpid() = 7 <0.000001>")
    report, found = looked(tmp_path / "t", "\n".join(lines) + "\n")
    (finding, *_) = report.findings
    assert set(range(1, finding.lines[0] + 4)) <= found.lines.keys()
    assert all(text == lines[number - 1] for number, text in found.lines.items())
    hostile = [line.replace("/opt", "/\x1b[31m‮") for line in lines]
    _, found = looked(tmp_path / "h", "\n".join(hostile) + "\n")
    assert found.lines
    assert not any("\x1b" in text or "‮" in text for text in found.lines.values())


def test_a_pipe_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(TRACE)
    reading = load_reading(ReportRequest(file=str(path)))
    assert look_closer(ReportRequest(file="-"), reading, build(reading)) is None


def boxes(node: FlameNode) -> list[FlameNode]:
    return [node, *(below for each in node.below for below in boxes(each))]


def below(node: FlameNode, name: str) -> FlameNode:
    return next(each for each in node.below if each.name == name)


def test_children_stand_below_who_started_them(tmp_path: Path) -> None:
    report, _found = looked(tmp_path / "t")
    root = report.flame
    assert root is not None
    assert (root.calls, root.errors, root.ns) == (
        report.summary.total.calls, report.summary.total.errors, report.summary.total.wall_ns,
    )  # fmt: skip
    make = below(root, "make")
    cc = below(make, "cc")
    assert (make.processes, cc.processes) == (1, 2)  # both compilers are one box
    assert below(cc, "read").ns == 150 * MS
    assert below(cc, "read").calls == 2
    assert {(path.name, path.ns) for path in below(cc, "read").below} == {("/tmp/a.c", 100 * MS), ("/tmp/b.c", 50 * MS)}
    opened = below(cc, "openat")
    assert [(each.name, each.errors) for each in opened.below if each.kind == "errno"] == [("ENOENT", 1)]
    assert below(make, "wait4").ns == round(490.2 * MS)
    for node in boxes(root):
        if node.kind == "program":
            assert node.ns == sum(each.ns or 0 for each in node.below)
            assert node.calls == sum(each.calls or 0 for each in node.below)
        elif node.kind == "call":
            assert sum(each.ns or 0 for each in node.below) <= (node.ns or 0)
            assert sum(each.calls or 0 for each in node.below) <= (node.calls or 0)


def test_what_nobody_can_see_is_left_out_and_still_in_the_sums() -> None:
    small = tuple(FlameNode(name=f"c{n}", kind="call", calls=1, errors=0, ns=1) for n in range(50))
    large = FlameNode(name="read", kind="call", calls=10**6, errors=0, ns=10**9)
    failing = FlameNode(name="stat", kind="call", calls=1, errors=5, ns=1)
    waits = FlameNode(name="wait4", kind="call", calls=1, errors=0, ns=10**15)
    program = FlameNode(name="p", kind="program", calls=1, errors=5, ns=10**15, below=(waits, large, failing, *small))
    root = FlameNode(name="all", kind="program", calls=10**6 + 52, errors=5, ns=2 * 10**15, below=(program,))
    kept = pruned(root)
    assert [each.name for each in kept.below[0].below] == ["wait4", "read", "stat"]  # a long wait hides nobody
    assert (kept.calls, kept.below[0].ns) == (root.calls, program.ns)


def test_a_long_chain_of_parents_is_no_deep_tree(tmp_path: Path) -> None:
    depth = 3000
    text = "".join(
        f"{pid} 179000{pid}.000000 clone({{}}) = {pid + 1} <0.000100>\n{pid + 1} 179000{pid}.000001 "
        f'execve("/bin/p{pid}", ["p"], 0x7 /* 1 var */) = 0 <0.000100>\n'
        for pid in range(1000, 1000 + depth)
    )
    report, _ = looked(tmp_path / "t", text)
    assert report.flame is not None
    assert report.flame.calls == 2 * depth
    pruned(report.flame)
