"""Java, Node and Go: threads of the runtime beside those of the program, and locks that only the runtime knows."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from field_judge import TICKS, Truth
from field_web import CLIENT
from field_world import Field, program, scenario
from why_world import Role, World

from straced.linux import procfs

_SOURCES = Path(__file__).with_name("programs")


def _says_ready(world: World, *argv: str, **options: object) -> Role:
    """Start a program that writes a line when it is where it should be; the words of that line are the role's.

    It is given when its compilers rest, too: they go on for a while with what the start has left them.
    """
    role = world.command(*argv, stdout=subprocess.PIPE, **options)
    assert role.process.stdout is not None
    line = role.process.stdout.readline().decode()
    if not line:
        raise RuntimeError(f"{argv[0]} ended: {role.process.wait(5)}")
    role.words = line.split()
    world.until(lambda: _is_calm(role.pid), f"{argv[0]} does not come to rest")
    return role


def _is_calm(pid: int) -> bool:
    """Whether no thread of a process runs or is ready to, and they all used no more than 1 ms in 50."""

    def used_ns() -> int | None:
        tids = procfs.tasks(pid)
        if any(procfs.stat(f"{pid}/task/{tid}").state == "R" for tid in tids):
            return None
        return sum(int(procfs.read(f"{pid}/task/{tid}/schedstat").split()[0]) for tid in tids)

    try:
        before = used_ns()
        time.sleep(0.05)
        after = used_ns()
    except procfs.Gone:  # a compiler's thread
        return False
    return before is not None and after is not None and after - before <= 1_000_000


def _compiled(field: Field) -> Path:
    place = field.place("java")
    sources = map(str, _SOURCES.glob("*.java"))
    command = [program("javac"), "-J-XX:-UsePerfData", "-J-XX:TieredStopAtLevel=1", "-d", str(place), *sources]
    subprocess.run(command, check=True, timeout=120)
    return place


def _java(field: Field, world: World, name: str, *args: object, options: tuple[str, ...] = ()) -> Role:
    """A Java program; with one collector and one compiler thread it starts sooner, and it leaves no file behind."""
    options += ("-XX:-UsePerfData", "-Xshare:auto", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    classes = str(field.shared(_compiled))
    return _says_ready(world, program("java"), *options, "-cp", classes, name, *map(str, args))


@scenario("javac")
def java_deadlock_of_two_monitors(field: Field, world: World) -> Truth:
    """A monitor's owner is known to the virtual machine alone: that it is one of these two is said, and what to ask."""
    target = _java(field, world, "Monitors")
    return Truth(
        target=target.pid,
        verdicts=("stuck",),
        says=(" (first)", " (second)"),
        next=f"jcmd {target.pid} Thread.print",
        deadlock=True,
        may_be_one_of=True,
    )


@scenario("javac")
def java_pool_that_waits_for_a_stopped_server(field: Field, world: World) -> Truth:
    """The threads of a pool read from a server that is stopped; the main thread waits for their results."""
    server = world.python(
        "s = socket.create_server((ARGS[0], 0)); ready(s.getsockname()[1]); kept = s.accept(), s.accept(); rest()",
        field.host,
    )
    target = _java(field, world, "Pool", field.host, server.words[0])
    workers = [tid for tid in procfs.tasks(target.pid) if _thread_name(target.pid, tid).startswith("pool")]
    world.rests_in(("poll", "recvfrom", "read"), *workers)
    world.stop(server.pid)
    return Truth(target=target.pid, verdicts=("stuck",), culprits=frozenset({server.pid}))


def _thread_name(pid: int, tid: int) -> str:
    """``""`` of a thread that ends meanwhile, as those of the compiler do."""
    try:
        return procfs.stat(f"{pid}/task/{tid}").comm
    except procfs.Gone:
        return ""


def idle_java(field: Field) -> int:
    """A Java server that all share; its pid."""
    return _java(field, field.world, "Listener", field.host).pid


def resting_java(field: Field) -> int:
    """A Java program whose pools rest, and that can be asked about deadlocks; its pid."""
    return _java(field, field.world, "Resting", options=("-XX:+StartAttachListener",)).pid


class NodeServer:
    """A server of Node's that leaves some requests unanswered."""

    def __init__(self, field: Field) -> None:
        role = _says_ready(field.world, program("node"), str(_SOURCES / "server.js"), field.host)
        self.pid, self.port = role.pid, int(role.words[0])


@scenario("javac")
def java_idle_server(field: Field, world: World) -> Truth:
    """Waits for a connection; its collector, compilers and signal thread rest."""
    return Truth(target=field.shared(idle_java), verdicts=("idle",))


@scenario("node")
def node_idle_and_its_client(field: Field, world: World) -> list[Truth]:
    """A server that never answers one request, by a timer of its own: to the outside it rests."""
    target = field.shared(NodeServer)
    client = world.python(CLIENT, field.host, target.port, "/slow")
    world.rests(client.pid, target.pid)
    threads = frozenset(map(int, procfs.tasks(target.pid)))
    return [
        Truth(target=target.pid, verdicts=("idle",)),
        Truth(
            target=client.pid,
            verdicts=TICKS,
            culprits=frozenset({target.pid}),
            says=(str(target.pid),),
        ),
        *(Truth(target=tid, verdicts=("idle",)) for tid in sorted(threads - {target.pid})[:3]),
    ]


@scenario("go", in_suite=False)
def go_deadlock_beside_a_listener(field: Field, world: World) -> Truth:
    """Two goroutines wait for each other; that there is a listener keeps Go itself from noticing."""
    built = field.shared(_built_go)
    target = _says_ready(world, str(built), field.host)
    world.rests(target.pid)
    return Truth(target=target.pid, verdicts=("idle",), next=f"kill -QUIT {target.pid}")


def _built_go(field: Field) -> Path:
    place = field.place("go")
    built = place / "waits"
    environment = {
        "HOME": str(place),
        "GOFLAGS": "-mod=mod",
        "GO111MODULE": "off",
        "PATH": "/usr/bin:/bin",
        "GOCACHE": str(place),
    }
    source = str(_SOURCES / "waits.go")
    subprocess.run([program("go"), "build", "-o", built, source], check=True, timeout=300, env=environment, cwd=place)
    return built
