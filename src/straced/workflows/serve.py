"""``straced serve`` from start to end: lock, clean-up after a killed one, signals, the end of everything."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import logging
import resource
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from straced.config import loader, paths
from straced.config.paths import ServicePaths
from straced.config.schema import Config, ConfigError
from straced.errors import StracedError
from straced.faults import faults
from straced.linux.allocator import return_large_blocks
from straced.manager.process_group import ProcessGroupManager
from straced.model.owner import NOBODY
from straced.service.daemon import sd_notify
from straced.service.daemon.lock import ServiceLock
from straced.service.daemon.stalls import WatchedSelector, stalls
from straced.service.service import Service
from straced.text.units import count_of
from straced.tracers.strace.own_helpers import own_helpers
from straced.workflows.daemon import Daemon

log = logging.getLogger("straced.service")
PR_SET_DUMPABLE = 4
SWITCH_S = 0.0005
"""The loop waits so long for each thread that is at work on history, whenever it has let go of the interpreter."""
HELPERS_S = 1.0


def serve(path: Path | None, config: Config, http: str | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. ``http`` is where the page is, whatever is configured.

    Raises:
        AlreadyRunning, StoreError, SocketTaken, AddressTaken, TracerUnavailable: nothing was served.
    """
    keep_secrets()
    return_large_blocks()
    sys.setswitchinterval(SWITCH_S)
    where = paths.of(config)
    with ServiceLock(where.lock):
        helpers = ProcessGroupManager(journal=where.journal)
        helpers.setup()
        left = helpers.cleanup_orphans()
        if left:
            log.warning("helpers_left_behind", extra={"straced": {"pids": left}})
        try:
            with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(WatchedSelector())) as runner:
                return runner.run(_serve(path, config, where, helpers, http))
        finally:
            survivors = helpers.kill_helpers(timeout_s=HELPERS_S)
            if survivors:
                log.error("helpers_survive", extra={"straced": {"pids": survivors}})


def keep_secrets() -> None:
    """What is in memory here is other people's: no core files, and no look into it by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _serve(
    path: Path | None, config: Config, where: ServicePaths, helpers: ProcessGroupManager, http: str | None
) -> int:
    daemon = Daemon(config, where, http)
    service = daemon.service
    tasks: list[asyncio.Task[None]] = []
    asyncio.get_running_loop().set_exception_handler(faults.of_loop)
    stalls.report = functools.partial(_stood_still, service)
    try:
        with signals(daemon, path):
            daemon.start()
            gc.freeze()  # what is there now stays: the collector need not look through it again and again
            await daemon.listen(config)
            tasks += [asyncio.create_task(work) for work in (_watch_helpers(helpers, daemon), _sign_of_life(service))]
            sd_notify.notify("READY=1", f"STATUS=watches by {count_of(len(service.rulebook.all), 'rule')}")
            log.info("serving", extra={"straced": {"socket": str(where.socket), "tracer": service.tracer or "none"}})
            await service.run()
    finally:
        stalls.report = None
        sd_notify.notify("STOPPING=1")
        for task in tasks:
            task.cancel()
        await daemon.stop()
    log.info("stopped")
    return 0


@contextlib.contextmanager
def signals(daemon: Daemon, path: Path | None) -> Iterator[None]:
    """SIGTERM and SIGINT end the service, SIGHUP has it read its configuration anew, SIGUSR1 dump what it records."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def begin(work: Coroutine[Any, Any, None]) -> None:
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.service.ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: begin(reload(daemon, path)))
        loop.add_signal_handler(signal.SIGUSR1, lambda: begin(daemon.service.flight.dump_for_signal()))
    yield


async def reload(daemon: Daemon, path: Path | None) -> None:
    """Read the configuration anew; one that cannot be used changes nothing, and is said."""
    service = daemon.service
    sd_notify.reloading()
    try:
        _path, config = loader.find_config(path)
        check_unchangeable(service.config, config)
        service.reload(config)
        await daemon.listen(config)
        service.config_error = None
        log.info("reloaded")
    except StracedError as error:
        # What the file says may be secret, and everybody may ask for the status, and read an event, or the log.
        why = error.public if isinstance(error, ConfigError) else f"a value cannot be used: {error.code}"
        service.config_error = why
        service.say("reload_refused", why)
        log.error("reload_refused", extra={"straced": {"why": why, "hint": "straced serve --check"}})
    finally:
        sd_notify.notify("READY=1")


def check_unchangeable(before: Config, after: Config) -> None:
    """Raise ConfigError for what a running service cannot change: where it lives, and by what it counts."""
    for name, old, new in (
        ("state", before.state, after.state),
        ("ipc.socket", before.ipc.socket, after.ipc.socket),
        ("tracer", before.tracer, after.tracer),
    ):
        if old != new:
            raise ConfigError(f"{name} cannot be changed while the service runs", hint="systemctl restart straced")


def _stood_still(service: Service, seconds: float, what: str) -> None:
    """Say that nobody was answered for a while, and for whose sake; only root reads it."""
    log.warning("stood_still", extra={"straced": {"seconds": round(seconds, 1), "what": what}})
    text = f"the service stood still for {seconds:.1f} s: {what}"
    service.say("stood_still", text, owner=NOBODY, seconds=seconds)


async def _watch_helpers(helpers: ProcessGroupManager, daemon: Daemon) -> None:
    """Write down each helper that was started, so that the next service could clear it away."""
    known: set[int] = set()
    while True:
        now = own_helpers(idle=False)
        for pid in set(now) - known:
            helpers.track(pid, helper=True)
        known = set(now)
        busy = now or daemon.server.clients or daemon.service.reactions.busy
        await asyncio.sleep(0.5 if busy else 3.0)  # a service without work is not to be woken up


async def _sign_of_life(service: Service) -> None:
    """Tell the service manager that ticks go on; without them it restarts the service.

    It is a task of the loop and of nothing else: a loop that stands still gives no sign.
    """
    period = sd_notify.watchdog_s()
    if period is None:
        return
    last = -1
    while True:
        late = max(period, 3 * service.config.interval / 1e9)
        if service.ticks != last or late > period:
            sd_notify.notify(
                "WATCHDOG=1", f"STATUS=watches {count_of(len(service.watcher.watchlist.watched), 'process')}"
            )
        last = service.ticks
        await asyncio.sleep(period)
