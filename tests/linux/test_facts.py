"""Facts of processes and of the host, with psutil as the second opinion."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from straced.linux import gpu, procfs
from straced.linux.host_reader import HostCollector, census
from straced.linux.process_reader import ProcessCollector
from straced.model.facts import HostFacts
from straced.text.sanitize import scrub
from tests.service.processes import READY, running
from tests.support.poll import until

SPIN = READY + "import threading\nwhile True: pass"


def test_agrees_with_psutil() -> None:
    code = (
        "import threading, time, sys\n"
        "for _ in range(3): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "kept = [open('/dev/null') for _ in range(17)]\n" + READY + "sys.stdin.read()"
    )
    with running(code) as process:
        until(lambda: procfs.stat(process.pid).state == "S", 10)
        facts = ProcessCollector().read(process.pid)
        other = psutil.Process(process.pid)
        assert facts is not None
        assert facts.ppid == os.getpid() == other.ppid()
        assert facts.uid == other.uids().real
        assert facts.comm == other.name()
        assert list(facts.cmdline) == [scrub(word) for word in other.cmdline()]
        assert facts.exe == other.exe()
        assert facts.threads == 4 == other.num_threads()
        assert facts.fds == other.num_fds()
        assert facts.fd_limit == other.rlimit(psutil.RLIMIT_NOFILE)[0]
        assert facts.vms_bytes == other.memory_info().vms
        assert facts.rss_bytes == pytest.approx(other.memory_info().rss, rel=0.1)
        assert facts.cpu_ns / 1e9 == pytest.approx(sum(other.cpu_times()[:2]), abs=0.05)
        assert facts.start_time == pytest.approx(other.create_time(), abs=1.1)
        assert facts.state == "S"
        mine = [Path(f"/proc/{process.pid}/task/{tid}/status").read_text() for tid in procfs.tasks(process.pid)]
        voluntary = sum(int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in mine)
        assert facts.voluntary_switches is not None
        assert 0 < facts.voluntary_switches <= voluntary


def test_a_line_of_a_status_file_that_was_cut_is_not_half_of_it() -> None:
    text = b"Name:\tUid:\nUid:\t1000\t1000\t1000\t1000\nCapPrm:\t00000000"
    assert procfs.status_line(text, b"Uid").split() == [b"1000"] * 4
    for name in (b"CapPrm", b"Name:", b"Gid"):
        with pytest.raises(KeyError):
            procfs.status_line(text, name)
    with pytest.raises(procfs.Gone):
        procfs.started(b"7 (a) b) S 1 2 3")


def test_cpu_share_needs_two_readings_of_one_process() -> None:
    now = [10**9]
    with running(SPIN) as process:
        collector = ProcessCollector(clock_ns=lambda: now[0])
        first = collector.read(process.pid)
        assert first is not None
        assert first.cpu_pct is None
        until(lambda: sum(psutil.Process(process.pid).cpu_times()[:2]) * 1e9 >= first.cpu_ns + 3e8, 10)
        now[0] += 10**9
        second = collector.read(process.pid)
        assert second is not None
        assert second.cpu_pct == pytest.approx((second.cpu_ns - first.cpu_ns) / 1e7)
        assert second.cpu_pct >= 30


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    """The second process of one number gets neither the name nor the CPU share of the first."""
    now = [10**9]

    def pretend(start: int, ticks: int, name: str) -> None:
        folder = tmp_path / "77"
        folder.mkdir(exist_ok=True)
        fields = ["S", "1", "77", "77", "0", "-1", "0", "0", "0", "0", "0", str(ticks), "0", "0", "0", "20", "0", "1"]
        (folder / "stat").write_text(f"77 ({name}) " + " ".join([*fields, "0", str(start), "4096", "3"]))
        status = f"Name:\t{name}\nUid:\t5\t5\t5\t5\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n"
        (folder / "status").write_text(status)
        (folder / "cmdline").write_bytes(name.encode() + b"\0")

    collector = ProcessCollector(clock_ns=lambda: now[0], root=str(tmp_path))
    pretend(1000, 500, "first")
    assert collector.read(77).comm == "first"  # type: ignore[union-attr]
    now[0] += 10**9
    pretend(2000, 9000, "second")
    facts = collector.read(77)
    assert facts is not None
    assert (facts.comm, facts.start_ticks, facts.cpu_pct, facts.cmdline) == ("second", 2000, None, ("second",))
    assert (facts.voluntary_switches, facts.involuntary_switches, facts.uid) == (7, 8, 5)
    assert collector.read(77, start_ticks=1000) is None


def test_a_hostile_name_is_one_name() -> None:
    code = "import ctypes\nctypes.CDLL(None).prctl(15, b'\\x1b[31m) R 1\\n')\n" + READY + "sys.stdin.read()"
    with running(code) as process:
        facts = ProcessCollector().read(process.pid)
    assert facts is not None
    assert facts.comm == "\\x1b[31m) R 1\\x0a"
    assert facts.ppid == os.getpid()


def test_an_exec_is_seen_at_once() -> None:
    code = READY + "sys.stdin.readline(); os.execv('/bin/sleep', ['sleep', '1000'])"
    collector = ProcessCollector(slow_s=1000)
    with running(code) as process:
        assert collector.read(process.pid).comm.startswith("python")  # type: ignore[union-attr]
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        until(lambda: psutil.Process(process.pid).name() == "sleep", 10)
        until(lambda: collector.read(process.pid).cmdline == ("sleep", "1000"), 10)  # type: ignore[union-attr]


def test_the_stat_file_of_one_that_only_waits_is_kept_open() -> None:
    """Its text is the same each time; most processes of a host are such."""

    def opened() -> list[str]:
        found = []
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # the one that lists them
                found.append(os.readlink(f"/proc/self/fd/{fd}"))
        return found

    collector = ProcessCollector()
    with running() as process:
        stat = f"/proc/{process.pid}/stat"
        until(lambda: collector.read(process.pid).state == "S", 10)  # type: ignore[union-attr]
        before = Path(stat).read_bytes()
        until(lambda: collector.read(process.pid) and stat in opened(), 10, lambda: f"{before!r}: {opened()}")
        collector.close()
        assert stat not in opened()


def test_gone_stopped_and_ended() -> None:
    collector = ProcessCollector()
    with running() as process:
        process.send_signal(signal.SIGSTOP)
        until(lambda: collector.read(process.pid).state == "T", 10)  # type: ignore[union-attr]
        pid = process.pid
    assert collector.read(pid) is None
    assert collector.read_all([pid]) == {}


def _busy(facts: HostFacts) -> HostFacts | None:
    return facts if (facts.cpu_pct or 0) > 10 else None


def _between_changes_of_load(host: HostCollector) -> tuple[tuple[float, float, float], HostFacts] | None:
    before, facts = psutil.getloadavg(), host.read()
    return (before, facts) if psutil.getloadavg() == before else None


def test_the_host() -> None:
    host = HostCollector()
    assert host.read().cpu_pct is None
    with running(SPIN):
        zombie = subprocess.Popen(["/bin/true"])
        until(lambda: procfs.stat(zombie.pid).state == "Z", 10)
        processes, zombies = census()
        facts = until(lambda: _busy(host.read(zombies, processes)), 20, "a share of one CPU is seen", pause_s=0.3)
        assert zombies >= 1
        zombie.wait()
    memory = psutil.virtual_memory()
    assert facts.memory_total_bytes == memory.total
    assert facts.memory_available_bytes == pytest.approx(memory.available, rel=0.1)
    assert facts.swap_total_bytes == psutil.swap_memory().total
    assert facts.cpus == psutil.cpu_count()
    assert facts.cpu_pct is not None
    assert facts.cpu_pct <= 100
    same = until(lambda: _between_changes_of_load(host), what="the load, which changes every 5 s, stays")
    assert same is not None
    assert same[1].load == pytest.approx(same[0], abs=0.01)
    assert facts.own.rss_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
    if Path("/proc/pressure/cpu").exists():
        assert facts.cpu_pressure is not None
        assert 0 <= facts.cpu_pressure.some_pct <= 100


def test_gpu_tables_and_a_program_that_answers(tmp_path: Path) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text(
        "#!/bin/sh\ncase $1 in *compute-apps*) echo '4242, 512, GPU-a';;"
        " *) echo '0, Tesla T4, 37, 1024, 15360, GPU-a'; echo '1, X, [N/A], [N/A], 16, GPU-b';; esac\n"
    )
    fake.chmod(0o755)
    asked = gpu.Gpus(str(fake))
    asked.ask()
    threads = threading.active_count()
    first, second = asked()
    assert threading.active_count() == threads, "it is not asked again so soon"
    assert (first.name, first.busy_pct, first.memory_used_bytes) == ("Tesla T4", 37.0, 1 << 30)
    assert first.memory_by_pid == {4242: 512 << 20}
    assert (second.busy_pct, second.memory_used_bytes, second.memory_total_bytes) == (None, None, 16 << 20)
