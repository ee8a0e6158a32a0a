"""Orphans that left group, session and parent are reached, and nobody's exit status is taken.

Of `manager/adoption.py`.
"""

from __future__ import annotations

import pytest

from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("cc")

RUNAWAY = """
    import subprocess
    gt = os.environ["GT"]
    def runaway():
        \"\"\"A grandchild in a session of its own whose parent has ended.\"\"\"
        shell = subprocess.run(["sh", "-c", 'setsid "$0" tick </dev/null >/dev/null 2>&1 & echo $!', gt],
                               stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]})
        return int(shell.stdout)
    def parent(pid):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    group = ProcessGroupManager()
    """


@pytest.mark.parametrize("adopt", [True, False])
def test_a_runaway_is_reached_when_orphans_are_adopted(start: Starter, adopt: bool) -> None:
    owner = start_owner(
        start,
        RUNAWAY
        + """
    adopt = os.environ["ADOPT"] == "True"
    group.setup(**({"adopt_orphans": True} if adopt else {}))
    pid = runaway()
    say("pid", pid, parent(pid) == os.getpid()); hear()
    say("adopted", group.adopted == [pid])
    say("left", group.kill_all_children(signal.SIGTERM)); hear()
    """,
        env={"GT": str(start.gt), "ADOPT": str(adopt)},
    )
    pid, ours = owner.channel.expect("pid").split()
    start.owns(int(pid))
    assert ours == str(adopt)
    until(lambda: proc.session(int(pid)) == int(pid), what="it has a session of its own")
    owner.go()
    assert owner.channel.expect("adopted") == str(adopt)
    assert owner.channel.expect("left") == "[]"
    assert proc.alive(int(pid)) is not adopt
    if adopt:
        assert proc.state(int(pid)) == "", "reaped too"
    owner.go()
    assert owner.process.wait(10) == 0


def test_adopted_orphans_are_reaped(start: Starter) -> None:
    owner = start_owner(
        start,
        RUNAWAY
        + """
    group.setup(adopt_orphans=True)
    pids = [runaway() for _ in range(5)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    say("pids", *pids); hear()
    say("reaped", sorted(group.cleanup_orphans()) == sorted(pids), group.cleanup_orphans(), group.adopted); hear()
    """,
        env={"GT": str(start.gt)},
    )
    pids = [int(word) for word in owner.channel.expect("pids").split()]
    until(lambda: all(proc.state(pid) == "Z" for pid in pids), what="they have ended")
    owner.go()
    assert owner.channel.expect("reaped") == "True [] []"
    assert [proc.state(pid) for pid in pids] == [""] * 5
    owner.go()
    assert owner.process.wait(10) == 0


STATUSES = """
    import multiprocessing, subprocess
    gt = os.environ["GT"]
    leave = [gt, "leave", "7"]
    group = ProcessGroupManager(); group.setup(adopt_orphans=True)
    def ended(pid):
        \"\"\"Wait until it is a zombie, without reaping it.\"\"\"
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    async def through_asyncio():
        processes = [await asyncio.create_subprocess_exec(*leave, env={}) for _ in range(8)]
        for _ in range(50):
            group.cleanup_orphans(); group.adopted
            await asyncio.sleep(0)
        return [await process.wait() for process in processes]
    """
WAYS = {
    "asyncio": "say('statuses', *asyncio.run(through_asyncio()))",
    "uvloop": "import uvloop; say('statuses', *uvloop.run(through_asyncio()))",
    "subprocess": """processes = [subprocess.Popen(leave, env={}) for _ in range(8)]
    for process in processes: ended(process.pid)
    group.cleanup_orphans()
    say("statuses", *[process.wait() for process in processes])""",
    "fork": """pids = []
    for _ in range(8):
        pids.append(os.fork() or os._exit(7))
        ended(pids[-1]); group.cleanup_orphans()
    say("statuses", *[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])""",
    "multiprocessing": """context = multiprocessing.get_context(os.environ.get("METHOD", "fork"))
    processes = [context.Process(target=sys.exit, args=(7,)) for _ in range(8)]
    for process in processes: process.start(); ended(process.pid)
    group.cleanup_orphans()
    for process in processes: process.join()
    say("statuses", *[process.exitcode for process in processes])""",
    "a thread": """found, over = [], threading.Event()
    def work():
        found.extend(subprocess.run(leave, env={}).returncode for _ in range(40))
        over.set()
    thread = threading.Thread(target=work); thread.start()
    while not over.is_set(): group.cleanup_orphans()
    thread.join()
    say("statuses", *found[:8] if found == [7] * 40 else found)""",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_status_of_an_own_child_is_taken(start: Starter, way: str) -> None:
    if way == "uvloop":
        pytest.importorskip("uvloop")
    owner = start_owner(start, STATUSES + "\n    " + WAYS[way], env={"GT": str(start.gt)})
    assert owner.channel.expect("statuses", 30) == " ".join(["7"] * 8)
    assert owner.process.wait(10) == 0


def test_a_tracked_child_is_its_owners_however_it_was_started(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        group = ProcessGroupManager(); group.setup(adopt_orphans=True)
        pid = os.posix_spawn(os.environ["GT"], [os.environ["GT"], "leave", "7"], {})
        group.track(pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        group.cleanup_orphans()
        say("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("status") == "7"
    owner.process.wait(10)
