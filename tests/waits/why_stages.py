"""Staged situations: real processes that wait for each other in a known way, and what the answer must say."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from why_world import Role, World, close


class Stage(Struct, frozen=True, kw_only=True):
    """What was staged, and the truth about it."""

    target: int
    verdict: str
    culprit: int | tuple[int, ...] | None = None
    """The task (or all of them) at the root of the chain; ``None`` when nobody else holds the target up."""
    says: tuple[str, ...] = ()
    """Words that the sentence must have: the resource, as a rule."""
    deadlock: bool = False

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes of the stage that may be nobody's children any more."""
        culprits = self.culprit if isinstance(self.culprit, tuple) else (self.culprit,)
        return self.target, *(pid for pid in culprits if pid is not None and os.path.exists(f"/proc/{pid}/task/{pid}"))


STAGES: dict[str, Callable[[World], Stage]] = {}


def stage(function: Callable[[World], Stage]) -> Callable[[World], Stage]:
    STAGES[function.__name__] = function
    return function


SLEEPER = "ready(); rest()"
READER = "ready(); os.read(int(ARGS[0]), 1); rest()"
WRITER = "ready()\nwhile True: os.write(int(ARGS[0]), bytes(65536))"


def _pair(world: World, target: Role, culprit: Role, *says: str, verdict: str = "stuck") -> Stage:
    world.rests(target.pid, culprit.pid)
    return Stage(target=target.pid, culprit=culprit.pid, verdict=verdict, says=says)


# --- pipes --------------------------------------------------------------------------------------------


@stage
def pipe_read(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    return _pair(world, target, culprit, name)


@stage
def pipe_write(world: World) -> Stage:
    reading, writing, name = world.pipe()
    culprit = world.python(SLEEPER, fds=(reading,))
    target = world.python(WRITER, writing, fds=(writing,))
    close(reading, writing)
    return _pair(world, target, culprit, name, "full")


@stage
def fifo_full(world: World) -> Stage:
    path = world.directory / "queue.fifo"
    os.mkfifo(path)
    holding = os.open(path, os.O_RDWR)
    culprit = world.python("fd = os.open(ARGS[0], os.O_RDONLY); ready(); rest()", path)
    target = world.python("fd = os.open(ARGS[0], os.O_WRONLY)\nARGS[0] = fd\n" + WRITER, path)
    close(holding)
    return _pair(world, target, culprit, "queue.fifo", "full")


@stage
def fifo_open(world: World) -> Stage:
    path = world.directory / "lonely.fifo"
    os.mkfifo(path)
    target = world.python("ready(); os.open(ARGS[0], os.O_RDONLY)", path)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="stuck", says=("lonely.fifo", "nobody"))


@stage
def chain_of_three(world: World) -> Stage:
    first, second = world.pipe(), world.pipe()
    root = world.python(SLEEPER, fds=(second[1],))
    middle = world.python(READER, second[0], fds=(second[0], first[1]))
    target = world.python(READER, first[0], fds=(first[0],))
    close(*first[:2], *second[:2])
    world.rests(middle.pid)
    return _pair(world, target, root, first[2], second[2])


@stage
def cycle_of_two(world: World) -> Stage:
    first, second = world.pipe(), world.pipe()
    one = world.python(READER, first[0], fds=(first[0], second[1]))
    other = world.python(READER, second[0], fds=(second[0], first[1]))
    close(*first[:2], *second[:2])
    world.rests(one.pid, other.pid)
    return Stage(
        target=one.pid,
        culprit=one.pid,
        verdict="stuck",
        deadlock=True,
        says=(first[2], second[2], str(other.pid), "deadlock"),
    )


@stage
def pipe_to_itself(world: World) -> Stage:
    target = world.python("r, w = os.pipe(); ready(os.readlink(f'/proc/self/fd/{r}')); os.read(r, 1)")
    world.rests(target.pid)
    return Stage(
        target=target.pid, culprit=target.pid, verdict="stuck", deadlock=True, says=(target.words[0], "deadlock")
    )


@stage
def pipeline_stopped(world: World) -> Stage:
    """A shell waits for a pipeline whose last member is stopped; the first writes into a full pipe."""
    shell = world.command("sh", "-c", "yes | cat | sleep 600; true", stdout=-3)
    world.until(lambda: len(_children(shell.pid)) == 3, "the pipeline is not complete")
    members = {_comm(pid): pid for pid in _children(shell.pid)}
    world.until(
        lambda: {_comm(pid) for pid in _children(shell.pid)} == {"yes", "cat", "sleep"}, "members did not start"
    )
    members = {_comm(pid): pid for pid in _children(shell.pid)}
    os.kill(members["sleep"], signal.SIGSTOP)
    world.rests(members["sleep"], states="T")
    world.rests(members["yes"], members["cat"], shell.pid)
    return Stage(target=members["yes"], culprit=members["sleep"], verdict="stuck", says=("pipe:[", "stopped", "full"))


@stage
def pipeline_of_a_shell(world: World) -> Stage:
    """The same, asked of the shell."""
    return Stage(
        target=_parent((found := pipeline_stopped(world)).target),
        culprit=found.culprit,
        verdict="stuck",
        says=("stopped",),
    )


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


# --- sockets ------------------------------------------------------------------------------------------

_STREAM_SERVER = """
server = socket.socket(socket.AF_UNIX)
server.bind(ARGS[0].replace('@', chr(0)))
server.listen(5)
ready()
connection, _ = server.accept()
rest()
"""
_STREAM_CLIENT = """
client = socket.socket(socket.AF_UNIX)
client.connect(ARGS[0].replace('@', chr(0)))
client.send(b'request')
ready()
client.recv(1)
"""


@stage
def unix_stream(world: World) -> Stage:
    path = str(world.directory / "stream.sock")
    culprit = world.python(_STREAM_SERVER, path)
    return _pair(world, world.python(_STREAM_CLIENT, path), culprit, "stream.sock")


@stage
def unix_abstract(world: World) -> Stage:
    name = f"@straced-{os.getpid()}-{id(world)}"
    culprit = world.python(_STREAM_SERVER, name)
    return _pair(world, world.python(_STREAM_CLIENT, name), culprit, name)


@stage
def unix_pair(world: World) -> Stage:
    one, other = socket.socketpair()
    with one, other:
        culprit = world.python(SLEEPER, fds=(other.fileno(),))
        target = world.python(READER, one.fileno(), fds=(one.fileno(),))
    return _pair(world, target, culprit, "unix")


_DATAGRAM_RECEIVER = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(ARGS[0]); ready(); rest()"


@stage
def unix_datagram(world: World) -> Stage:
    path = str(world.directory / "datagram.sock")
    culprit = world.python(_DATAGRAM_RECEIVER, path)
    code = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(ARGS[0]); ready()\nwhile True: s.send(b'x')"
    return _pair(world, world.python(code, path), culprit, "datagram.sock")


@stage
def unix_datagram_sendto(world: World) -> Stage:
    path = str(world.directory / "sendto.sock")
    culprit = world.python(_DATAGRAM_RECEIVER, path)
    code = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); ready()\nwhile True: s.sendto(b'x', ARGS[0])"
    return _pair(world, world.python(code, path), culprit, "sendto.sock")


@stage
def unix_backlog(world: World) -> Stage:
    path = str(world.directory / "backlog.sock")
    culprit = world.python("s = socket.socket(socket.AF_UNIX); s.bind(ARGS[0]); s.listen(0); ready(); rest()", path)
    code = "kept = []; ready()\nwhile True:\n s = socket.socket(socket.AF_UNIX); kept.append(s); s.connect(ARGS[0])"
    return _pair(world, world.python(code, path), culprit, "backlog.sock")


_TCP_SERVER = """
server = socket.create_server(('127.0.0.1', 0), backlog=int(ARGS[0]))
ready(server.getsockname()[1])
if ARGS[1] == 'accept':
    connection, _ = server.accept()
rest()
"""
_TCP_CLIENT = "c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); c.send(b'request'); ready(); c.recv(1)"


@stage
def tcp_silent_peer(world: World) -> Stage:
    culprit = world.python(_TCP_SERVER, 5, "accept")
    port = culprit.words[0]
    return _pair(world, world.python(_TCP_CLIENT, port), culprit, f"127.0.0.1:{port}")


@stage
def tcp_never_accepted(world: World) -> Stage:
    culprit = world.python(_TCP_SERVER, 5, "no")
    port = culprit.words[0]
    return _pair(world, world.python(_TCP_CLIENT, port), culprit, f"127.0.0.1:{port}")


@stage
def tcp_send(world: World) -> Stage:
    culprit = world.python(_TCP_SERVER, 5, "accept")
    port = culprit.words[0]
    code = "c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); ready()\nwhile True: c.send(bytes(1 << 20))"
    return _pair(world, world.python(code, port), culprit, f"127.0.0.1:{port}")


@stage
def tcp_backlog(world: World) -> Stage:
    culprit = world.python(_TCP_SERVER, 0, "no")
    port = culprit.words[0]
    code = """
kept = []
for _ in range(3):
    s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', int(ARGS[0]))); kept.append(s)
ready()
socket.create_connection(('127.0.0.1', int(ARGS[0])))
"""
    return _pair(world, world.python(code, port), culprit, f"127.0.0.1:{port}", "connect")


@stage
def poll_one_peer(world: World) -> Stage:
    """A client that waits for the answer with a timeout, as most HTTP clients do."""
    culprit = world.python(_TCP_SERVER, 5, "accept")
    port = culprit.words[0]
    code = """
c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); c.settimeout(500); ready(); c.recv(1)
"""
    return _pair(world, world.python(code, port), culprit, f"127.0.0.1:{port}")


# --- file locks ---------------------------------------------------------------------------------------

_FLOCK = "f = open(ARGS[0], 'w'); ready(); fcntl.flock(f, fcntl.LOCK_EX); "
_POSIX = "f = open(ARGS[0], 'w'); ready(); fcntl.lockf(f, fcntl.LOCK_EX); "
_OFD = """
f = open(ARGS[0], 'w'); ready()
fcntl.fcntl(f, 38, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))
"""


def _locked(world: World, code: str, file: str) -> Stage:
    path = world.directory / file
    held = code.replace("ready(); ", "").replace("ready()\n", "\n")
    culprit = world.python(held + "\nready(); rest()", path)
    return _pair(world, world.python(code, path), culprit, file, "held by")


@stage
def lock_flock(world: World) -> Stage:
    return _locked(world, _FLOCK, "flock.lock")


@stage
def lock_fcntl(world: World) -> Stage:
    return _locked(world, _POSIX, "posix.lock")


@stage
def lock_ofd(world: World) -> Stage:
    return _locked(world, _OFD, "ofd.lock")


@stage
def lock_queue(world: World) -> Stage:
    """The second in a queue for a lock: the holder is meant, not the one in front."""
    found = _locked(world, _FLOCK, "queue.lock")
    second = world.python(_FLOCK, world.directory / "queue.lock")
    world.rests(second.pid)
    return Stage(target=second.pid, culprit=found.culprit, verdict="stuck", says=("queue.lock", "held by"))


@stage
def lock_shared_by_readers(world: World) -> Stage:
    """A writer waits for two readers: the kernel lists it under one of them, and both are in its way."""
    path = world.directory / "readers.lock"
    code = "f = open(ARGS[0], 'w'); fcntl.flock(f, fcntl.LOCK_SH); ready(); rest()"
    one, other = world.python(code, path), world.python(code, path)
    target = world.python(_FLOCK, path)
    world.rests(one.pid, other.pid, target.pid)
    return Stage(target=target.pid, culprit=(one.pid, other.pid), verdict="stuck", says=(str(one.pid), str(other.pid)))


def _ranges(world: World, holding: str, waiting: str) -> Stage:
    path = world.directory / "ranges.lock"
    world.python(f"f = open(ARGS[0], 'w'); a, n = 0, 10\n{holding}; ready(); rest()", path)
    culprit = world.python(f"f = open(ARGS[0], 'w'); a, n = 20, 10\n{holding}; ready(); rest()", path)
    target = world.python(f"f = open(ARGS[0], 'w'); a, n = 25, 1; ready()\n{waiting}", path)
    return _pair(world, target, culprit, "ranges.lock", "held by")


_OFD_RANGE = "fcntl.fcntl(f, 38, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, a, n, 0))"
_POSIX_RANGE = "fcntl.lockf(f, fcntl.LOCK_EX, n, a)"


@stage
def lock_range_fcntl(world: World) -> Stage:
    """Two processes hold ranges of one file; only one is in the way."""
    return _ranges(world, _POSIX_RANGE, _POSIX_RANGE)


@stage
def lock_range_ofd(world: World) -> Stage:
    return _ranges(world, _OFD_RANGE, _OFD_RANGE)


@stage
def lock_ofd_held_by_fcntl(world: World) -> Stage:
    return _ranges(world, _POSIX_RANGE, _OFD_RANGE)


@stage
def lock_through_fork(world: World) -> Stage:
    """The process that took the lock has ended; its child still has it, and /proc/locks names the dead one."""
    path = world.directory / "forked.lock"
    code = """
f = open(ARGS[0], 'w'); fcntl.flock(f, fcntl.LOCK_EX)
child = os.fork()
if child == 0:
    rest()
ready(child)
"""
    parent = world.python(code, path)
    child = world.owns(int(parent.words[0]))
    parent.process.wait(10)
    target = world.python(_FLOCK, path)
    world.rests(child, target.pid)
    return Stage(target=target.pid, culprit=child, verdict="stuck", says=("forked.lock", "held by"))


# --- futexes ------------------------------------------------------------------------------------------


def _threads(world: World, role: str, *says: str, deadlock: bool = False) -> Stage:
    target = world.program(role)
    other = int(target.words[0])
    world.rests(target.pid, other)
    return Stage(
        target=target.pid, culprit=target.pid if deadlock else other, verdict="stuck", says=says, deadlock=deadlock
    )


@stage
def mutex_deadlock(world: World) -> Stage:
    return _threads(world, "deadlock", "mutex", "deadlock", deadlock=True)


@stage
def mutex(world: World) -> Stage:
    return _threads(world, "mutex", "mutex", "likely held by")


@stage
def rwlock_reader(world: World) -> Stage:
    return _threads(world, "rwlock_read", "rwlock")


@stage
def rwlock_writer(world: World) -> Stage:
    return _threads(world, "rwlock_write", "rwlock")


@stage
def thread_join(world: World) -> Stage:
    return _threads(world, "join", "end of")


@stage
def condition_variable(world: World) -> Stage:
    return _threads(world, "condition", "futex")


@stage
def semaphore(world: World) -> Stage:
    return _threads(world, "semaphore", "futex")


def _shared(world: World, robust: int) -> Stage:
    path = world.directory / "mutex.shm"
    culprit = world.program("shared_hold", path, robust)
    return _pair(world, world.program("shared_wait", path), culprit, "mutex", "in shared memory")


@stage
def shared_mutex(world: World) -> Stage:
    return _shared(world, 0)


@stage
def shared_mutex_robust(world: World) -> Stage:
    return _shared(world, 1)


@stage
def shared_mutex_pi(world: World) -> Stage:
    return _shared(world, 2)


@stage
def python_queue(world: World) -> Stage:
    code = """
import queue
work = queue.Queue()
def produce():
    rest()
producer = threading.Thread(target=produce, daemon=True)
producer.start()
ready(producer.native_id)
work.get()
"""
    target = world.python(code)
    other = int(target.words[0])
    world.rests(target.pid, other)
    return Stage(target=target.pid, culprit=other, verdict="stuck", says=("futex", str(other)))


# --- processes ----------------------------------------------------------------------------------------


@stage
def child_sleeps(world: World) -> Stage:
    target = world.python("child = os.fork()\nif child == 0:\n rest()\nready(child); os.waitpid(child, 0)")
    child = int(target.words[0])
    world.rests(target.pid, child)
    return Stage(target=target.pid, culprit=child, verdict="stuck", says=("child", str(child), "sleeps"))


@stage
def stopped(world: World) -> Stage:
    target = world.python(SLEEPER)
    os.kill(target.pid, signal.SIGSTOP)
    world.rests(target.pid, states="T")
    return Stage(target=target.pid, verdict="stopped", says=("stopped by a signal",))


@stage
def traced(world: World) -> Stage:
    code = """
import ctypes
child = os.fork()
if child == 0:
    rest()
libc = ctypes.CDLL(None)
libc.ptrace(16, child, 0, 0)
os.waitpid(child, 0x40000000)
ready(child); rest()
"""
    culprit = world.python(code)
    child = int(culprit.words[0])
    world.rests(child, states="t")
    world.rests(culprit.pid)
    return Stage(target=child, culprit=culprit.pid, verdict="stopped", says=("tracer",))


@stage
def zombie(world: World) -> Stage:
    culprit = world.python("child = os.fork()\nif child == 0:\n os._exit(0)\nready(child); rest()")
    child = int(culprit.words[0])
    world.rests(child, states="Z")
    world.rests(culprit.pid)
    return Stage(target=child, culprit=culprit.pid, verdict="ended", says=("not yet waited for by its parent",))


@stage
def vfork_parent(world: World) -> Stage:
    target = world.program("vfork")
    world.until(lambda: len(_children(target.pid)) == 1, "no vfork child")
    child = _children(target.pid)[0]
    world.rests(child, target.pid)
    return Stage(target=target.pid, culprit=child, verdict="stuck", says=("vfork",))


def _frozen(world: World, mount: str, freeze: Callable[[Path, bool], object]) -> Stage:
    group = Path(mount) / f"straced-test-{os.getpid()}"
    target = world.python(SLEEPER)
    world.rests(target.pid)
    group.mkdir()

    def thaw() -> None:
        freeze(group, False)
        (Path(mount) / "cgroup.procs").write_text(str(target.pid))
        group.rmdir()

    world.cleanup(thaw)
    (group / "cgroup.procs").write_text(str(target.pid))
    freeze(group, True)
    world.rests(target.pid, states="SD")
    return Stage(target=target.pid, verdict="stopped", says=("frozen by the cgroup", group.name))


@stage
def frozen_v1(world: World) -> Stage:
    def freeze(group: Path, on: bool) -> None:
        (group / "freezer.state").write_text("FROZEN" if on else "THAWED")
        world.until(lambda: (group / "freezer.state").read_text().strip() == ("FROZEN" if on else "THAWED"), "freezer")

    return _frozen(world, "/sys/fs/cgroup/freezer", freeze)


@stage
def frozen_v2(world: World) -> Stage:
    def freeze(group: Path, on: bool) -> None:
        (group / "cgroup.freeze").write_text("1" if on else "0")
        world.until(lambda: f"frozen {int(on)}" in (group / "cgroup.events").read_text(), "freezer")

    return _frozen(world, "/sys/fs/cgroup/unified", freeze)


@stage
def make_waits_for_token(world: World) -> Stage:
    """A sub-make has work left, and all tokens are with a recipe of the outer make and one of its own."""
    top, sub = world.directory / "Makefile", world.directory / "sub.mk"
    # the recipe of the outer make first: it has its token when the sub-make asks for another
    top.write_text("all: two one\none:\n\t+@$(MAKE) --no-print-directory -f sub.mk\ntwo:\n\t@exec sleep 601\n")
    sub.write_text("all: x y\nx:\n\t@exec sleep 602\ny:\n\t@exec sleep 603\n")
    outer = world.command("make", "-j2", cwd=world.directory, stdout=-3)

    def found() -> list[int]:
        return [pid for pid in _children(outer.pid) if _comm(pid) == "make" and len(_children(pid)) == 1]

    world.until(lambda: len(_children(outer.pid)) == 2 and found(), "the makes did not start")
    target = found()[0]
    world.until(lambda: _comm(_children(target)[0]) == "sleep", "the recipe did not start")
    world.rests(target)
    recipes = [*_children(target), *(pid for pid in _children(outer.pid) if pid != target)]
    return Stage(target=target, culprit=tuple(recipes), verdict="stuck", says=("job token", *map(str, recipes)))


# --- nobody's fault -----------------------------------------------------------------------------------


@stage
def epoll_idle(world: World) -> Stage:
    code = """
server = socket.create_server(('127.0.0.1', 0)); poller = select.epoll(); poller.register(server)
ready(server.getsockname()[1]); poller.poll()
"""
    target = world.python(code)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("epoll_wait", f"127.0.0.1:{target.words[0]}"))


@stage
def sleeps(world: World) -> Stage:
    target = world.python(SLEEPER)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=("sleeps", "left"))


@stage
def accepts(world: World) -> Stage:
    target = world.python("s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); s.accept()")
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=(f"127.0.0.1:{target.words[0]}",))


@stage
def busy(world: World) -> Stage:
    return Stage(target=world.program("busy").pid, verdict="busy", says=("% of a CPU",))


@stage
def spin_on_eagain(world: World) -> Stage:
    return Stage(target=world.program("spin_read").pid, verdict="spinning", says=("read calls a second", "EAGAIN"))


@stage
def terminal(world: World) -> Stage:
    leader, follower = os.openpty()
    world.cleanup(os.close, leader)
    name = os.ttyname(follower)
    target = world.python(READER, follower, fds=(follower,))
    os.close(follower)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="idle", says=(name, "person"))
