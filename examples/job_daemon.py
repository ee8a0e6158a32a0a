"""A daemon that runs jobs, and tells of each what it asked of the kernel; no job and no tracer outlives it.

    job_daemon.py < jobs        one job a line, for sh

Each job is traced from its first instruction. Where that is not possible it runs all the same, and the daemon says why.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import straced

AT_A_TIME = 4


class JobDaemon:
    """Runs jobs from a queue, ``AT_A_TIME`` at once."""

    def __init__(self) -> None:
        self.group = straced.ProcessGroupManager()
        self.manager = straced.StraceManager(process_group=self.group)
        self.jobs: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Run all jobs; on SIGTERM end what runs, and detach from everything."""
        self.group.setup(adopt_orphans=True)
        workers = [asyncio.create_task(self._work()) for _ in range(AT_A_TIME)]
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        done = asyncio.create_task(self.jobs.join())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({done, stopped, *workers}, return_when=asyncio.FIRST_COMPLETED)
        for task in (done, stopped, *workers):
            task.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
        if stop.is_set():
            self.group.kill_all_children()
        await self.manager.detach_all()
        self.group.cleanup_orphans()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _work(self) -> None:
        while True:
            line = await self.jobs.get()
            try:
                await self._job(line)
            finally:
                self.jobs.task_done()

    async def _job(self, line: str) -> None:
        process = await self.manager.spawn(["sh", "-c", line])
        status = await process.wait()
        summary = await self.manager.detach(process.pid)
        if summary is None:
            error = self.manager.last_error(process.pid)
            print(f"{line}: status {status}, not counted: {error or 'no reason is known'}", flush=True)
            return
        counts = sorted(summary["syscall_counts"].items(), key=lambda each: -each[1])
        most = ", ".join(f"{name} {calls:,}" for name, calls in counts[:3])
        print(f"{line}: status {status}, {summary['total_calls']:,} calls ({most})", flush=True)


def main() -> None:
    """Read the jobs from stdin."""
    logging.basicConfig(level=logging.WARNING)
    daemon = JobDaemon()
    for line in sys.stdin:
        if line.strip():
            daemon.jobs.put_nowait(line.strip())
    asyncio.run(daemon.run())


if __name__ == "__main__":
    main()
