"""Each request that a client may make, as one small function."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from straced._version import __version__
from straced.config import watch_rules
from straced.errors import NotPermitted, StracedError
from straced.faults import faults
from straced.ipc import messages, protocol
from straced.ipc.protocol import PROTOCOL, ProtocolMismatch, RpcRequest, TooMuch
from straced.model.history import JobReport, KeptAlert, KeptEvent, Point, Ranked, SeriesInfo
from straced.service.api.connection import Connection
from straced.service.api.facade import Facade
from straced.service.daemon.stalls import timed
from straced.store import events as journal
from straced.store import moment as moments
from straced.store import percentiles
from straced.store.database import StoreError, is_damage
from straced.store.history import History

QUESTIONS = 6
"""Questions to history at a time: threads of their own, so that nothing else ever waits for one."""
QUESTION_S = 20.0
STEPS = 100_000
"""Of SQLite, between two looks at the clock."""
NOT_BEGUN = {"full": "its disk is full", "locked": "its file is locked"}
"""Why there may be a file without tables, by the state of the store."""
MAX_PROCESSES = 200
"""Processes that an answer names; what they did is added up over all."""


class Method(NamedTuple):
    """Its parameters, and who serves it."""

    params: type[Any]
    serve: Callable[[Methods, Connection, Any], Awaitable[object]]


class Methods:
    """Answers requests, by what a facade lets clients see of one service."""

    def __init__(self, facade: Facade) -> None:
        self._facade = facade
        self._threads = ThreadPoolExecutor(QUESTIONS, "straced-history")
        self._closing = False

    def close(self) -> None:
        """Break off what is being asked of history."""
        self._closing = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def handle(self, client: Connection, request: RpcRequest) -> bytes:
        """The frame that answers a request."""
        try:
            method = METHODS.get(request.method)
            if method is None:
                near = ", ".join(METHODS)
                raise protocol.UnknownMethod(f"no such request: {request.method[:64]!r}", hint=f"there are: {near}")
            if not client.greeted and request.method != "hello":
                raise ProtocolMismatch("say hello first", hint='{"method": "hello", "params": {"protocol": 1}}')
            params = msgspec.json.decode(request.params, type=method.params)
            work = self._answer(method, client, request.id, params)
            return await timed(lambda: f"{request.method} of user {client.peer.uid}", work)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            reason = f"{request.method[:64]}: {error or 'too deep'}"
            return protocol.refusal(request.id, StracedError(reason), protocol.INVALID_PARAMS)
        except StracedError as error:
            return protocol.refusal(request.id, error)
        except Exception as error:
            faults.tell("request_failed", error, method=request.method)
            return protocol.refusal(request.id, error)

    async def _answer(self, method: Method, client: Connection, number: int | str | None, params: object) -> bytes:
        return protocol.response(number, await method.serve(self, client, params))

    async def hello(self, client: Connection, params: messages.Hello) -> messages.Welcome:
        if params.protocol != PROTOCOL:
            newer = "straced" if params.protocol < PROTOCOL else "the service"
            raise ProtocolMismatch(
                f"the client speaks protocol {params.protocol}, this service {PROTOCOL}", hint=f"upgrade {newer}"
            )
        client.greeted = True
        return messages.Welcome(
            protocol=PROTOCOL,
            version=__version__,
            system=self._facade.system,
            pid=self._facade.pid,
            you=client.peer.uid,
        )

    async def status(self, client: Connection, params: messages.Nothing) -> messages.Status:
        return self._facade.status(client.peer)

    # --- what is watched ---

    async def watch_add(self, client: Connection, params: messages.WatchParams) -> messages.WatchRule:
        rule = watch_rules.parse(params.target, params.labels, self._owner(client))
        return self._facade.add_rule(client.peer, rule)

    async def watch_remove(self, client: Connection, params: messages.WatchParams) -> messages.Nothing:
        self._facade.remove_rule(client.peer, params.target)
        return messages.Nothing()

    async def watch_list(self, client: Connection, params: messages.Nothing) -> list[messages.WatchRule]:
        return self._facade.list_rules(client.peer)

    async def label(self, client: Connection, params: messages.LabelParams) -> messages.Nothing:
        labels = watch_rules.checked(params.labels)
        self._facade.label(client.peer, params.pid, labels)
        return messages.Nothing()

    def _owner(self, client: Connection) -> int | None:
        mine = client.peer.is_root or not self._facade.system
        return None if mine else client.peer.uid

    # --- now ---

    async def snapshot(self, client: Connection, params: messages.Nothing) -> messages.TickPart | None:
        return self._facade.snapshot(client.peer)

    async def subscribe(self, client: Connection, params: messages.SubscribeParams) -> messages.Nothing:
        client.topics = frozenset(params.topics)
        return messages.Nothing()

    async def metrics(self, client: Connection, params: messages.Nothing) -> str:
        if not client.peer.is_root and self._facade.system:
            raise NotPermitted("the metrics of all users are root's", hint="sudo straced metrics")
        return self._facade.metrics_text()

    # --- history ---

    async def _ask(self, client: Connection, question: Callable[[History], object]) -> object:
        """Ask history on a thread, by a connection of its own, with the rights of this client."""
        path = self._facade.history_path()

        def answer() -> object:
            until = time.monotonic() + QUESTION_S
            history = History(path, client.peer if self._facade.system else None)
            history.connection.set_progress_handler(lambda: self._closing or time.monotonic() > until, STEPS)
            try:
                return question(history)
            except sqlite3.OperationalError as error:
                if time.monotonic() <= until and not self._closing:
                    raise self._failed(error) from error
                raise TooMuch(f"the request took more than {QUESTION_S:.0f} s", hint="request less data") from error
            except sqlite3.DatabaseError as error:
                raise self._failed(error) from error
            finally:
                history.close()

        async with client.account.questions:
            return await asyncio.get_running_loop().run_in_executor(self._threads, answer)

    def _failed(self, error: sqlite3.DatabaseError) -> StoreError:
        """What a client is told of a history that cannot be read; a damaged one is looked at."""
        store = self._facade.store
        if store is not None and is_damage(error):
            store.suspect(str(error))
        why = NOT_BEGUN.get(store.state, str(error)) if store is not None else str(error)
        return StoreError(f"the history cannot be read at the moment: {why}", hint="straced status tells more")

    async def processes(self, client: Connection, params: messages.Select) -> list[SeriesInfo]:
        found = await self._ask(client, lambda history: _find(history, params)[: params.limit])
        return found  # type: ignore[return-value]

    async def history(self, client: Connection, params: messages.Select) -> object:
        def question(history: History) -> object:
            answer = history.answer(_find(history, params), params.since, params.until)
            return msgspec.structs.replace(answer, processes=answer.processes[:MAX_PROCESSES])

        return await self._ask(client, question)

    async def timeline(self, client: Connection, params: messages.Select) -> list[Point]:
        return await self._ask(  # type: ignore[return-value]
            client,
            lambda history: history.timeline(_find(history, params), params.since, params.until, params.step_s),
        )

    async def top(self, client: Connection, params: messages.Select) -> list[Ranked]:
        return await self._ask(  # type: ignore[return-value]
            client, lambda history: history.top(params.since, params.until, by=params.by, limit=params.limit)
        )

    async def moment(self, client: Connection, params: messages.Select) -> object:
        return await self._ask(
            client,
            lambda history: moments.moment(
                history,
                params.since,
                params.until,
                pid=params.pid,
                name=params.name,
                job=params.job,
                limit=params.limit,
            ),
        )

    async def risen(self, client: Connection, params: messages.Select) -> object:
        return await self._ask(
            client, lambda history: percentiles.risen(history, params.since, params.until, limit=params.limit)
        )

    async def events(self, client: Connection, params: messages.Select) -> list[KeptEvent]:
        return await self._ask(  # type: ignore[return-value]
            client,
            lambda history: journal.events(
                history,
                since=params.since,
                until=params.until,
                after=params.after,
                pid=params.pid,
                job=params.job,
                kinds=params.kinds,
                limit=params.limit,
            ),
        )

    async def alerts(self, client: Connection, params: messages.Select) -> list[KeptAlert]:
        return await self._ask(  # type: ignore[return-value]
            client,
            lambda history: journal.alerts(
                history,
                since=params.since,
                until=params.until,
                open_only=params.open_only,
                pid=params.pid,
                job=params.job,
                limit=params.limit,
            ),
        )

    async def report(self, client: Connection, params: messages.Select) -> JobReport:
        def question(history: History) -> JobReport:
            report = journal.report(history, params.job or "", params.since, params.until)
            short = msgspec.structs.replace(report.answer, processes=report.answer.processes[:MAX_PROCESSES])
            return msgspec.structs.replace(report, answer=short)

        return await self._ask(client, question)  # type: ignore[return-value]

    # --- sessions ---

    async def attach(self, client: Connection, params: messages.AttachParams) -> messages.Attached:
        params = msgspec.structs.replace(params, labels=watch_rules.checked(params.labels))
        return await self._facade.sessions.attach(client, params)

    async def attach_children(self, client: Connection, params: messages.ChildrenParams) -> messages.Attached:
        params = msgspec.structs.replace(params, labels=watch_rules.checked(params.labels))
        return await self._facade.sessions.watch_children(client, params)

    async def trace(self, client: Connection, params: messages.TraceParams) -> messages.Attached:
        return await self._facade.sessions.trace(client, params)

    async def dump(self, client: Connection, params: messages.DumpParams) -> messages.DumpTaken:
        return await self._facade.sessions.dump(client, params, sees_all=not self._facade.system)

    async def trace_read(self, client: Connection, params: messages.SessionParams) -> messages.TracePiece:
        return messages.TracePiece(data=await self._facade.sessions.read_trace(client, params.session))

    async def session_read(self, client: Connection, params: messages.SessionParams) -> object:
        return await self._facade.sessions.get(client, params.session).read()

    async def session_wait(self, client: Connection, params: messages.SessionParams) -> messages.Ended:
        return await self._facade.sessions.wait(client, params.session)

    async def session_result(self, client: Connection, params: messages.SessionParams) -> object:
        return await self._facade.sessions.get(client, params.session).result()

    async def session_summary(self, client: Connection, params: messages.SummaryParams) -> object:
        return await self._facade.sessions.get(client, params.session).summary(params.since_ns, params.until_ns)

    async def session_detach(self, client: Connection, params: messages.DetachParams) -> object:
        return await self._facade.sessions.detach(client, params.session, params.why)

    async def session_listen(self, client: Connection, params: messages.ListenParams) -> messages.Listening:
        return messages.Listening(listener=self._facade.sessions.get(client, params.session).listen(params.what))

    async def session_events(self, client: Connection, params: messages.ListenerParams) -> object:
        return await self._facade.sessions.get(client, params.session).events(params.listener)

    async def session_unlisten(self, client: Connection, params: messages.ListenerParams) -> messages.Nothing:
        await self._facade.sessions.get(client, params.session).listeners.remove(params.listener)
        return messages.Nothing()


def _find(history: History, params: messages.Select) -> list[SeriesInfo]:
    return history.find(pid=params.pid, name=params.name, job=params.job, since=params.since, until=params.until)


METHODS: dict[str, Method] = {
    "hello": Method(messages.Hello, Methods.hello),
    "status": Method(messages.Nothing, Methods.status),
    "watch.add": Method(messages.WatchParams, Methods.watch_add),
    "watch.remove": Method(messages.WatchParams, Methods.watch_remove),
    "watch.list": Method(messages.Nothing, Methods.watch_list),
    "label": Method(messages.LabelParams, Methods.label),
    "snapshot": Method(messages.Nothing, Methods.snapshot),
    "subscribe": Method(messages.SubscribeParams, Methods.subscribe),
    "metrics": Method(messages.Nothing, Methods.metrics),
    "processes": Method(messages.Select, Methods.processes),
    "history": Method(messages.Select, Methods.history),
    "timeline": Method(messages.Select, Methods.timeline),
    "top": Method(messages.Select, Methods.top),
    "moment": Method(messages.Select, Methods.moment),
    "risen": Method(messages.Select, Methods.risen),
    "events": Method(messages.Select, Methods.events),
    "alerts": Method(messages.Select, Methods.alerts),
    "report": Method(messages.Select, Methods.report),
    "attach": Method(messages.AttachParams, Methods.attach),
    "attach.children": Method(messages.ChildrenParams, Methods.attach_children),
    "trace": Method(messages.TraceParams, Methods.trace),
    "dump": Method(messages.DumpParams, Methods.dump),
    "trace.read": Method(messages.SessionParams, Methods.trace_read),
    "session.read": Method(messages.SessionParams, Methods.session_read),
    "session.summary": Method(messages.SummaryParams, Methods.session_summary),
    "session.wait": Method(messages.SessionParams, Methods.session_wait),
    "session.result": Method(messages.SessionParams, Methods.session_result),
    "session.detach": Method(messages.DetachParams, Methods.session_detach),
    "session.listen": Method(messages.ListenParams, Methods.session_listen),
    "session.events": Method(messages.ListenerParams, Methods.session_events),
    "session.unlisten": Method(messages.ListenerParams, Methods.session_unlisten),
}
