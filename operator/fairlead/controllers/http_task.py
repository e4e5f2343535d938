"""`http` tasks: whose turn it is, with which Secrets, and what becomes of them when the operator stops.

How a request is sent is in `fairlead.egress`. Here they are kept in line, so that thousands cost a place in a queue
each and no more: so many are under way at once, a part of them for each namespace, in turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping

from fairlead.api.work import RenderedHttp
from fairlead.clock import utc_now
from fairlead.egress.connections import asker
from fairlead.egress.request import IDEMPOTENT, SecretUnavailable
from fairlead.egress.sender import Sender
from fairlead.engine.commands import StartAttempt
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result
from fairlead.kube.errors import ApiError
from fairlead.kube.transport import ApiClient

from .buckets import Holds, everything
from .errands import Errand
from .refusals import OPERATOR_FORBIDDEN, blocks_operator
from .secrets import read_secrets

__all__ = ["HttpTasks"]

log = logging.getLogger(__name__)

#: Seconds until Secrets that could not be read now are read again.
_AGAIN_SECONDS = 5.0


class HttpTasks:
    """Carries out `http` tasks: at most `in_flight` at once, and `per_namespace` of one namespace.

    The second bound keeps requests that hang in one namespace from holding up those of all others. `senders` are those
    of namespaces that may reach other addresses than the rest.
    """

    def __init__(
        self,
        client: ApiClient,
        sender: Sender,
        *,
        senders: Mapping[str, Sender] | None = None,
        holds: Holds = everything,
        in_flight: int = 64,
        per_namespace: int = 32,
    ) -> None:
        self._client = client
        self._holds = holds
        self._sender = sender
        self._senders = dict(senders or {})
        self._in_flight = in_flight
        self._per_namespace = per_namespace
        self._waiting: OrderedDict[str, deque[Errand]] = OrderedDict()
        self._under_way: dict[Errand, asyncio.Task[None]] = {}
        self._put_off: dict[Errand, asyncio.TimerHandle] = {}
        self._running: dict[str, int] = {}
        self._closing = False

    def begin(self, errand: Errand) -> None:
        """See `ErrandCarrier`."""
        if self._closing:
            self._not_sent(errand)
            return
        self._enqueue(errand)
        if errand not in self._under_way:
            errand.waits("WaitingForRequests", "other requests of http tasks come first")

    def cancel(self, errand: Errand) -> None:
        """See `ErrandCarrier`."""
        if (timer := self._put_off.pop(errand, None)) is not None:
            timer.cancel()
        if (task := self._under_way.get(errand)) is not None:
            task.cancel()
        elif errand in (line := self._waiting.get(errand.run.owner.namespace, deque())):
            line.remove(errand)

    def is_unrepeatable(self, start: StartAttempt) -> bool:
        """See `ErrandCarrier`. One that may have been sent before us is in doubt whatever is done."""
        return not (start.resumed or _is_safe(start.work))

    def withdraw(self, errand: Errand) -> None:
        """See `ErrandCarrier`."""
        if errand not in self._under_way:
            self.cancel(errand)
            self._not_sent(errand, "its run went to another replica of the operator before it was sent")

    async def settle(self, seconds: float) -> None:
        """See `ErrandCarrier`. What may be sent twice is: it is not waited for."""
        self._closing = True
        for errand in [*(each for line in self._waiting.values() for each in line), *self._put_off]:
            self.cancel(errand)
            self._not_sent(errand)
        unsafe = [task for errand, task in self._under_way.items() if not _is_safe(errand.start.work)]
        if unsafe:
            log.info("waiting for %d requests that must not be sent twice", len(unsafe))
            await asyncio.wait(unsafe, timeout=seconds)

    async def close(self) -> None:
        """See `ErrandCarrier`."""
        self._closing = True
        tasks = list(self._under_way.values())
        for timer in self._put_off.values():
            timer.cancel()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for sender in (self._sender, *self._senders.values()):
            await sender.close()

    def _not_sent(self, errand: Errand, message: str = "the operator was stopped before it was sent") -> None:
        """Let one that has to be sent once be sent by our successor, which else could only say that it is not known."""
        if self.is_unrepeatable(errand.start):
            errand.ends(
                Outcome(
                    result=Result.FAILED,
                    finished_at=utc_now(),
                    failure_class=FailureClass.INFRASTRUCTURE,
                    reason="NotSent",
                    message=message,
                )
            )

    # -- whose turn it is

    def _enqueue(self, errand: Errand) -> None:
        self._put_off.pop(errand, None)
        self._waiting.setdefault(errand.run.owner.namespace, deque()).append(errand)
        self._fill()

    def _fill(self) -> None:
        while len(self._under_way) < self._in_flight and (errand := self._next()) is not None:
            namespace = errand.run.owner.namespace
            self._running[namespace] = self._running.get(namespace, 0) + 1
            task = asyncio.create_task(self._carry(errand), name=errand.start.object_name)
            self._under_way[errand] = task
            task.add_done_callback(lambda task, errand=errand: self._done(errand, task))  # type: ignore[misc]

    def _next(self) -> Errand | None:
        """Take one out of the line, of each namespace in turn."""
        for namespace, line in list(self._waiting.items()):
            if not line:
                del self._waiting[namespace]
            elif self._running.get(namespace, 0) < self._per_namespace:
                self._waiting.move_to_end(namespace)
                return line.popleft()
        return None

    def _done(self, errand: Errand, task: asyncio.Task[None]) -> None:
        del self._under_way[errand]
        namespace = errand.run.owner.namespace
        self._running[namespace] -= 1
        if not self._running[namespace]:
            del self._running[namespace]
        if not task.cancelled() and (error := task.exception()) is not None:
            about = errand.run.owner.fields(errand.start.node, errand.start.number)
            log.error("a request failed unexpectedly", exc_info=error, extra=about)
        if not self._closing:
            self._fill()

    # -- one request

    async def _carry(self, errand: Errand) -> None:
        start = errand.start
        work: RenderedHttp = start.work
        try:
            values = await read_secrets(self._client, errand.run, work)
        except SecretUnavailable as error:
            errand.ends(_misconfigured(error.reason, error.message))
            return
        except ApiError as error:
            self._put_back(errand, error)
            return
        if not self._holds(errand.run.uid):
            # Its run may be another replica's by now. If it is not, this errand goes on when it is ours again.
            self._put_off_for_a_while(errand)
            return
        errand.waits("", "")

        async def read_secret(name: str, key: str) -> str:
            return values[name, key]

        asker.set(errand.run.owner.namespace)  # of this one asyncio task
        sender = self._senders.get(errand.run.owner.namespace, self._sender)
        errand.ends(await sender.send(work, key=start.object_name, resumed=start.resumed, read_secret=read_secret))

    def _put_back(self, errand: Errand, error: ApiError) -> None:
        """Give the place up while Secrets cannot be read: for nothing was sent, and nothing is wrong with the task."""
        if self._closing:
            self._not_sent(errand)
            return
        if blocks_operator(error):
            errand.waits(OPERATOR_FORBIDDEN, error.message)
        else:
            errand.waits("ApiUnavailable", f"the Secrets of its headers cannot be read: {error.message}")
        self._put_off_for_a_while(errand)

    def _put_off_for_a_while(self, errand: Errand) -> None:
        loop = asyncio.get_running_loop()
        self._put_off[errand] = loop.call_later(_AGAIN_SECONDS, self._enqueue, errand)


def _is_safe(work: RenderedHttp) -> bool:
    return work["idempotent"] or work["method"].upper() in IDEMPOTENT


def _misconfigured(reason: str, message: str) -> Outcome:
    return Outcome(
        result=Result.FAILED,
        finished_at=utc_now(),
        failure_class=FailureClass.CONFIGURATION,
        reason=reason,
        message=message,
    )
