"""One operator process on a machine of its own: it starts, is killed, told to stop, or held up, and has its own clock.

The operator is the shipped one; only what is around it in `controllers/app.py` (kopf, signals, probes) is imitated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from datetime import datetime, timedelta
from typing import Any

from fairlead.archive.store import ArchiveStore
from fairlead.clock import set_clock
from fairlead.controllers.options import OperatorOptions
from fairlead.controllers.runtime import Operator
from fairlead.kube.transport import ApiClient

from .network import Network
from .shell import follow_workflows

__all__ = ["Host", "host_tasks"]

#: Seconds until the kubelet starts an operator again that has ended.
_RESTART_SECONDS = 1.0

_here: ContextVar[Host | None] = ContextVar("host", default=None)


class Host:
    """The machine; `clock` gives the true time, `skew` is by how much its own is ahead.

    Attributes:
        operator: the one that runs now, or ran last.
        starts: how many have been started.
        is_ready: whether the present one is at work.
        on_start: is called with each operator before it begins.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        clock: Callable[[], datetime],
        options: OperatorOptions | None = None,
        archive: ArchiveStore | None = None,
        on_start: Callable[[Operator], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.skew = timedelta()
        self.starts = 0
        self.is_ready = False
        self.operator: Operator | None = None
        self.on_start = on_start
        self._network = network
        self._clock = clock
        self._options = options or OperatorOptions()
        self._archive = archive
        self._tasks: set[asyncio.Task[Any]] = set()
        self._held: list[asyncio.Future[None]] | None = None
        self._process: asyncio.Task[None] | None = None
        self._session = network.session(name)

    @property
    def alive(self) -> bool:
        """Whether an operator runs."""
        return self._process is not None and not self._process.done()

    @property
    def paused(self) -> bool:
        """Whether it is held up."""
        return self._held is not None

    def start(self) -> None:
        """Start an operator."""
        assert not self.alive, f"{self.name}: an operator runs already"
        context = copy_context()
        context.run(_here.set, self)
        context.run(set_clock, lambda: self._clock() + self.skew)
        self.starts += 1
        self.is_ready = False
        self._session = self._network.session(self.name)
        self._process = asyncio.get_running_loop().create_task(self._serve(), context=context)

    def crash(self) -> None:
        """Kill the operator: nothing of it goes on, but what it has sent is on its way."""
        self.resume()
        self._session.dead = True
        if self.operator is not None:
            for queue in self.operator.queues().values():
                queue.close()
            self.operator.history.close()
        tasks, self._tasks, self._process = self._tasks, set(), None
        for task in tasks:
            task.cancel()

    async def stop(self) -> None:
        """Tell the operator to end, as the kubelet does, and wait until it has."""
        assert self.operator is not None
        context = copy_context()
        context.run(_here.set, self)
        ending = asyncio.get_running_loop().create_task(self.operator.shut_down(), context=context)
        await asyncio.wait({ending})
        self.crash()

    def pause(self) -> None:
        """Hold the operator up: none of its tasks goes on."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """Let it go on."""
        held, self._held = self._held, None
        for each in held or ():
            if not each.done():
                each.set_result(None)

    async def _serve(self) -> None:
        session = self._session
        operator = self.operator = Operator(session, self._options, archive=self._archive)
        self.on_start(operator)
        operator.begin()
        await operator.become_ready()
        shells = set()
        if operator.namespaces is None:
            told = asyncio.Event()
            shells = {asyncio.create_task(follow_workflows(ApiClient(session), operator.workflow_event, told))}
            await told.wait()
        operator.work()
        self.is_ready = True
        await asyncio.wait({*shells, *operator.tasks}, return_when=asyncio.FIRST_COMPLETED)
        # A part has ended by itself: the process ends, and is started again.
        asyncio.get_running_loop().call_later(_RESTART_SECONDS, self._start_again, context=_outside())
        self.crash()

    def _start_again(self) -> None:
        if not self.alive:
            self.start()

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take in a task that the operator has started."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hold(self) -> asyncio.Future[None] | None:
        """Return what to wait for before going on."""
        if self._held is None:
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(waiting)
        return waiting


def host_tasks(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    """Make a task (`loop.set_task_factory`): one that belongs to a host is the host's to end and to hold up."""
    context = more.get("context")
    host = _here.get() if context is None else context.get(_here)
    if host is None:
        return asyncio.Task(work, loop=loop, **more)
    task = asyncio.Task(_Gated(work, host), loop=loop, **more)
    host.adopt(task)
    return task


class _Gated(Coroutine[Any, Any, Any]):
    """Work that goes on only while its host does; what is thrown at it meanwhile (a cancellation) is told later."""

    def __init__(self, work: Coroutine[Any, Any, Any], host: Host) -> None:
        self._work = work
        self._host = host
        self._error: BaseException | None = None

    def send(self, value: Any) -> Any:
        """Go on."""
        del value  # a loop sends nothing but None
        return self._step()

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        """Go on with an error."""
        del trace
        error = kind if value is None else value
        self._error = error if isinstance(error, BaseException) else error()
        return self._step()

    def _step(self) -> Any:
        waiting = self._host.hold()
        if waiting is not None:
            return next(waiting.__await__())
        error, self._error = self._error, None
        return self._work.send(None) if error is None else self._work.throw(error)

    def close(self) -> None:
        """End it."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("it is run as a task, and not awaited")


def _outside() -> Any:
    context = copy_context()
    context.run(_here.set, None)
    return context
