"""What one may ask a service besides sessions: how it is, what it watches, what it has kept."""

from __future__ import annotations

from straced.client.connection import Channel
from straced.client.notifications import tick_of
from straced.ipc import messages
from straced.ipc.messages import Select, Status, TickPart, WatchRule
from straced.model.history import HistoryAnswer, JobReport, KeptAlert, KeptEvent, Point, Ranked, SeriesInfo
from straced.model.moment import CallLatency, Moment
from straced.model.tick import Tick


class ServiceQueries(Channel):
    """Ask a service how it is, what it watches, and what it has kept.

    Args:
        path: of the socket; without it the user's own service is tried, then the system's.
    """

    async def status(self) -> Status:
        """Ask how the service is.

        Returns:
            What it counts with, how much it watches and keeps, and how it does; of other users only how many.

        Raises:
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what the service refused with, as its own type.
        """
        return await self.request("status", messages.Nothing(), Status)

    async def watch(self, target: str, labels: dict[str, str] | None = None) -> WatchRule:
        """Have processes watched from now on, and after a restart of the service.

        Args:
            target: a pid, ``children:PID``, ``name:GLOB``, ``user:NAME``, ``unit:x.service``,
                ``cgroup:/path``, ``container:NAME`` or ``pod:NS/NAME``.
            labels: kept with all that is told of them.

        Returns:
            The rule as it stands.

        Raises:
            InvalidArgument: that is no rule.
            NoSuchProcess: it names a process that is not there.
            NotPermitted: it names one that is not the caller's.
            TooMuch: the caller has as many rules already as a user may have.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("watch.add", messages.WatchParams(target=target, labels=labels or {}), WatchRule)

    async def unwatch(self, target: str) -> None:
        """Take a rule away.

        Args:
            target: the text of the rule.

        Raises:
            InvalidArgument: there is no such rule.
            NotPermitted: it is not the caller's, or stands in the configuration.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        await self.request("watch.remove", messages.WatchParams(target=target), messages.Nothing)

    async def rules(self) -> list[WatchRule]:
        """List the rules that the caller may know of.

        Returns:
            Each with the number of processes that it has found, as far as the caller may see them.

        Raises:
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what the service refused with, as its own type.
        """
        return await self.request("watch.list", messages.Nothing(), list[WatchRule])

    async def label(self, pid: int, **labels: str) -> None:
        """Watch a process and all its descendants from now on, under labels.

        Args:
            pid: the process.
            labels: names and values, such as ``job="build-42"``.

        Raises:
            InvalidArgument: that is no label.
            NoSuchProcess: there is no such process.
            NotPermitted: it is not the caller's.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        await self.request("label", messages.LabelParams(pid=pid, labels=labels), messages.Nothing)

    async def snapshot(self) -> Tick | None:
        """Read the last sample of all that the caller may see.

        Returns:
            The sample; ``None`` before the first.

        Raises:
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what the service refused with, as its own type.
        """
        part = await self.request("snapshot", messages.Nothing(), TickPart | None)  # type: ignore[arg-type]
        return tick_of([part]) if isinstance(part, TickPart) else None

    async def metrics(self) -> str:
        """Read the metrics of all users.

        Returns:
            OpenMetrics text.

        Raises:
            NotPermitted: they are root's, in a service that serves all users.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("metrics", messages.Nothing(), str)

    async def processes(self, select: Select) -> list[SeriesInfo]:
        """List processes that history knows.

        Args:
            select: which, and how many.

        Returns:
            Those that the caller may see.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("processes", select, list[SeriesInfo])

    async def history(self, select: Select) -> HistoryAnswer:
        """Sum up what processes did in a span.

        Args:
            select: which processes, and the span.

        Returns:
            The sum over all of them.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("history", select, HistoryAnswer)

    async def timeline(self, select: Select) -> list[Point]:
        """Sum up what processes did in a span, step by step.

        Args:
            select: which processes, the span, and the length of a step.

        Returns:
            A point for each step, oldest first.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("timeline", select, list[Point])

    async def top(self, select: Select) -> list[Ranked]:
        """List the busiest processes of a span.

        Args:
            select: the span, by what they are ranked, and how many.

        Returns:
            The busiest first.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("top", select, list[Ranked])

    async def moment(self, select: Select) -> Moment:
        """Ask what happened in a span: step by step, by program, with what was slow, what failed, and alerts.

        Args:
            select: the span, and of which processes; ``limit`` programs and calls are named.

        Returns:
            All of it, from the roll-ups.

        Raises:
            InvalidArgument: the span is in the future, or ends before it begins.
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("moment", select, Moment)

    async def risen(self, select: Select) -> list[CallLatency]:
        """List the calls of programs whose 99th percentile rose against the time of the same length before.

        Args:
            select: the span, and how many.

        Returns:
            Those that rose most first.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("risen", select, list[CallLatency])

    async def events(self, select: Select) -> list[KeptEvent]:
        """List events that were kept.

        Args:
            select: of which processes, the span, and how many.

        Returns:
            Those that the caller may see, oldest first.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("events", select, list[KeptEvent])

    async def alerts(self, select: Select) -> list[KeptAlert]:
        """List alerts that were kept.

        Args:
            select: of which processes, the span, and how many; ``open_only`` for those that are open.

        Returns:
            Those that the caller may see.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("alerts", select, list[KeptAlert])

    async def report(self, job: str, since: float = 0.0, until: float | None = None) -> JobReport:
        """Sum up the resources of a job.

        Args:
            job: the value of its label ``job``.
            since: the begin of the span, in seconds since the epoch.
            until: its end; now when left out.

        Returns:
            What it took, what it did, and what was seen to go wrong.

        Raises:
            StoreError: history cannot be read.
            TooMuch: the answer took too long.
            ServiceUnreachable: there is no service, or it does not answer.
            StracedError: what else the service refused with, as its own type.
        """
        return await self.request("report", Select(job=job, since=since, until=until), JobReport)
