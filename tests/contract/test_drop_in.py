"""examples/drop_in.py: a daemon keeps its own names and return values, on straced's process-group manager."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support import proc
from tests.support.owner import ROOT, start_owner
from tests.support.poll import until
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("cc")

DAEMON = f"""
    import subprocess
    sys.path.insert(0, {str(ROOT / "examples")!r})
    import drop_in
    gt = os.environ["GT"]
    manager = drop_in.ProcessGroupManager()
    def backend(script, **options):
        return subprocess.Popen(["sh", "-c", script, gt], stdout=subprocess.PIPE, text=True,
                                env={{"PATH": os.environ["PATH"]}}, **options)
    RUNAWAY = 'setsid "$0" tick </dev/null >/dev/null 2>&1 & echo $!; read line'
    """


def daemon(start: Starter, script: str, **options: Any) -> Workload:
    return start_owner(start, DAEMON + script, env={"GT": str(start.gt)}, **options)


def test_before_setup_it_leads_nothing_and_kills_nothing(start: Starter) -> None:
    owner = daemon(
        start,
        """
    child = backend("read line", stdin=subprocess.PIPE)
    say("before", manager.is_leader, manager.original_pgid == os.getpgrp(), manager.kill_all_children(), child.poll())
    manager.untrack_backend_pid(999)
    child.communicate("")
    """,
    )
    assert owner.channel.expect("before") == "False True 0 None"
    assert owner.process.wait(10) == 0


def test_kill_all_children_returns_the_group(start: Starter) -> None:
    owner = daemon(
        start,
        """
    group = os.getpgrp()
    manager.setup(); manager.setup()
    say("leads", manager.is_leader, manager.original_pgid == group, os.getpgrp() == os.getpid())
    say("nothing", manager.kill_all_children() == os.getpgrp())
    child = backend(RUNAWAY, stdin=subprocess.PIPE); manager.track_backend_pid(child.pid)
    pid = int(child.stdout.readline())
    say("pids", pid); hear()
    say("all", manager.kill_all_children(signal.SIGTERM) == os.getpgrp(), child.wait())
    """,
    )
    assert owner.channel.expect("leads") == "True True True"
    assert owner.channel.expect("nothing") == "True"
    runaway = int(owner.channel.expect("pids"))
    start.owns(runaway)
    until(lambda: proc.session(runaway) == runaway, what="it has a session of its own")
    owner.go()
    assert owner.channel.expect("all") == f"True {-signal.SIGTERM}"
    assert not proc.alive(runaway)
    assert owner.process.wait(10) == 0


def test_orphans_of_a_dead_backend_are_killed_and_no_others(start: Starter) -> None:
    stranger = start("tick")
    owner = daemon(
        start,
        """
    manager.setup()
    one = backend(RUNAWAY, stdin=subprocess.PIPE); two = backend('"$0" tick </dev/null >/dev/null & echo $!; read line',
        stdin=subprocess.PIPE, start_new_session=True)
    three = backend("echo; read line", stdin=subprocess.PIPE)
    for child in (one, two, three):
        manager.track_backend_pid(child.pid)
    runaway, member = (int(child.stdout.readline()) for child in (one, two))
    say("pids", runaway, member); hear()
    say("living", manager.reap_orphaned_backends())
    one.communicate(""); two.communicate("")
    say("of the session", manager.reap_orphaned_backends() == [member])
    say("once", manager.reap_orphaned_backends())
    three.communicate("")
    say("the rest", manager.reap_orphaned_backends() == [runaway])
    say("statuses", one.returncode, two.returncode, three.returncode)
    """,
    )
    runaway, member = (start.owns(int(word)) for word in owner.channel.expect("pids").split())
    until(lambda: proc.session(runaway) == runaway, what="it has a session of its own")
    owner.go()
    assert owner.channel.expect("living") == "[]"
    assert owner.channel.expect("of the session") == "True"
    assert owner.channel.expect("once") == "[]"
    assert owner.channel.expect("the rest") == "True"
    assert owner.channel.expect("statuses") == "1 1 1", "read meets the end of file"
    assert not proc.alive(runaway)
    assert not proc.alive(member)
    assert stranger.runs()
    assert owner.process.wait(10) == 0


@pytest.mark.needs("strace")
def test_strace_helpers_register_with_the_group_inside(start: Starter) -> None:
    target = start("tick")
    owner = daemon(
        start,
        f"""
    async def main():
        manager.setup()
        straces = StraceManager(process_group=manager.group)
        assert await straces.attach({target.pid})
        say("helpers", set(straces.get_strace_pids()) <= set(manager.group.tracked)); await ahear()
        manager.kill_all_children()
        await straces.detach_all()
    asyncio.run(main())
    """,
    )
    assert owner.channel.expect("helpers") == "True"
    assert proc.tracer(target.pid)
    owner.go()
    assert owner.process.wait(20) == 0
    assert target.untraced()
    assert target.runs()
