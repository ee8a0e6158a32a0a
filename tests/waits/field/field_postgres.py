"""PostgreSQL: backends wait on a latch, which any process of the server may set, and all of them for its death."""

from __future__ import annotations

import os
import signal
import subprocess

from field_judge import Truth
from field_world import Field, as_user, program, scenario, title, unprivileged
from why_world import World

from straced.linux import procfs


class Postgres:
    """A cluster of its own on a unix socket."""

    def __init__(self, field: Field) -> None:
        self.world = field.world
        user = unprivileged("postgres")
        self.place = field.place("postgres", user)
        data = self.place / "data"
        initdb = [program("initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync", "--no-instructions"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": self.place}
        subprocess.run(initdb, check=True, timeout=60, **quiet, **as_user(user))  # type: ignore[call-overload]
        settings = ("listen_addresses=", "shared_buffers=16MB", "max_connections=20", "autovacuum_naptime=1h")
        options = [word for setting in settings for word in ("-c", setting)]
        argv = [program("postgres"), "-D", str(data), "-k", str(self.place), *options]
        self.pid = field.server(*argv, stop=signal.SIGINT, cwd=self.place, **as_user(user))
        self.world.until(lambda: (data / "postmaster.pid").exists() and self._is_ready(), "PostgreSQL does not start")
        with self.session(self.world) as setup:
            setup.ask("create table t (id int primary key, n int, filler text); insert into t values (1, 0)")

    def _is_ready(self) -> bool:
        command = [program("pg_isready"), "-q", "-h", str(self.place)]
        return subprocess.run(command, timeout=30, check=False).returncode == 0

    def session(self, world: World) -> Session:
        """A connection by psql, which ends with ``world``."""
        return Session(self, world)

    @property
    def pids(self) -> list[int]:
        return [self.pid, *procfs.descendants(self.pid)]

    def worker(self, name: str) -> int:
        """The process of a background worker, by its title."""
        return next(pid for pid in self.pids if name in title(pid))


class Session:
    """One psql and the backend that serves it."""

    def __init__(self, server: Postgres, world: World) -> None:
        argv = [program("psql"), "-XqAt", "-h", str(server.place), "-U", "postgres", "-d", "postgres"]
        pipe = subprocess.PIPE
        self._process = world.command(*argv, stdin=pipe, stdout=pipe).process
        self.client = self._process.pid
        world.cleanup(self.__exit__)
        self.backend = int(self.ask("select pg_backend_pid()"))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def send(self, statement: str) -> None:
        """Have it run, without an answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{statement};\n".encode())
        self._process.stdin.flush()

    def ask(self, statement: str) -> str:
        """Have it run, and read its one line."""
        assert self._process.stdout is not None
        self.send(statement)
        self.send("\\echo .")
        lines = iter(self._process.stdout.readline, b"")
        found = []
        for line in lines:
            if line.startswith(b"."):
                return b"".join(found).decode().strip()
            found.append(line)
        raise RuntimeError("psql ended")


def _waits(world: World, pid: int, words: str) -> None:
    """Until the database itself says in its title what a backend waits for."""
    world.until(lambda: words in title(pid), f"{pid} is not in {words!r}: {title(pid)!r}")
    world.rests(pid)


def _idle(pid: int) -> Truth:
    return Truth(target=pid, verdicts=("idle",))


@scenario("postgres")
def postgres_idle(field: Field, world: World) -> list[Truth]:
    """The postmaster, its workers, and a backend whose client rests between two statements."""
    server = field.shared(Postgres)
    server.session(world)
    world.rests(*server.pids)
    return [_idle(pid) for pid in server.pids]


def _blocked(field: Field, world: World, holding: str, waiting: str, words: str) -> Truth:
    server = field.shared(Postgres)
    holder, waiter = server.session(world), server.session(world)
    holder.ask(holding)
    waiter.send(waiting)
    _waits(world, waiter.backend, words)
    return Truth(
        target=waiter.backend,
        verdicts=("stuck", "slow"),  # it wakes once, to look for a deadlock
        says=("latch", words),
        next=f"pg_blocking_pids({waiter.backend})",
    )


@scenario("postgres")
def postgres_row_lock(field: Field, world: World) -> Truth:
    update = "update t set n = n + 1 where id = 1"
    return _blocked(field, world, f"begin; {update}", update, "UPDATE waiting")


@scenario("postgres")
def postgres_advisory_lock(field: Field, world: World) -> Truth:
    lock = "select pg_advisory_lock(7)"
    return _blocked(field, world, lock, lock, "SELECT waiting")


@scenario("postgres")
def postgres_client_of_a_blocked_backend(field: Field, world: World) -> Truth:
    """The client's own end: its backend, and from there the latch."""
    server = field.shared(Postgres)
    holder, waiter = server.session(world), server.session(world)
    holder.ask("select pg_advisory_lock(8)")
    waiter.send("select pg_advisory_lock(8)")
    _waits(world, waiter.backend, "SELECT waiting")
    world.rests(waiter.client)
    return Truth(target=waiter.client, verdicts=("stuck",), says=(str(waiter.backend), "latch"))


@scenario("postgres")
def postgres_checkpoint(field: Field, world: World) -> list[Truth]:
    """A backend waits for a checkpoint, which takes its time: who sets its latch then, the server alone knows."""
    server = field.shared(Postgres)
    checkpointer = server.worker("checkpointer")
    writer, waiter, ender = (server.session(world) for _ in range(3))
    writer.ask("insert into t select n, n, repeat('x', 500) from generate_series(2, 20000) n")
    world.cleanup(ender.ask, f"select pg_terminate_backend({waiter.backend}); delete from t where id > 1; checkpoint")
    waiter.send("select pg_backup_start('field', false)")
    _waits(world, waiter.backend, "SELECT")
    workers = [pid for pid in server.pids if pid not in (checkpointer, waiter.backend)]
    waits = Truth(
        target=waiter.backend,
        verdicts=("stuck",),
        says=("its latch, which any process of its server may set", "SELECT"),
        next=f"SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = {waiter.backend}",
    )
    return [waits, *(_idle(pid) for pid in workers)]


@scenario("postgres")
def postgres_stopped_holder_of_a_light_lock(field: Field, world: World) -> Truth:
    """A backend that was stopped while it writes the log; another one cannot commit, and sleeps on a semaphore."""
    server = field.shared(Postgres)
    holder, waiter = server.session(world), server.session(world)
    holder.send("do $$ begin loop update t set n = n + 1 where id = 1; commit; end loop; end $$")
    world.cleanup(os.kill, holder.backend, signal.SIGTERM)
    world.cleanup(os.kill, holder.backend, signal.SIGCONT)
    waiter.send("do $$ begin loop insert into t values (0, 0); delete from t where id = 0; commit; end loop; end $$")
    world.cleanup(os.kill, waiter.backend, signal.SIGTERM)

    def is_caught() -> bool:
        os.kill(holder.backend, signal.SIGSTOP)
        world.rests(holder.backend, states="T")
        for _ in range(20):
            if world.is_at_rest(waiter.backend) and _in_futex(waiter.backend):
                return True
        os.kill(holder.backend, signal.SIGCONT)
        return False

    world.until(is_caught, "the backend was never stopped with the lock")
    return Truth(
        target=waiter.backend,
        verdicts=("stuck",),
        culprits=frozenset({holder.backend}),
        next=f"kill -CONT {holder.backend}",
        may_be_one_of=True,
    )


def _in_futex(pid: int) -> bool:
    return procfs.read(f"{pid}/wchan").startswith(b"futex")
