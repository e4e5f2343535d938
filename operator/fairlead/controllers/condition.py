"""`wait.condition`: looking at an object every so many seconds until an expression about it is true.

Thousands may wait at a time, each for hours. So one that waits is a timer in a queue, not a task; a few are looked at
at once; and those that wait for the same object share the look. Objects are read as the run's service account, in the
run's namespace: a wait tells its author nothing that the account may not know.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fairlead.api.work import RenderedCondition
from fairlead.clock import utc_now
from fairlead.engine.commands import StartAttempt
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result
from fairlead.kube.discovery import Discovery, NoSuchKind
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.resources import Resource
from fairlead.kube.transport import ApiClient

from .errands import Errand
from .queue import QueueObserver, WorkQueue
from .refusals import OPERATOR_FORBIDDEN
from .resource_objects import trouble

__all__ = ["Conditions"]

#: Objects that are looked at at once.
_WORKERS = 16

_LEAST_SECONDS = 1

#: How much a look may come early or late, as a part of its interval: else all that began together come together.
_SPREAD = 0.1

#: A kind that was served is believed to be gone after so many seconds: an API server that has just begun may not serve
#: custom resources yet.
_UNSERVED_SECONDS = 60.0

_WAITING = "WaitingForCondition"


class _Key(NamedTuple):
    """What is looked at, and as whom."""

    namespace: str
    service_account: str
    api_version: str
    kind: str
    name: str

    @property
    def id(self) -> str:
        return "/".join(self)


@dataclass(slots=True, eq=False)
class _Target:
    """An object that somebody waits for.

    `version` is that of the object which all of `errands` have judged; `served_at` when its kind was last there.
    """

    key: _Key
    errands: list[Errand] = field(default_factory=list)
    version: str = ""
    served_at: float | None = None

    def __str__(self) -> str:
        return f"{self.key.kind} {self.key.name}"


class Conditions:
    """Carries out waits for a condition. Run `queue`. `draw` draws from 0 to 1, to spread the looks."""

    def __init__(
        self,
        client: ApiClient,
        discovery: Discovery,
        observer: QueueObserver,
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._draw = draw
        self._targets: dict[str, _Target] = {}
        self.queue = WorkQueue("condition", self._look, observer, workers=_WORKERS)

    def begin(self, errand: Errand) -> None:
        """See `ErrandCarrier`."""
        key = _key(errand)
        target = self._targets.setdefault(key.id, _Target(key))
        target.errands.append(errand)
        target.version = ""
        self.queue.add(key.id)

    def cancel(self, errand: Errand) -> None:
        """See `ErrandCarrier`."""
        target = self._targets.get(_key(errand).id)
        if target is not None and errand in target.errands:
            self._leave(target, errand)

    def is_unrepeatable(self, start: StartAttempt) -> bool:  # noqa: ARG002
        """See `ErrandCarrier`: whoever comes after us looks again."""
        return False

    def withdraw(self, errand: Errand) -> None:
        """See `ErrandCarrier`: there is none to withdraw."""

    async def settle(self, seconds: float) -> None:  # noqa: ARG002
        """See `ErrandCarrier`: whoever comes after us looks again."""
        self.queue.close()

    async def close(self) -> None:
        """See `ErrandCarrier`."""
        self.queue.close()

    def _leave(self, target: _Target, errand: Errand) -> None:
        target.errands.remove(errand)
        if not target.errands:
            del self._targets[target.key.id]

    # -- one look

    async def _look(self, id_: str) -> float | None:
        """Look at one object. Returns in how many seconds to look again, None when nobody waits for it any more."""
        target = self._targets.get(id_)
        if target is None:
            return None
        try:
            found = await self._read(target)
        except _Hopeless as error:
            for errand in list(target.errands):
                self._end(target, errand, error.outcome)
        except NotFound:
            target.version = ""
            _all_wait(target, _WAITING, f"{target} does not exist yet")
        except ApiError as error:
            target.version = ""  # what is told now holds until the object is judged again, the very same one as well
            _all_wait(target, *_obstacle(target, error))
        else:
            await self._judge(target, found)
        if not target.errands:
            return None
        interval = max(_LEAST_SECONDS, min(_condition(errand)["intervalSeconds"] for errand in target.errands))
        return interval * (1 - _SPREAD + 2 * _SPREAD * self._draw())

    async def _read(self, target: _Target) -> dict[str, Any]:
        key, now = target.key, asyncio.get_running_loop().time()
        try:
            resource = await self._resource(key)
            client = self._client.acting_as(key.namespace, key.service_account)
            found = await client.get(resource, key.name, key.namespace)
        except NoSuchKind as missing:
            if target.served_at is None or now - target.served_at >= _UNSERVED_SECONDS:
                raise _Hopeless("NoSuchKind", missing.message) from None
            raise NotFound(404, "NotFound", missing.message) from None
        except NotFound as error:
            if error.is_unserved:
                self._discovery.forget(resource)
            else:
                target.served_at = now
            raise
        except ValueError as error:
            raise _Hopeless("InvalidName", str(error)) from None
        target.served_at = now
        return found

    async def _resource(self, key: _Key) -> Resource:
        resource = await self._discovery.resource(key.api_version, key.kind)
        if not resource.namespaced:
            message = f"{key.kind} is a kind of the whole cluster; a wait looks into its run's namespace only"
            raise _Hopeless("NotNamespaced", message)
        return resource

    async def _judge(self, target: _Target, found: dict[str, Any]) -> None:
        metadata = found.get("metadata") or {}
        version = str(metadata.get("resourceVersion", ""))
        if version and version == target.version:
            return  # all who wait have judged this very object
        metadata.pop("managedFields", None)
        target.version = version
        for errand in list(target.errands):
            await asyncio.sleep(0)  # a large object takes a while to convert, and many may wait for it
            if errand not in target.errands:
                continue
            try:
                holds = _condition(errand)["when"].evaluate(object=found)
            except ExpressionError as error:
                # Most often a field that a controller has not set yet: so it is waited for, and shown meanwhile.
                errand.waits("ExpressionError", f"when: {trouble(error, found)}")
                continue
            if holds is True:
                self._end(target, errand, Outcome(result=Result.SUCCEEDED, finished_at=utc_now(), values={}))
            else:
                errand.waits(_WAITING, f"when is not true yet of {target}")

    def _end(self, target: _Target, errand: Errand, outcome: Outcome) -> None:
        self._leave(target, errand)
        errand.ends(outcome)


class _Hopeless(Exception):
    """Waiting on is of no use."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.outcome = Outcome(
            result=Result.FAILED,
            finished_at=utc_now(),
            failure_class=FailureClass.CONFIGURATION,
            reason=reason,
            message=message,
        )


def _all_wait(target: _Target, reason: str, message: str) -> None:
    for errand in target.errands:
        errand.waits(reason, message)


def _obstacle(target: _Target, error: ApiError) -> tuple[str, str]:
    """Return why an object cannot be looked at: all of it may pass, so it is waited for."""
    if error.is_impersonation:
        return OPERATOR_FORBIDDEN, error.message
    if error.status == 403:
        return "Forbidden", error.message
    return "ApiUnavailable", f"{target} cannot be read: {error.message or error}"


def _condition(errand: Errand) -> RenderedCondition:
    condition: RenderedCondition = errand.start.work["condition"]
    return condition


def _key(errand: Errand) -> _Key:
    condition, run = _condition(errand), errand.run
    return _Key(run.owner.namespace, run.service_account, condition["apiVersion"], condition["kind"], condition["name"])
