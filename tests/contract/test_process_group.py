"""The process-group manager, each in an owner of its own since it moves between groups.

Of `manager/process_group.py` and `linux/pidfds.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


def test_importing_touches_nothing(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import atexit
        before = [signal.getsignal(n) for n in range(1, 32)], os.getpgrp(), atexit._ncallbacks()
        import straced
        straced.StraceManager(); straced.Profiler(tracer="strace"); straced.ProcessGroupManager()
        after = [signal.getsignal(n) for n in range(1, 32)], os.getpgrp(), atexit._ncallbacks()
        say("same", before == after, before[1:], after[1:])
        """,
    )
    assert owner.channel.expect("same").startswith("True")
    owner.process.wait(10)


def test_setup_leads_a_group_once(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        group = os.getpgrp()
        manager = ProcessGroupManager()
        say("before", manager.is_leader)
        manager.setup(); manager.setup()
        say("after", manager.is_leader, os.getpgrp() == os.getpid(), manager.original_pgid == group)
        """,
    )
    assert owner.channel.expect("before") == "False"
    assert owner.channel.expect("after") == "True True True"
    owner.process.wait(10)


def test_setup_is_fine_for_a_leader(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        manager = ProcessGroupManager()
        manager.setup()
        say("after", manager.is_leader, os.getpgrp() == os.getpid())
        """,
        start_new_session=True,
    )
    assert owner.channel.expect("after") == "True True"
    owner.process.wait(10)


def test_on_a_terminal_setup_does_nothing_unless_foreground(start: Starter) -> None:
    """A background group of a terminal would be stopped by its next read, so ``setup`` keeps out of it."""
    script = """
        manager = ProcessGroupManager()
        group = os.getpgrp()
        manager.setup(**({"foreground": True} if os.environ["FOREGROUND"] == "1" else {}))
        say("moved", os.getpgrp() != group, manager.is_leader)
        """
    master, slave = os.openpty()
    try:
        for foreground, moved in (("0", "False"), ("1", "True")):
            # the shell in between leads the session, as a login shell does; the owner is a member of its group
            owner = start_owner(
                start, script, prefix=("setsid", "--ctty", "sh", "-c", '"$@"; exit $?', "sh"),
                env={"FOREGROUND": foreground}, stdin=slave,
            )  # fmt: skip
            assert owner.channel.expect("moved").split()[0] == moved
            owner.process.wait(10)
    finally:
        os.close(master)
        os.close(slave)


def test_helpers_are_registered_by_themselves(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        """
        async def main():
            group = ProcessGroupManager(); group.setup()
            manager = StraceManager(process_group=group)
            assert await manager.attach(int(os.environ["TARGET"]))
            say("helpers", *manager.get_strace_pids())
            hear()
            group.kill_helpers()
            say("killed"); hear()
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    helpers = [int(word) for word in owner.channel.expect("helpers").split()]
    assert helpers == [proc.tracer(target.pid)]
    owner.go()
    owner.channel.expect("killed")
    until(lambda: not any(proc.alive(pid) for pid in helpers), what="kill_helpers ends them")
    until(target.untraced, what="the target is let go")
    assert target.runs()
    owner.go()
    owner.process.wait(10)


def test_a_reaped_pid_is_never_signalled(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import subprocess
        manager = ProcessGroupManager()
        process = subprocess.Popen(["true"])
        manager.track(process.pid)
        process.wait()
        os.kill = lambda *_: say("os.kill", *_)
        manager.kill_all_children(signal.SIGKILL)
        manager.track(2**22 - 1); manager.untrack(2**22 - 1); manager.untrack(process.pid)
        say("fine")
        """,
    )
    owner.channel.expect("fine")
    assert owner.channel.heard == []
    owner.process.wait(10)


def test_untracked_is_left_alone(start: Starter) -> None:
    one, two = start("tick"), start("tick")
    owner = start_owner(
        start,
        """
        manager = ProcessGroupManager()
        for pid in (pids := [int(word) for word in os.environ["PIDS"].split()]):
            manager.track(pid)
        manager.untrack(pids[1])
        manager.kill_all_children(signal.SIGKILL)
        say("killed")
        """,
        env={"PIDS": f"{one.pid} {two.pid}"},
    )
    owner.channel.expect("killed")
    until(lambda: not proc.alive(one.pid), what="the tracked one died")
    assert two.runs()
    owner.process.wait(10)


KILLER = """
    import subprocess
    manager = ProcessGroupManager()
    if os.environ["SETUP"] == "1":
        manager.setup()
    gt, ticks = os.environ["GT"], {}
    inside = subprocess.Popen([gt, "tick"], env={})
    outside = subprocess.Popen([gt, "tick"], env={}, start_new_session=True)
    tracked = subprocess.Popen([gt, "tick"], env={}, start_new_session=True)
    manager.track(tracked.pid)
    say("pids", inside.pid, outside.pid, tracked.pid)
    hear()
    manager.kill_all_children(signal.SIGTERM)
    say("survived", *(process.poll() is None for process in (inside, outside, tracked)))
    hear()
    """


def test_kill_all_children_kills_the_group_and_other_sessions(start: Starter) -> None:
    owner = start_owner(start, KILLER, env={"SETUP": "1", "GT": str(start.gt)})
    for pid in owner.channel.expect("pids").split():
        start.owns(int(pid))
    owner.go()
    assert owner.channel.expect("survived") == "False False False"
    owner.go()
    assert owner.process.wait(10) == 0


def test_somebody_elses_group_is_left_alone(start: Starter) -> None:
    """Without ``setup`` the group is a shell's pipeline: the neighbour in it lives on."""
    neighbour = start("tick", process_group=0)
    owner = start_owner(start, KILLER, env={"SETUP": "0", "GT": str(start.gt)}, process_group=neighbour.pid)
    for pid in owner.channel.expect("pids").split():
        start.owns(int(pid))
    owner.go()
    assert owner.channel.expect("survived").split()[2] == "False", "the tracked one"
    assert neighbour.runs()
    owner.go()
    owner.process.wait(10)


def test_a_child_that_ignores_the_signal_is_found_out(start: Starter) -> None:
    """``kill_all_children`` verifies: who survived is in what it returns."""
    owner = start_owner(
        start,
        """
        import subprocess
        script = "trap '' TERM; echo; while :; do sleep 0.01; done"
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        child.stdout.readline()
        manager = ProcessGroupManager()
        manager.track(child.pid)
        left = manager.kill_all_children(signal.SIGTERM)
        say("left", child.pid in left or child.poll() is not None)
        left = manager.kill_all_children(signal.SIGKILL)
        say("then", left, child.wait())
        """,
    )
    assert owner.channel.expect("left") == "True"
    assert owner.channel.expect("then") == "[] -9"
    owner.process.wait(10)


def test_exit_statuses_are_not_stolen(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        async def main():
            group = ProcessGroupManager(); group.setup()
            processes = [await asyncio.create_subprocess_exec(os.environ["GT"], "leave", "7", env={}) for _ in range(8)]
            for _ in range(20):
                group.cleanup_orphans()
                await asyncio.sleep(0)
            say("statuses", *[await process.wait() for process in processes])
        asyncio.run(main())
        """,
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("statuses") == " ".join(["7"] * 8)
    owner.process.wait(10)


def test_helpers_of_a_killed_owner_are_ended_by_journal(start: Starter, tmp_path: Path) -> None:
    """Both die at once: the owner and, so that nothing tidies up behind it, its guard while it is stopped."""
    target = start("tick")
    journal = tmp_path / "journal"
    script = """
        async def main():
            group = ProcessGroupManager(journal=Path(os.environ["JOURNAL"])); group.setup()
            manager = StraceManager(process_group=group)
            if os.environ.get("TARGET"):
                assert await manager.attach(int(os.environ["TARGET"]))
            else:
                group.cleanup_orphans()
            say("helpers", *manager.get_strace_pids())
            await ahear()
        asyncio.run(main())
        """
    first = start_owner(start, script, env={"JOURNAL": str(journal), "TARGET": str(target.pid)})
    (helper,) = [int(word) for word in first.channel.expect("helpers").split()]
    assert journal.exists()
    first.kill()
    second = start_owner(start, script, env={"JOURNAL": str(journal)})
    second.channel.expect("helpers")
    until(lambda: not proc.alive(helper), 3, "the helper of the killed owner is gone")
    until(target.untraced, 3)
    assert target.runs()
    second.go()
    second.process.wait(10)


def test_a_stranger_in_the_journal_is_left_alone(start: Starter, tmp_path: Path) -> None:
    """A journal that names a pid which is somebody else's now: the start time tells, nothing is killed."""
    target, stranger = start("tick"), start("tick")
    journal = tmp_path / "journal"
    script = """
        async def main():
            group = ProcessGroupManager(journal=Path(os.environ["JOURNAL"]))
            manager = StraceManager(process_group=group)
            if os.environ.get("TARGET"):
                assert await manager.attach(int(os.environ["TARGET"]))
            else:
                group.cleanup_orphans()
            say("helpers", *manager.get_strace_pids())
            await ahear()
        asyncio.run(main())
        """
    first = start_owner(start, script, env={"JOURNAL": str(journal), "TARGET": str(target.pid)})
    (helper,) = [int(word) for word in first.channel.expect("helpers").split()]
    first.kill()
    until(lambda: not proc.alive(helper), 3, "the guard ended it")
    files = [journal] if journal.is_file() else [path for path in journal.rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(path.read_bytes().replace(str(helper).encode(), str(stranger.pid).encode()))
    second = start_owner(start, script, env={"JOURNAL": str(journal)})
    second.channel.expect("helpers")
    assert stranger.runs()
    second.go()
    second.process.wait(10)


DAEMONIZED = """
    import subprocess
    manager = ProcessGroupManager()
    before = manager.original_pgid, manager.is_leader, manager.tracked
    if os.fork():
        os._exit(0)
    os.setsid()
    manager.setup()
    child = subprocess.Popen([os.environ["GT"], "tick"], env={}, start_new_session=True)
    say("pids", os.getpid(), child.pid, manager.track(child.pid), manager.tracked == [child.pid]); hear()
    say("left", manager.kill_all_children(signal.SIGTERM), child.wait(), manager.original_pgid == os.getpid())
    """


def test_one_made_before_the_process_daemonizes_serves_afterwards(start: Starter) -> None:
    owner = start_owner(start, DAEMONIZED, env={"GT": str(start.gt)})
    daemon, child, *facts = owner.channel.expect("pids").split()
    start.owns(int(daemon))
    start.owns(int(child))
    assert facts == ["True", "True"]
    owner.go()
    assert owner.channel.expect("left") == "[] -15 True"
    assert not proc.alive(int(child))


def test_a_forked_copy_says_so_and_touches_nobody(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        """
        manager = ProcessGroupManager()
        target = int(os.environ["TARGET"])
        manager.track(target)
        child = os.fork()
        if child == 0:
            calls = {"kill_all_children": manager.kill_all_children, "kill_helpers": manager.kill_helpers,
                     "cleanup_orphans": manager.cleanup_orphans, "setup": manager.setup,
                     "kill_adopted": manager.kill_adopted, "track": lambda: manager.track(target)}
            for name, call in calls.items():
                try:
                    say("copy", name, call())
                except errors.ForkedCopy as error:
                    say("copy", name, error.code, str(os.getppid()) in error.reason)
            manager.untrack(target)
            say("copy", "tracked", manager.tracked)
            os._exit(0)
        os.waitpid(child, 0)
        say("tracked", manager.tracked == [target]); hear()
        """,
        env={"TARGET": str(target.pid)},
    )
    names = ("kill_all_children", "kill_helpers", "cleanup_orphans", "setup", "kill_adopted", "track")
    heard = [owner.channel.expect("copy") for _ in range(7)]
    assert heard == [*(f"{name} forked_copy True" for name in names), "tracked []"]
    assert owner.channel.expect("tracked") == "True"
    assert target.runs()
    owner.go()
    assert owner.process.wait(10) == 0


def test_without_descriptors_the_tracked_ones_die_and_the_rest_is_said(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import resource, subprocess
        manager = ProcessGroupManager(); manager.setup()
        children = [subprocess.Popen([os.environ["GT"], "tick"], env={}) for _ in range(4)]
        say("pids", *[child.pid for child in children]); hear()
        manager.track(children[0].pid)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        def free(number):
            taken = [os.dup(0) for _ in range(number + 1)]
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1], limits[1]))
        free(0)
        for call in (lambda: manager.track(children[1].pid), manager.kill_all_children):
            try:
                say("answer", call())
            except errors.StracedError as error:
                say("error", error.code, bool(error.hint))
        say("polled", children[0].wait(), *[child.poll() for child in children[1:]])
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        free(3)  # enough for one at a time
        say("left", manager.kill_all_children())
        say("polled", *[child.wait() for child in children])
        """,
        env={"GT": str(start.gt)},
    )
    for pid in owner.channel.expect("pids").split():
        start.owns(int(pid))
    owner.go()
    assert [owner.channel.expect("error") for _ in range(2)] == ["resources True"] * 2
    assert owner.channel.expect("polled") == "-15 None None None"
    assert owner.channel.expect("left") == "[]"
    assert owner.channel.expect("polled") == "-15 -15 -15 -15"
    assert owner.process.wait(10) == 0
