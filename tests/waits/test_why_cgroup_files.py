"""Version 2 of cgroups, on machines that have version 1: the same files with other names, staged as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.waits.facts.proc import ProcReader
from straced.waits.limits import cpu, io, memory, oom, tasks
from straced.waits.limits.window import HostWindow

PID = 4242
_STAT = "4242 (app) S 1 4242 4242 0 -1 0 0 0 {faults} 0 5 5 0 0 20 0 1 0 100 0 0\n"


class Host:
    """A /proc and a hierarchy of version 2, with one process in /app/inner."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.group = directory / "cgroup" / "app" / "inner"
        self.group.mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / str(PID)).mkdir()
        mount = f"30 25 0:26 / {directory}/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
        (self.proc / "self" / "mountinfo").write_text(mount)
        (self.proc / str(PID) / "cgroup").write_text("0::/app/inner\n")
        (self.proc / str(PID) / "status").write_text("Name:\tapp\nVmSwap:\t    2048 kB\nCpus_allowed_list:\t0-1\n")
        self.faults(0)
        self.cpus((100, 100), (100, 100))
        self.swapped_in(0)

    def faults(self, count: int) -> None:
        (self.proc / str(PID) / "stat").write_text(_STAT.format(faults=count))

    def cpus(self, *ticks: tuple[int, int]) -> None:
        lines = [f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number, (busy, idle) in enumerate(ticks)]
        (self.proc / "stat").write_text("\n".join(lines) + "\n")

    def swapped_in(self, pages: int) -> None:
        (self.proc / "vmstat").write_text(f"pgpgin 4\npswpin {pages}\n")

    def write(self, file: str, text: str, *, above: bool = False) -> None:
        ((self.group.parent if above else self.group) / file).write_text(text)

    def window(self) -> HostWindow:
        return HostWindow(ProcReader(str(self.proc)), [PID])

    @property
    def reader(self) -> ProcReader:
        return ProcReader(str(self.proc))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _closed(window: HostWindow) -> HostWindow:
    window.close()
    window.window_ns = 10**9
    return window


def test_a_quota_of_the_group_above(host: Host) -> None:
    host.write("cpu.max", "max 100000\n")
    host.write("cpu.stat", "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
    host.write("cpu.max", "20000 100000\n", above=True)
    host.write("cpu.stat", "usage_usec 5\nnr_periods 100\nnr_throttled 7\nthrottled_usec 0\n", above=True)
    window = host.window()
    host.write("cpu.stat", "usage_usec 9\nnr_periods 110\nnr_throttled 16\nthrottled_usec 800000\n", above=True)
    found = cpu.quota(_closed(window), host.reader, PID, 0.8)
    assert found is not None
    assert found.acted
    assert found.path == str(host.group.parent / "cpu.stat")
    assert found.text == "the CPU quota of its cgroup /app (20 ms in each 100 ms) was used up in 9 of 10 periods"


@pytest.mark.parametrize(("throttled", "starved"), [(9, 0.0), (1, 0.8)])
def test_a_quota_that_others_use_up(throttled: int, starved: float, host: Host) -> None:
    """Used up in one period of twenty, or by others while this one wanted nothing: it held nobody back."""
    host.write("cpu.stat", "nr_periods 0\nnr_throttled 0\n")
    window = host.window()
    host.write("cpu.stat", f"nr_periods 20\nnr_throttled {throttled}\n")
    found = cpu.quota(_closed(window), host.reader, PID, starved)
    assert found is not None
    assert not found.acted


@pytest.mark.parametrize(("busy", "says"), [(90, "others use them"), (10, "though they were idle 90 % of it")])
def test_who_has_the_cpus(busy: int, says: str, host: Host) -> None:
    window = host.window()
    host.cpus((100 + busy, 200 - busy), (100 + busy, 200 - busy))
    assert cpu.who_has_the_cpus(_closed(window), host.reader, PID) == says


def test_a_window_too_short_to_say_who_has_the_cpus(host: Host) -> None:
    assert cpu.who_has_the_cpus(_closed(host.window()), host.reader, PID) == ""


@pytest.mark.parametrize(("name", "event"), [("memory.max", "max"), ("memory.high", "high")])
@pytest.mark.parametrize("stalled_us", [0, 450_000])
def test_memory_that_is_used_up(name: str, event: str, stalled_us: int, host: Host) -> None:
    for file in ("memory.max", "memory.high"):
        host.write(file, "max\n")
    host.write(name, "50000000\n")
    host.write("memory.current", "49999000\n")
    host.write("memory.events", "low 0\nhigh 3\nmax 3\noom 0\noom_kill 0\n")
    host.write("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\nfull avg10=0 total=500\n")
    window = host.window()
    host.write("memory.events", f"low 0\nhigh 3\nmax 3\n{event} 126\noom 0\noom_kill 0\n")
    host.write("memory.pressure", f"some avg10=1.00 avg60=0.00 avg300=0.00 total={1000 + stalled_us}\n")
    (found,) = memory.limits(_closed(window), host.reader, PID)
    assert found.kind == name.replace(".", "_")
    assert found.path == str(host.group / "memory.events")
    assert found.text.startswith(
        f"its cgroup /app/inner has 50.0 MB of 50.0 MB ({name}), came to it 123 times in 1.0 s"
    )
    assert ("waited for memory 450 ms of that" in found.text) == found.acted == bool(stalled_us)


def test_memory_that_is_free(host: Host) -> None:
    for file, text in (("memory.max", "50000000"), ("memory.high", "max"), ("memory.current", "20000000")):
        host.write(file, text)
    host.write("memory.events", "high 0\nmax 9\noom_kill 0\n")
    assert list(memory.limits(_closed(host.window()), host.reader, PID)) == []


def test_pages_from_swap(host: Host) -> None:
    window = host.window()
    host.faults(900)
    host.swapped_in(900)
    found = memory.swapped_in(_closed(window), host.reader, PID)
    assert found is not None
    assert found.text == "it waited for 900 pages in 1.0 s, from swap, where 2.1 MB of it are"


def test_pages_from_files_are_none_of_swap(host: Host) -> None:
    window = host.window()
    host.faults(900)
    assert memory.swapped_in(_closed(window), host.reader, PID) is None


def test_no_further_task(host: Host) -> None:
    host.write("pids.max", "10\n")
    host.write("pids.current", "10\n")
    host.write("pids.events", "max 4\n")
    window = host.window()
    host.write("pids.events", "max 9\n")
    (found,) = tasks.of_groups(_closed(window), host.reader, PID)
    assert found.text == "its cgroup /app/inner has 10 of 10 tasks (pids.max); 5 more were refused in 1.0 s"
    assert found.acted


def test_the_bandwidth_of_a_disk(host: Host) -> None:
    host.write("io.max", "9999:0 rbps=1000000 wbps=max riops=max wiops=100\n9999:1 rbps=5000000 wbps=max\n")
    host.write("io.stat", "9999:0 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n")
    window = host.window()
    host.write("io.stat", "9999:0 rbytes=990000 wbytes=99000000 rios=9 wios=20 dbytes=0 dios=0\n")
    (found,) = io.limits(_closed(window), host.reader, PID)
    assert found.text == "its cgroup /app/inner reads 990.0 kB a second of device 9999:0, and may 1.0 MB"
    assert found.path == str(host.group / "io.max")


def test_earlier_kills_are_told_but_did_not_act_now(host: Host) -> None:
    host.write("memory.events", "oom 2\noom_kill 2\n")
    (found,) = oom.limits(_closed(host.window()), host.reader, PID)
    assert (found.acted, found.path) == (False, str(host.group / "memory.events"))
    assert found.text == "the OOM killer has ended 2 processes of its cgroup /app/inner"


def test_a_host_without_cgroups(host: Host) -> None:
    (host.proc / str(PID) / "cgroup").unlink()
    window = _closed(host.window())
    assert cpu.quota(window, host.reader, PID, 1.0) is None
    assert list(memory.limits(window, host.reader, PID)) == []


RECORDS = (
    (6, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/app,task_memcg=/app/x,"
        "task=a,pid=1,uid=0,pid=4242,uid=0"),
    (3, "Memory cgroup out of memory: Killed process 4242 (a) total-vm:9kB, anon-rss:48828kB, file-rss:0kB"),
    (3, "Memory cgroup out of memory: Killed process 4243 (b) total-vm:9kB, anon-rss:5kB, file-rss:0kB"),
    (3, "Out of memory: Killed process 4245 (c) total-vm:9kB, anon-rss:5kB, file-rss:0kB"),
    (11, "Out of memory: Killed process 4244 (forged) total-vm:9kB, anon-rss:5kB, file-rss:0kB"),
)  # fmt: skip


def test_the_kernel_log() -> None:
    """What a program wrote there has a facility of its own."""
    written = enumerate(RECORDS)
    found = oom.kills_in(f"{priority},{n},{n + 5},-;{text}\n SUBSYSTEM=x\n".encode() for n, (priority, text) in written)
    assert found[4242] == oom.OomKill(
        pid=4242,
        monotonic_ns=6000,
        anon_bytes=48828 << 10,
        group="/app",
        comm="a",
        task_group="/app/x",
        of_group=True,
    )
    causes = {pid: oom.cause(kill).partition(",")[0] for pid, kill in found.items()}
    assert causes == {
        4242: "its cgroup /app had reached its memory limit",
        4243: "its cgroup had reached its memory limit",
        4245: "the machine had no memory left",
    }
