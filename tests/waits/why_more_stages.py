"""More staged situations: the ones where an answer that is nearly right would be wrong."""

from __future__ import annotations

import ctypes
import os
import signal

from why_stages import (
    _FLOCK,
    _TCP_CLIENT,
    READER,
    SLEEPER,
    WRITER,
    Stage,
    _children,
    _comm,
    _pair,
    stage,
)
from why_world import World, close

# --- pipes that several processes have open ------------------------------------------------------------


@stage
def two_writers(world: World) -> Stage:
    reading, writing, name = world.pipe()
    writers = [world.python(SLEEPER, fds=(writing,)).pid for _ in range(2)]
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, *writers)
    return Stage(target=target.pid, culprit=tuple(writers), verdict="stuck", says=(name, "one of"))


@stage
def writer_in_a_subshell(world: World) -> Stage:
    """The subshell and its child both have the pipe; the subshell only waits for its child."""
    shell = world.command("sh", "-c", "(sleep 600; echo) | cat >/dev/null; true")
    world.until(lambda: len(_children(shell.pid)) == 2, "the pipeline is not complete")
    world.until(lambda: {_comm(pid) for pid in _children(shell.pid)} == {"sh", "cat"}, "members did not start")
    members = {_comm(pid): pid for pid in _children(shell.pid)}
    world.until(lambda: [_comm(pid) for pid in _children(members["sh"])] == ["sleep"], "sleep did not start")
    sleeper = _children(members["sh"])[0]
    world.rests(members["cat"], members["sh"], sleeper)
    return Stage(target=members["cat"], culprit=sleeper, verdict="stuck", says=("pipe:[", str(members["sh"]), "child"))


@stage
def parent_keeps_both_ends(world: World) -> Stage:
    """The parent of a pipeline forgot to close the pipe; the process that has the write end only is the likely one."""
    reading, writing, name = world.pipe()
    world.python(SLEEPER, fds=(reading, writing))
    culprit = world.python(SLEEPER, fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    return _pair(world, target, culprit, name, "likely")


@stage
def own_thread_has_the_other_end(world: World) -> Stage:
    """Another thread of the same process may write: no deadlock can be claimed."""
    code = "r, w = os.pipe(); t = threading.Thread(target=rest); t.start(); ready(t.native_id); os.read(r, 1)"
    target = world.python(code)
    other = int(target.words[0])
    world.rests(target.pid, other)
    return Stage(target=target.pid, culprit=other, verdict="stuck", says=("pipe:[", "likely its thread"))


@stage
def cycle_with_a_way_out(world: World) -> Stage:
    """One of two writers waits for the reader itself, the other could write at any time: no deadlock."""
    first, second = world.pipe(), world.pipe()
    culprit = world.python(SLEEPER, fds=(first[1],))
    target = world.python(READER, first[0], fds=(first[0], second[1]))
    other = world.python(READER, second[0], fds=(second[0], first[1]))
    close(*first[:2], *second[:2])
    world.rests(target.pid, other.pid, culprit.pid)
    return Stage(target=target.pid, culprit=culprit.pid, verdict="stuck", says=(first[2], "one of", str(other.pid)))


@stage
def splice_into_a_full_pipe(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(reading,))
    code = """
import ctypes
r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20); os.write(w, bytes(1 << 20))
ready()
while ctypes.CDLL(None).splice(r, None, int(ARGS[0]), None, 1 << 20, 0) > 0:
    pass
"""
    target = world.python(code, writing, fds=(writing,))
    close(reading, writing)
    return _pair(world, target, culprit, name)


@stage
def select_one_pipe(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(writing,))
    target = world.python("ready(); select.select([int(ARGS[0])], [], [])", reading, fds=(reading,))
    close(reading, writing)
    return _pair(world, target, culprit, name)


@stage
def leader_has_ended(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(writing,))
    target = world.program("leader_ends", reading, fds=(reading,))
    thread = int(target.words[0])
    close(reading, writing)
    world.rests(thread, culprit.pid)
    world.rests(target.pid, states="Z")
    return Stage(target=target.pid, culprit=culprit.pid, verdict="stuck", says=(f"thread {thread}", name))


# --- sockets ------------------------------------------------------------------------------------------


def _tcp6(world: World, address: str) -> Stage:
    code = """
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind((ARGS[0], 0)); s.listen(5); ready(s.getsockname()[1]); c, _ = s.accept(); rest()
"""
    culprit = world.python(code, "::")
    port = culprit.words[0]
    client = _TCP_CLIENT.replace("'127.0.0.1'", repr(address))
    return _pair(world, world.python(client, port), culprit, f":{port}")


@stage
def tcp_over_ipv6(world: World) -> Stage:
    return _tcp6(world, "::1")


@stage
def tcp_to_a_mapped_address(world: World) -> Stage:
    """An IPv4 client of an IPv6 socket: the two ends know the connection by different addresses."""
    return _tcp6(world, "127.0.0.1")


@stage
def udp_connected(world: World) -> Stage:
    code = "s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); ready(s.getsockname()[1]); rest()"
    culprit = world.python(code)
    port = culprit.words[0]
    ask = "s = socket.socket(type=2); s.connect(('127.0.0.1', int(ARGS[0]))); s.send(b'?'); ready(); s.recv(1)"
    return _pair(world, world.python(ask, port), culprit, f"127.0.0.1:{port}")


@stage
def udp_idle(world: World) -> Stage:
    code = "s = socket.socket(type=2); s.bind(('127.0.0.1', 0)); ready(s.getsockname()[1]); s.recv(1)"
    target = world.python(code)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=(f"127.0.0.1:{target.words[0]}",))


@stage
def asyncio_server(world: World) -> Stage:
    code = """
import asyncio
async def main():
    server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()
asyncio.run(main())
"""
    target = world.python(code)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("epoll_wait",))


@stage
def asyncio_client(world: World) -> Stage:
    """Its loop watches a socket pair of its own, too, to be woken by other threads."""
    server = "s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); c, _ = s.accept(); rest()"
    culprit = world.python(server)
    code = """
import asyncio
async def main():
    reader, _ = await asyncio.open_connection('127.0.0.1', int(ARGS[0]))
    ready(); await reader.read(1)
asyncio.run(main())
"""
    return _pair(world, world.python(code, culprit.words[0]), culprit, f"127.0.0.1:{culprit.words[0]}")


@stage
def terminal_not_emptied(world: World) -> Stage:
    code = "leader, follower = os.openpty(); os.set_inheritable(follower, True); ready(os.ttyname(follower)); rest()"
    culprit = world.python(code)
    name = culprit.words[0]
    write = "fd = os.open(ARGS[0], os.O_RDWR | os.O_NOCTTY); ready()\nwhile True: os.write(fd, b'x' * 4096)"
    return _pair(world, world.python(write, name), culprit, name)


# --- locks --------------------------------------------------------------------------------------------


@stage
def flock_crosswise(world: World) -> Stage:
    """Two processes hold one lock each and want the other's."""
    one, other = world.directory / "one.lock", world.directory / "other.lock"
    code = """
f, g = open(ARGS[0], 'w'), open(ARGS[1], 'w'); fcntl.flock(f, 2); ready()
while not os.path.exists(ARGS[2]): time.sleep(0.002)
fcntl.flock(g, 2)
"""
    go = world.directory / "go"
    first, second = world.python(code, one, other, go), world.python(code, other, one, go)
    go.touch()
    world.rests_in(("flock",), first.pid, second.pid)
    says = ("other.lock", "one.lock", "deadlock")
    return Stage(target=first.pid, culprit=first.pid, verdict="stuck", deadlock=True, says=says)


@stage
def lease_is_broken(world: World) -> Stage:
    path = world.directory / "leased"
    path.write_text("x")
    code = "signal.signal(signal.SIGIO, signal.SIG_IGN); f = open(ARGS[0]); fcntl.fcntl(f, 1024, 0); ready(); rest()"
    culprit = world.python(code, path)
    target = world.python("ready(); os.open(ARGS[0], os.O_WRONLY)", path)
    return _pair(world, target, culprit, "leased")


@stage
def file_system_that_hangs(world: World) -> Stage:
    """A FUSE file system whose server does not answer, as one over a network that is down."""
    place = world.directory / "remote"
    place.mkdir()
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fd},rootmode=40000,user_id=0,group_id=0'.encode()
if libc.mount(b'remote:/export', os.fsencode(ARGS[0]), b'fuse.slow', 0, options):
    raise OSError(ctypes.get_errno(), 'mount')
ready(); rest()
"""
    libc = ctypes.CDLL(None)
    world.cleanup(libc.umount2, os.fsencode(place), 2)
    culprit = world.python(code, place)
    target = world.python("ready(); os.open(ARGS[0] + '/report', os.O_RDONLY)", place)
    return _pair(world, target, culprit, "/remote/", "served by")


@stage
def mixed_chain(world: World) -> Stage:
    """A parent waits for a child, the child for a lock, its holder for a TCP answer, and that server is stopped."""
    server = world.python(
        "s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); c, _ = s.accept(); rest()"
    )
    path = world.directory / "mixed.lock"
    holder = "f = open(ARGS[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n" + _TCP_CLIENT
    middle = world.python(holder, server.words[0], path)
    lock = _FLOCK.replace("ready(); ", "")
    target = world.python(f"child = os.fork()\nif child == 0:\n {lock}\nready(child); os.waitpid(child, 0)", path)
    os.kill(server.pid, signal.SIGSTOP)
    world.rests(server.pid, states="T")
    world.rests(target.pid, middle.pid, *_children(target.pid))
    says = ("mixed.lock", str(middle.pid), f"127.0.0.1:{server.words[0]}", "stopped by a signal")
    return Stage(target=target.pid, culprit=server.pid, verdict="stuck", says=says)


@stage
def ring_of_three_mutexes(world: World) -> Stage:
    target = world.program("cycle_of_three")
    world.until(lambda: len(os.listdir(f"/proc/{target.pid}/task")) == 3, "threads")
    world.rests_in(("futex",), *map(int, os.listdir(f"/proc/{target.pid}/task")))
    return Stage(target=target.pid, culprit=target.pid, verdict="stuck", deadlock=True, says=("mutex", "deadlock"))


_TWO_WAITERS = """
other = threading.Thread(target=threading.Event().wait, args={other}, daemon=True); other.start()
ready(other.native_id); threading.Event().wait{main}
"""


def _two_waiters(world: World, other: str, main: str, *says: str, deadlock: bool = False) -> Stage:
    target = world.python(_TWO_WAITERS.format(other=other, main=main))
    thread = int(target.words[0])
    world.rests_in(("futex",), target.pid, thread)
    culprit = target.pid if deadlock else thread
    return Stage(target=target.pid, culprit=culprit, verdict="stuck", deadlock=deadlock, says=says)


@stage
def two_threads_that_nobody_wakes(world: World) -> Stage:
    """Each waits for the other to wake it, with no time limit, and there is no third."""
    return _two_waiters(world, "()", "()", "likely a deadlock", deadlock=True)


@stage
def a_timeout_is_no_deadlock(world: World) -> Stage:
    """The other thread goes on by itself after a while, as those do that work at intervals."""
    return _two_waiters(world, "(300,)", "()", "left")


@stage
def a_timeout_of_its_own(world: World) -> Stage:
    return _two_waiters(world, "()", "(300,)", "futex")


@stage
def poll_crosswise_with_timeouts(world: World) -> Stage:
    """Two processes wait for each other's pipe, and both give up after a while."""
    first, second = world.pipe(), world.pipe()
    code = "ready(); select.select([int(ARGS[0])], [], [], 300)"
    one = world.python(code, first[0], fds=(first[0], second[1]))
    other = world.python(code, second[0], fds=(second[0], first[1]))
    close(*first[:2], *second[:2])
    return _pair(world, one, other, first[2], "left")


@stage
def mutex_of_a_dead_thread(world: World) -> Stage:
    target = world.program("dead_owner")
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="stuck", says=(target.words[0], "has ended"))


@stage
def futex_of_unknown_layout(world: World) -> Stage:
    """What stands behind the word looks like an owner, but the rest is no glibc mutex: nobody may be named."""
    target = world.program("foreign_futex")
    threads = [int(tid) for tid in os.listdir(f"/proc/{target.pid}/task") if int(tid) != target.pid]
    world.rests(target.pid, *threads)
    return Stage(target=target.pid, culprit=tuple(threads), verdict="stuck", says=("futex", "one of"))


# --- processes and other calls ------------------------------------------------------------------------


@stage
def vfork_with_an_older_child(world: World) -> Stage:
    target = world.program("vfork_second")
    older = int(target.words[0])
    world.until(lambda: len(_children(target.pid)) == 2, "no vfork child")
    child = next(pid for pid in _children(target.pid) if pid != older)
    world.rests(child, target.pid, older)
    return Stage(target=target.pid, culprit=child, verdict="stuck", says=("vfork",))


@stage
def two_children(world: World) -> Stage:
    code = """
children = [os.fork() or rest()]
children.append(os.fork() or rest())
ready(*children); os.wait()
"""
    target = world.python(code)
    children = tuple(map(int, target.words))
    world.rests(target.pid, *children)
    return Stage(target=target.pid, culprit=children, verdict="stuck", says=("children",))


@stage
def child_that_works(world: World) -> Stage:
    """The child uses the CPU: its parent is slow, not stuck."""
    target = world.python("child = os.fork()\nif child == 0:\n while True: pass\nready(child); os.waitpid(child, 0)")
    world.rests(target.pid)
    return Stage(target=target.pid, culprit=int(target.words[0]), verdict="slow", says=("% of a CPU",))


@stage
def waits_for_a_signal(world: World) -> Stage:
    target = world.python("ready(); signal.pause()")
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("signal",))


@stage
def waits_for_an_event(world: World) -> Stage:
    target = world.python("fd = os.eventfd(0); ready(); os.eventfd_read(fd)")
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("eventfd",))


@stage
def waits_for_io_uring(world: World) -> Stage:
    target = world.program("io_uring")
    if target.words[0] != "0":
        raise OSError(int(target.words[0]), "io_uring_setup")
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("io_uring",))


@stage
def shell_waits_for_a_person(world: World) -> Stage:
    """A parent waits for a child that reads a terminal: a person is waited for."""
    leader, follower = os.openpty()
    world.cleanup(os.close, leader)
    name = os.ttyname(follower)
    code = "child = os.fork()\nif child == 0:\n os.read(int(ARGS[0]), 1)\nready(child); os.waitpid(child, 0)"
    target = world.python(code, follower, fds=(follower,))
    os.close(follower)
    child = int(target.words[0])
    world.rests(target.pid, child)
    return Stage(target=target.pid, culprit=child, verdict="idle", says=(name, "person"))


@stage
def holder_with_many_threads(world: World) -> Stage:
    reading, writing, name = world.pipe()
    code = "[threading.Thread(target=rest).start() for _ in range(5)]; ready(); rest()"
    culprit = world.python(code, fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    return _pair(world, target, culprit, name)


@stage
def writer_to_a_stopped_reader(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(reading,))
    target = world.python(WRITER, writing, fds=(writing,))
    close(reading, writing)
    os.kill(culprit.pid, signal.SIGSTOP)
    world.rests(culprit.pid, states="T")
    world.rests(target.pid)
    return Stage(target=target.pid, culprit=culprit.pid, verdict="stuck", says=(name, "stopped by a signal"))
