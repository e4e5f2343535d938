"""Carrying out attempts of `resource` tasks: any object that a manifest describes, created and followed until its end.

All of it is done with the rights of the run's service account, in the run's namespace: whoever may create a Workflow
reaches nothing by it that the account may not. The account is that of the pods, `taskDefaults.pod.serviceAccountName`
of the definition, else `default`; it needs the verbs create, get, patch and delete on the kinds in question.

Objects are followed by reading them, each every second while it changes, and down to every five seconds while it does
not. One queue does that for all runs, a few at a time. What is followed is in memory only: each look at a run in full
(`resync`) names the attempts that live, so that a restarted operator takes them up again.

How an object's status is read is in `resource_objects.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead.api import labels
from fairlead.api.work import RenderedResource
from fairlead.clock import utc_now
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Phase, WorkKind
from fairlead.engine.names import attempt_name
from fairlead.engine.scopes import scope_of
from fairlead.engine.state import Attempt, NodeState
from fairlead.kube.discovery import Discovery, NoSuchKind
from fairlead.kube.errors import ApiError, Conflict, Forbidden, NotFound
from fairlead.kube.resources import ObjectKey, Resource
from fairlead.kube.transport import ApiClient, PatchType

from .carrier import Insist
from .queue import QueueObserver, WorkQueue
from .refusals import OPERATOR_FORBIDDEN, refusal
from .resource_objects import (
    Identity,
    has_status,
    is_ours,
    name_of,
    observe_resource,
    outcome_of_deletion,
    resource_manifest,
)
from .run import Run
from .start import Departure, Refused, failed_start, name_conflict
from .views import time_of

__all__ = ["ResourceCarrier"]

log = logging.getLogger(__name__)

#: Seconds between two looks at an object: the first, how they grow while it does not change, and the most.
_FIRST_SECONDS = 1.0
_GROWTH = 1.5
_LAST_SECONDS = 5.0

#: Objects looked at at the same time.
_WORKERS = 16

#: A kind that is not served for so long is gone, and its objects with it; an API server that has just begun may say so
#: of one that is there.
_UNSERVED_SECONDS = 60.0

#: Phases of a node without a live attempt that may have begun one all the same, which was not recorded.
_MAY_HAVE_STRAYS = frozenset({Phase.QUEUED, Phase.BACKOFF, Phase.CANCELLED})


@dataclass(slots=True, kw_only=True, eq=False)
class _Followed:
    """An attempt whose object is followed.

    `uid` is "" until the object was seen; one that is `probing` may not exist at all. `version` is the one judged
    last, `told` the fact that came of it; `in_full` that it is to be judged whether it has changed or not.
    """

    run: Run
    attempt: Identity
    work: RenderedResource
    uid: str = ""
    started_at: datetime | None = None
    running_at: datetime | None = None
    ending: str = ""
    version: str = ""
    told: Event | None = None
    in_full: bool = True
    interval: float = _FIRST_SECONDS
    probing: bool = False
    unserved_since: float | None = None

    @property
    def id(self) -> str:
        return f"{self.run.uid}/{self.attempt.object_name}"

    def key(self, resource: Resource) -> ObjectKey:
        return ObjectKey(self.run.owner.namespace, name_of(self.attempt.object_name, resource))


class ResourceCarrier:
    """Creates, follows and ends the objects of `resource` tasks. `notify(uid)`: a run's inbox has something new."""

    def __init__(
        self, client: ApiClient, discovery: Discovery, notify: Callable[[str], None], observer: QueueObserver
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._notify = notify
        self._followed: dict[str, _Followed] = {}
        self.queue = WorkQueue("resource", self._look, observer, workers=_WORKERS)

    # -- creating: see `start.Creator`

    async def create(self, run: Run, start: StartAttempt, departure: Departure) -> Event | None:
        """Create the object as the run's service account, and follow it."""
        work: RenderedResource = start.work
        try:
            resource, client = await self._resource(work), self._acting(run)
        except NoSuchKind as missing:
            raise Refused(failed_start(start, "NoSuchKind", missing.message)) from None
        except ValueError as error:
            raise Refused(failed_start(start, "InvalidServiceAccount", str(error))) from None
        if not resource.namespaced:
            message = (
                f"{resource.kind} is a kind of the whole cluster; a task creates objects in its run's namespace only"
            )
            raise Refused(failed_start(start, "NotNamespaced", message))
        try:
            created = await client.create(
                resource,
                resource_manifest(run.owner, start, resource, work),
                run.owner.namespace,
                before_send=departure.leave,
                turn=departure.turn,
                metadata_only=True,
            )
        except NotFound as error:
            if error.is_unserved:
                self._discovery.forget(resource)
            raise
        followed = _Followed(run=run, attempt=_identity(start), work=work)
        return self._begin(followed, created["metadata"])

    async def find(self, run: Run, start: StartAttempt) -> Event | None:
        """See `start.Creator`: one that is ours is adopted."""
        followed = _Followed(run=run, attempt=_identity(start), work=start.work)
        try:
            resource = await self._resource(start.work)
            key = followed.key(resource)
            raw = await self._acting(run).get(resource, key.name, key.namespace, metadata_only=True)
        except (NotFound, NoSuchKind):
            return None
        except ApiError as error:
            if isinstance(error, Forbidden):
                return self.refusal(run, start, error)
            about = run.owner.fields(start.node, start.number)
            log.warning("cannot read %s: %s", start.object_name, error, extra=about)
            return None
        if not is_ours(raw, run.uid):
            return name_conflict(start, resource.kind, key.name)
        return self._begin(followed, raw["metadata"])

    def refusal(self, run: Run, start: StartAttempt, error: ApiError) -> StartRefused:
        """See `start.Creator`: a right that the service account lacks is for whoever made the Workflow to give."""
        if error.is_rbac and not error.is_impersonation:
            return failed_start(start, "Forbidden", _forbidden(run, error))
        return refusal(start, error, utc_now())

    def _begin(self, followed: _Followed, metadata: Mapping[str, Any]) -> AttemptSeen:
        followed.uid = metadata["uid"]
        started_at = time_of(metadata["creationTimestamp"])
        assert started_at is not None, "the API server sets creationTimestamp on every object"
        followed.started_at = started_at
        self._follow(followed)
        return AttemptSeen(
            node=followed.attempt.node,
            number=followed.attempt.number,
            object_name=followed.attempt.object_name,
            started_at=started_at,
        )

    # -- ending

    async def end(self, run: Run, end: EndAttempt, insist: Insist) -> Event | None:
        """Write down why and delete the object, or leave it to itself; how it ends is seen by following it.

        `insist` repeats a call while that makes sense. The reason is written so that a restarted operator knows it; an
        account that may delete but not patch does without.
        """
        known = _known_attempt(run, end.node, end.number)
        followed = self._recall(run, *known) if known else self._followed.get(f"{run.uid}/{end.object_name}")
        if followed is None:
            return AttemptGone(node=end.node, number=end.number, seen_at=utc_now())
        try:
            resource = await self._resource(followed.work)
        except NoSuchKind:
            self._follow(followed)
            return None
        key, client = followed.key(resource), self._acting(run)
        try:
            raw = await client.get(resource, key.name, key.namespace, metadata_only=True)
            uid = raw["metadata"]["uid"]
            if not is_ours(raw, run.uid) or followed.uid not in ("", uid):
                raise NotFound(404, "NotFound", f"{key} is another object by now")
            await self._write_ending(client, resource, key, uid, end.reason)
            if followed.work["onCancel"] == "Delete":
                # Foreground: it has ended only once what it has made itself is gone, too.
                await insist(
                    run, lambda: client.delete(resource, key.name, key.namespace, uid=uid, propagation="Foreground")
                )
        except NotFound:
            pass
        except ApiError as error:
            if not (isinstance(error, Conflict) and error.is_wrong_uid):
                raise
        followed.ending, followed.interval = end.reason, _FIRST_SECONDS
        self._follow(followed)
        return None

    async def _write_ending(self, client: ApiClient, resource: Resource, key: ObjectKey, uid: str, reason: str) -> None:
        body = {"metadata": {"uid": uid, "annotations": {labels.ENDING: reason}}}
        try:
            await client.patch(resource, key.name, body, PatchType.MERGE, key.namespace, metadata_only=True)
        except Forbidden as error:
            log.warning("cannot write down on %s why it is ended: %s", key, error)

    # -- following

    def resync(self, run: Run) -> None:
        """Follow every live attempt of a run, and tell how each stands once more.

        The first time, of a run that was begun before this process, look for objects that it had created and not
        recorded, too: nothing else would find one whose task is not started any more.
        """
        look_for_more, run.taken_up = run.taken_up, False
        for state in run.state.nodes.values():
            if state.node.work.kind is not WorkKind.RESOURCE or state.items is not None:
                continue
            attempt = state.current
            try:
                if attempt is not None and attempt.created:
                    followed = self._recall(run, state, attempt)
                    followed.told = None
                    self._follow(followed)
                elif attempt is None and look_for_more and state.phase in _MAY_HAVE_STRAYS:
                    self._look_for(run, state)
            except ExpressionError as error:
                log.warning("cannot follow it: %s", error.message, extra=run.owner.fields(state.name))

    def _look_for(self, run: Run, state: NodeState) -> None:
        number = len(state.attempts) + 1
        name = attempt_name(run.state.name, run.uid, state.name, number)
        with contextlib.suppress(ExpressionError, ValueError):  # what cannot be asked for was not created, either
            self._acting(run)
            work = _work_of(run, state)
            attempt = Identity(node=state.name, number=number, object_name=name)
            followed = _Followed(run=run, attempt=attempt, work=work, probing=True)
            run.probes.add(followed.id)
            self._follow(followed)

    def _follow(self, followed: _Followed) -> None:
        self._followed[followed.id] = followed
        followed.in_full = True
        self.queue.add(followed.id)

    def _recall(self, run: Run, state: NodeState, attempt: Attempt) -> _Followed:
        """Return a live attempt as it is followed, or as it was before this process: by evaluating its work again.

        What its expressions see is on record, so they give what they gave. Raises `ExpressionError`.
        """
        known = self._followed.get(f"{run.uid}/{attempt.object_name}")
        if known is not None and known.run is run:
            return known
        return _Followed(
            run=run,
            attempt=Identity(node=state.name, number=attempt.number, object_name=attempt.object_name),
            work=_work_of(run, state),
            started_at=attempt.started_at,
            running_at=attempt.running_at,
        )

    async def _look(self, id_: str) -> float | None:
        """Look at one object. Returns in how many seconds to look again, None when its end is seen."""
        followed = self._followed.get(id_)
        if followed is None:
            return None
        if followed.run.closed:
            del self._followed[id_]
            return None
        before = followed.version
        fact = await self._ask(followed)
        if self._followed.get(id_) is not followed or followed.run.closed:
            return 0.0
        if followed.probing:
            if not followed.uid and fact is None:
                return _FIRST_SECONDS  # nobody could say
            followed.probing = False
            followed.run.probes.discard(id_)
            if not followed.uid:
                del self._followed[id_]
                self._notify(followed.run.uid)
                return None
        if fact is not None and fact != followed.told:
            followed.told = fact
            followed.run.inbox.append(fact)
            self._notify(followed.run.uid)
        if isinstance(fact, AttemptGone) or (isinstance(fact, AttemptSeen) and fact.outcome is not None):
            del self._followed[id_]
            return None
        unchanged = before == followed.version
        followed.interval = min(followed.interval * _GROWTH, _LAST_SECONDS) if unchanged else _FIRST_SECONDS
        return followed.interval

    async def _ask(self, followed: _Followed) -> Event | None:
        """Return how an attempt stands, None where nothing is new."""
        try:
            resource = await self._resource(followed.work)
            key = followed.key(resource)
            raw = await self._acting(followed.run).get(resource, key.name, key.namespace)
        except NoSuchKind as missing:
            return self._unserved(followed, missing.message)
        except NotFound as error:
            if error.is_unserved:
                self._discovery.forget(resource)
                return self._unserved(followed, error.message)
            return self._gone(followed)
        except ApiError as error:
            return self._unreadable(followed, error)
        followed.unserved_since = None
        if not is_ours(raw, followed.run.uid) or followed.uid not in ("", raw["metadata"]["uid"]):
            return self._gone(followed)
        if raw["metadata"]["resourceVersion"] == followed.version and not followed.in_full:
            return None
        return self._judge(followed, raw)

    def _judge(self, followed: _Followed, raw: Mapping[str, Any]) -> Event:
        metadata, now = raw["metadata"], utc_now()
        followed.uid, followed.version, followed.in_full = metadata["uid"], metadata["resourceVersion"], False
        followed.started_at = time_of(metadata["creationTimestamp"]) or now
        if followed.running_at is None and has_status(raw):
            followed.running_at = now
        followed.ending = (metadata.get("annotations") or {}).get(labels.ENDING) or followed.ending
        return observe_resource(
            raw,
            followed.attempt,
            followed.work,
            started_at=followed.started_at,
            running_at=followed.running_at,
            ending=followed.ending,
            now=now,
        )

    def _gone(self, followed: _Followed, why: str = "") -> Event:
        """The object is not there any more: because we asked for its end, or by somebody else's doing."""
        attempt, now = followed.attempt, utc_now()
        known = _known_attempt(followed.run, attempt.node, attempt.number)
        if followed.ending or known is None or known[1].ending:
            return AttemptGone(node=attempt.node, number=attempt.number, seen_at=now)
        manifest = followed.work["manifest"]
        outcome = outcome_of_deletion(manifest["kind"], attempt.object_name, now, why)
        return self._seen(followed, outcome=outcome)

    def _unserved(self, followed: _Followed, message: str) -> Event:
        now = asyncio.get_running_loop().time()
        if followed.unserved_since is None:
            followed.unserved_since = now
        if now - followed.unserved_since >= _UNSERVED_SECONDS:
            return self._gone(followed, f"its kind is not served any more: {message}")
        return self._seen(followed, reason="NoSuchKind", message=message)

    def _unreadable(self, followed: _Followed, error: ApiError) -> Event | None:
        if error.is_impersonation:
            return self._seen(followed, reason=OPERATOR_FORBIDDEN, message=error.message)
        if isinstance(error, Forbidden):
            return self._seen(followed, reason="Forbidden", message=_forbidden(followed.run, error))
        attempt = followed.attempt
        about = followed.run.owner.fields(attempt.node, attempt.number)
        log.warning("cannot look at %s: %s; trying again", attempt.object_name, error, extra=about)
        return None

    def _seen(self, followed: _Followed, **more: Any) -> AttemptSeen:
        attempt = followed.attempt
        return AttemptSeen(
            node=attempt.node,
            number=attempt.number,
            object_name=attempt.object_name,
            started_at=followed.started_at or utc_now(),
            running_at=followed.running_at,
            ending=followed.ending,
            **more,
        )

    # -- both

    def _acting(self, run: Run) -> ApiClient:
        return self._client.acting_as(run.owner.namespace, run.service_account)

    async def _resource(self, work: RenderedResource) -> Resource:
        manifest = work["manifest"]
        return await self._discovery.resource(str(manifest.get("apiVersion")), str(manifest.get("kind")))


def _identity(start: StartAttempt) -> Identity:
    return Identity(node=start.node, number=start.number, object_name=start.object_name)


def _work_of(run: Run, state: NodeState) -> RenderedResource:
    work: RenderedResource = state.node.work.evaluate(scope_of(run.compiled.graph, run.state, state))
    return work


def _known_attempt(run: Run, node: str, number: int) -> tuple[NodeState, Attempt] | None:
    state = run.state.nodes.get(node)
    if state is None or not 1 <= number <= len(state.attempts):
        return None
    return state, state.attempts[number - 1]


def _forbidden(run: Run, error: ApiError) -> str:
    account = f"service account {run.service_account!r} of namespace {run.owner.namespace!r}"
    return f"{account} needs the verbs create, get, patch and delete: {error.message}"
