"""Where descriptors, processes or memory run out there is a typed error, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.support.owner import start_owner
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")

SWEEP = """
    import contextlib, resource, subprocess
    target = int(os.environ["TARGET"])
    LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)
    def leave(number):
        \"\"\"So many descriptors are free from now on.\"\"\"
        taken = [os.dup(0) for _ in range(number + 1)]
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1], LIMITS[1]))
    def give_back():
        resource.setrlimit(resource.RLIMIT_NOFILE, LIMITS)
    def fds():
        found = []
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # a thread may close one
                if fd != "0" and os.path.exists(f"/proc/self/fd/{fd}"):
                    found.append(os.readlink(f"/proc/self/fd/{fd}"))
        return sorted(found)
    async def settled(before):
        for _ in range(500):
            if len(fds()) <= len(before):
                return "clean"
            await asyncio.sleep(0.01)
        return f"left {fds()}"
    async def outcome(work):
        try:
            return await work
        except errors.StracedError as error:
            return error
    def kind(error):
        return f"{error.code}{'' if error.hint else ' (no hint)'}" if isinstance(error, Exception) else "done"
    """
SWEPT = {
    "attach": ("manager", "manager.attach(target)"),
    "attach_full_trace": ("manager", "manager.attach_full_trace(target, Path(os.environ['OUT']) / str(free))"),
    "Profiler.attach": ("strace", "profiler.attach(target)"),
    "Profiler.attach by sampling": ("sampler", "profiler.attach(target)"),
    "Profiler.record": ("strace", "profiler.record(target, None, RecordOptions())"),
}


@pytest.mark.limit(120)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("call", SWEPT)
def test_without_descriptors_a_refusal_is_typed(start: Starter, call: str, warm: bool, tmp_path: object) -> None:
    """From none to enough: at each number the call either serves or says why not, and a later one serves."""
    made, expression = SWEPT[call]
    target = start("tick")
    owner = start_owner(
        start,
        SWEEP
        + f"""
    from straced.tracers.strace.recording import RecordOptions
    async def main():
        served = False
        for free in range(40):
            manager, profiler = StraceManager(), Profiler("{made}" if "{made}" != "manager" else "strace")
            if {warm}:
                other = await asyncio.create_subprocess_exec(os.environ["GT"], "tick", env={{}})
                assert await manager.attach(other.pid)
                if "{made}" == "sampler":
                    await profiler.attach(other.pid)
                else:
                    await profiler._tracers.get("strace").steps.prepared()
            before = fds()
            leave(free)
            try:
                found = await outcome({expression})
            finally:
                give_back()
            answer = kind((None if found else manager.last_error(target)) if isinstance(found, bool) else found)
            refused = answer != "done"
            if not refused and hasattr(found, "readers"):
                await found.abandon()
            await manager.detach_all() if not {warm} else await manager.detach(target)
            await manager.detach_full_trace(target)
            if not refused and not isinstance(found, bool) and hasattr(found, "detach"):
                await found.detach()
            say("free", free, answer, await settled(before) if refused else "clean")
            later = await outcome(profiler.attach(target)) if "{made}" != "manager" else await manager.attach(target)
            say("later", kind(later) if later is not False else manager.last_error(target))
            await manager.detach_all(); await profiler.close()
            if {warm}:
                other.kill(); await other.wait()
            if not refused and served:
                break
            served = not refused
        say("over", served)
    asyncio.run(main())
    """,
        env={"TARGET": str(target.pid), "OUT": str(tmp_path), "GT": str(start.gt)},
    )
    refusals = 0
    while (line := owner.channel.expect("", 60)) != "over True":
        if line.startswith("later"):
            assert line == "later done"
        else:
            answer = line.split(maxsplit=2)[2]
            assert answer in ("done clean", "resources clean", "output clean"), line
            refusals += answer != "done clean"
    assert refusals > 0
    assert target.runs()
    assert target.untraced()
    assert owner.process.wait(20) == 0


def test_what_runs_is_detached_without_a_descriptor(start: Starter) -> None:
    one, two = start("n", 40), start("n", 30)
    owner = start_owner(
        start,
        SWEEP
        + """
    async def main():
        manager = StraceManager()
        other = int(os.environ["OTHER"])
        assert await manager.attach(target) and await manager.attach(other)
        say("attached"); await ahear()
        leave(0)
        found = await manager.detach(target)
        rest = await manager.detach_all()
        give_back()
        assert found, manager.last_error(target)
        say("counts", found["syscall_counts"]["getppid"], rest[other]["syscall_counts"]["getppid"])
    asyncio.run(main())
    """,
        env={"TARGET": str(one.pid), "OTHER": str(two.pid)},
    )
    owner.channel.expect("attached")
    one.finish()
    two.finish()
    owner.go()
    assert owner.channel.expect("counts", 20) == "40 30"
    assert one.untraced()
    assert owner.process.wait(20) == 0


def test_a_detach_that_needs_a_descriptor_can_be_tried_again(start: Starter) -> None:
    target = start("n", 40)
    owner = start_owner(
        start,
        SWEEP
        + """
    async def main():
        from straced import syscalls
        manager = StraceManager()
        assert await manager.attach(target)
        say("attached"); await ahear()
        syscalls.names.cache_clear(); syscalls._numbers.cache_clear()
        sys.modules.pop(f"straced.syscalls.tables.{syscalls.native_abi()}")
        leave(0)
        found = await manager.detach(target)
        give_back()
        say("first", found, manager.last_error(target).code)
        say("second", (await manager.detach(target))["syscall_counts"]["getppid"], manager.last_error(target))
        say("third", await manager.detach(target))
    asyncio.run(main())
    """,
        env={"TARGET": str(target.pid)},
    )
    owner.channel.expect("attached")
    target.finish()
    owner.go()
    assert owner.channel.expect("first", 20) == "None resources"
    assert owner.channel.expect("second", 20) == "40 None"
    assert owner.channel.expect("third") == "None"
    assert target.untraced()
    assert owner.process.wait(20) == 0


@pytest.mark.needs("root", "setpriv")
def test_without_room_for_a_process_a_refusal_is_typed(start: Starter) -> None:
    """RLIMIT_NPROC binds only who is not root."""
    owner = start_owner(
        start,
        SWEEP
        + """
    async def main():
        child = subprocess.Popen([os.environ["GT"], "tick"], env={})
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        manager = StraceManager()
        say("answer", await manager.attach(child.pid), kind(manager.last_error(child.pid)))
        say("spawn", kind(await outcome(manager.spawn(["true"]))))
        child.kill(); child.wait()
    asyncio.run(main())
    """,
        prefix=("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "--"),
        env={"TARGET": "0", "GT": str(start.gt)},
    )
    assert owner.channel.expect("answer", 20) == "False resources"
    assert owner.channel.expect("spawn", 20) == "resources"
    assert owner.process.wait(10) == 0
