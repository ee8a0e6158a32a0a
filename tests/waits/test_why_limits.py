"""Limits of cgroups and of the process itself: each is named with its file and its figures, and nobody is blamed.

`waits/limits/found.py` and `waits/limits/groups.py` on real groups.
"""

from __future__ import annotations

import os

import pytest
from tests.support.cli import straced
from why_cgroups import Cgroup
from why_mounts import Mounted
from why_require import need_root
from why_stages import READER, SLEEPER
from why_world import Role, World, close

from straced.views.why.bundle import bundle
from straced.views.why.report import report, sentence
from straced.waits.all_processes import why_everybody
from straced.waits.model import Limit, Why
from straced.waits.process import why_process

_WINDOW_NS = 400_000_000
_WINDOWS = 8
_QUOTA = {
    "v1": {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "1000", "cpu.shares": "200000"},
    "v2": {"cpu.max": "1000 50000", "cpu.weight": "10000"},
}
"""Little, and before all others: it is used up in each period, however busy the machine is."""
_SMALL = {
    "v1": {"memory.limit_in_bytes": "50000000", "memory.memsw.limit_in_bytes": "50000000"},
    "v2": {"memory.max": "50000000", "memory.swap.max": "0"},
}
_GROWS = "ready(); open(ARGS[0]).read(); hoard = [bytes(range(256)) * 4096 for _ in range(200)]; rest()"


def _limits(why: Why, kind: str) -> list[Limit]:
    return [limit for limit in why.limits if limit.kind == kind]


def _watched(pid: int, kind: str, window_ns: int = _WINDOW_NS) -> Why:
    """The first answer with an acting limit of this kind: on a busy machine little may happen in one window."""
    for _ in range(_WINDOWS):
        why = why_process(pid, window_ns)
        if any(limit.acted for limit in _limits(why, kind)):
            break
    return why


def test_a_cpu_quota(world: World) -> None:
    group = Cgroup(world, "cpu", **_QUOTA)
    target = world.program("busy")
    group.add(target.pid)
    why = _watched(target.pid, "cpu_quota")
    assert why.verdict in ("busy", "slow"), sentence(why)
    text = sentence(why)
    assert f"the CPU quota of its cgroup {group.name} (1.0 ms in each 50 ms) was used up in" in text, text
    assert "others" not in text
    (limit,) = _limits(why, "cpu_quota")
    assert (limit.path, limit.pid) == (f"{group.path}/cpu.stat", target.pid)
    assert f"limit     {limit.text[:40]}" in report(why)
    assert group.name not in bundle(why)


def test_a_cpu_quota_of_the_one_at_the_end_of_the_chain(world: World) -> None:
    group = Cgroup(world, "cpu", **_QUOTA)
    reading, writing, _ = world.pipe()
    culprit = world.program("busy", fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    group.add(culprit.pid)
    world.rests(target.pid)
    why = _watched(target.pid, "cpu_quota")
    (limit,) = _limits(why, "cpu_quota")
    assert limit.pid == culprit.pid
    assert group.name in sentence(why)


def test_a_cpu_quota_in_the_list_of_all(world: World) -> None:
    group = Cgroup(world, "cpu", **_QUOTA)
    target = world.program("busy")
    group.add(target.pid)
    for _ in range(_WINDOWS):
        (why,) = why_everybody(_WINDOW_NS, [target.pid]).processes
        if _limits(why, "cpu_quota"):
            break
    assert _limits(why, "cpu_quota"), report(why)


def test_others_on_the_only_cpu_are_others(world: World) -> None:
    """The same starvation without a quota, on a CPU that is not idle."""
    cpu = min(os.sched_getaffinity(0))
    both = [world.program("busy") for _ in range(3)]
    for role in both:
        os.sched_setaffinity(role.pid, {cpu})
    for _ in range(_WINDOWS):
        why = why_process(both[0].pid, _WINDOW_NS)
        if "others use them" in sentence(why):
            break
    assert "others use them" in sentence(why), sentence(why)
    assert not _limits(why, "cpu_quota")


def test_no_further_task(world: World) -> None:
    group = Cgroup(world, "pids", v1={"pids.max": "1"}, v2={"pids.max": "1"})
    code = "ready(); open(ARGS[0]).read()\nwhile True:\n try: os.fork()\n except BlockingIOError: time.sleep(0.02)"
    target = _held(world, code, group)
    why = _watched(target.pid, "pids_max")
    (limit,) = _limits(why, "pids_max")
    assert limit.path == f"{group.path}/pids.max"
    assert f"its cgroup {group.name} has 1 of 1 task (pids.max)" in sentence(why)
    assert "more were refused in" in sentence(why)


def _held(world: World, code: str, group: Cgroup, *args: object) -> Role:
    """A role that is in its group before it does what it is for: it opens a FIFO first, which lets it wait."""
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    role = world.python(code, path, *args)
    group.add(role.pid)
    os.close(os.open(path, os.O_WRONLY))
    path.unlink()
    return role


def test_memory_that_is_read_again_and_again(world: World) -> None:
    """A file that is mapped, and does not fit into what the group may have."""
    group = Cgroup(
        world, "memory", v1={"memory.limit_in_bytes": "16000000"}, v2={"memory.max": "16000000", "memory.swap.max": "0"}
    )
    data = world.directory / "data"
    with data.open("wb") as file:
        file.write(os.urandom(1 << 20) * 40)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # what is cached for us is not the group's
    code = (
        "import mmap, random; fd = os.open(ARGS[1], os.O_RDONLY); m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)\n"
        "m.madvise(mmap.MADV_RANDOM); ready(); open(ARGS[0]).read()\n"
        "while True: m[random.randrange(len(m))]"
    )
    target = _held(world, code, group, data)
    why = _watched(target.pid, "memory_max")
    found = _limits(why, "memory_max")
    assert found, report(why)
    assert found[0].acted, report(why)
    assert f"its cgroup {group.name} has 1" in found[0].text
    assert "of 16.0 MB" in sentence(why)


def test_no_memory_and_no_killer(world: World) -> None:
    group = Cgroup(world, "memory", v1={**_SMALL["v1"], "memory.oom_control": "1"}, v2=_SMALL["v2"])
    if group.v2:
        pytest.skip("version 2 has no switch for the OOM killer")
    target = _held(world, _GROWS, group)
    control = group.path / "memory.oom_control"
    world.until(lambda: "under_oom 1" in control.read_text(), "it does not run out of memory")
    world.rests(target.pid)
    why = why_process(target.pid, 100_000_000)
    assert why.verdict == "stuck", sentence(why)
    (limit,) = _limits(why, "memory_max")
    assert limit.acted
    assert limit.path == str(control)
    assert "its OOM killer is switched off" in sentence(why)
    assert "50.0 MB" in sentence(why)


def test_ended_by_the_oom_killer(world: World) -> None:
    """Asked about as a zombie, and when its pid is nobody's any more."""
    group = Cgroup(world, "memory", **_SMALL)
    target = _held(world, _GROWS, group)
    world.rests(target.pid, states="Z")
    why = why_process(target.pid, 100_000_000)
    assert why.verdict == "ended"
    (limit,) = _limits(why, "oom_kill")
    if limit.path != "/dev/kmsg":  # the log may not be read in a container
        assert limit.path.startswith(str(group.path))
        return
    assert "the OOM killer ended it" in sentence(why)
    assert f"its cgroup {group.name} may have 50.0 MB" in sentence(why)
    target.process.wait(10)
    gone = straced("why", target.pid)
    gone.assert_clear_error(3)
    assert f"the OOM killer ended a process {target.pid}" in gone.err


def test_the_bandwidth_of_a_disk(world: World) -> None:
    disk = Mounted(world)
    limit = f"{disk.device} 400000"
    group = Cgroup(
        world,
        "blkio",
        v1={"blkio.throttle.read_bps_device": limit},
        v2={"io.max": f"{disk.device} rbps=400000"},
    )
    (disk.point / "data").write_bytes(bytes(1 << 20))
    os.sync()
    code = (
        "import mmap; buffer = mmap.mmap(-1, 16384); fd = os.open(ARGS[1], os.O_RDONLY | os.O_DIRECT)\n"
        "ready(); open(ARGS[0]).read()\nwhile True: os.preadv(fd, [buffer], 0)"
    )
    target = _held(world, code, group, disk.point / "data")
    why = _watched(target.pid, "io_max", 1_000_000_000)
    found = _limits(why, "io_max")
    assert found, report(why)
    assert f"its cgroup {group.name} reads" in found[0].text
    assert found[0].text.endswith("and may 400.0 kB")
    assert found[0].path == str(group.path / ("io.max" if group.v2 else "blkio.throttle.read_bps_device"))


def test_no_descriptor_left(world: World) -> None:
    reading, writing, _ = world.pipe()
    culprit = world.python(SLEEPER, fds=(writing,))
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\ntry:\n while True: os.dup(0)\n"
    target = world.python(code + "except OSError: pass\n" + READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, culprit.pid)
    why = why_process(target.pid, 100_000_000)
    (limit,) = _limits(why, "nofile")
    assert limit.text == "it has 64 of 64 descriptors open (RLIMIT_NOFILE)"
    assert limit.path == f"/proc/{target.pid}/limits"
    assert not limit.acted
    assert "limit     it has 64 of 64 descriptors" in report(why)


def test_no_task_left_for_the_user(world: World) -> None:
    need_root()
    reading, writing, _ = world.pipe()
    world.python(SLEEPER, fds=(writing,))
    code = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)); os.setuid(4_000_777)\n" + READER
    target = world.python(code, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid)
    why = why_process(target.pid, 100_000_000)
    assert [limit.text for limit in _limits(why, "nproc")] == ["user 4000777 has 1 of 1 task (RLIMIT_NPROC)"]


def test_what_is_far_from_its_limits_has_none(world: World) -> None:
    reading, writing, _ = world.pipe()
    culprit = world.python(SLEEPER, fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, culprit.pid)
    assert [limit for limit in why_process(target.pid, 100_000_000).limits if limit.kind != "oom_kill"] == []
