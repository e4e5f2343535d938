"""Carrying out attempts of `workflow` tasks: each is a child Workflow, owned by its parent, that runs a template.

The child runs by itself, under the operator like any other; `children.py` tells its parent how it gets on. What goes
down to it:

- Suspension: while the parent is suspended, so are its active children. Those that somebody has suspended by hand stay
  so when the parent is resumed; those of `finally` are left alone.
- The end: a child is asked to stop, by a WorkflowAction in the operator's own name, and ends once it has cleaned up
  (its `finally` runs, unless the parent is terminated). `force` deletes it instead.
- The deadline: the parent's ends its attempts, children included, and stands still while the parent is suspended. It is
  not copied into the child, whose template may have a shorter one of its own.

A retry of the parent by its user runs the same child again, from its failure, rather than a new one from the beginning:
the child is marked as what carries the new attempt, then asked to retry. Both steps are repeated until they are seen to
have had their effect. A child that is gone, or has succeeded, is replaced by a new one.

Children have no finalizer: what follows from a child's end waits for the record of it in its parent's status.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fairlead.api import labels
from fairlead.api.work import RenderedWorkflow
from fairlead.clock import utc_now
from fairlead.engine.capacity import MOST_DEEP
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, Event, StartRefused
from fairlead.engine.model import StopMode, WorkKind
from fairlead.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from fairlead.kube.resources import SELF_SUBJECT_REVIEWS, WORKFLOWACTIONS, WORKFLOWS, ObjectKey
from fairlead.kube.transport import ApiClient, PatchType

from .buckets import Holds, everything
from .carrier import Insist
from .children import Children, ChildView, observe_child, retry_name
from .pods import Owner, owner_reference, people_labels
from .refusals import refusal
from .run import Run
from .start import Departure, Refused, failed_start, name_conflict
from .store import Workflow, WorkflowStore

__all__ = ["SubworkflowCarrier"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.2, 1.0, 5.0, 15.0)

#: Names that are tried for a request, where others have taken them.
_NAMES_TRIED = 3


class SubworkflowCarrier:
    """Creates, ends and retries child Workflows.

    `notify(uid)` asks for a run to be looked at; `changed(key, old, new)` hears what becomes of children.
    """

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        notify: Callable[[str], None],
        changed: Callable[[ObjectKey, ChildView | None, ChildView | None], None],
        holds: Holds = everything,
    ) -> None:
        self._holds = holds
        self._client = client
        self._store = store
        self._notify = notify
        self._username = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self.children = Children(store, changed, self._pass_on_suspension)

    # -- creating: see `start.Creator`

    async def create(self, run: Run, start: StartAttempt, departure: Departure) -> Event | None:
        """Create the child of an attempt, or have the one of the attempt before it run again."""
        carried = await self._run_again(run, start, departure) if start.succeeds else None
        if carried is not None:
            return observe_child(carried)
        parent = self._store.get(run.uid)
        depth = 1 + (depth_of(parent) if parent is not None else 0)
        if depth > MOST_DEEP:
            message = f"{MOST_DEEP} Workflows are above this one already: do its templates run each other?"
            raise Refused(failed_start(start, "NestingTooDeep", message))
        manifest = _manifest(run.owner, start, depth)
        if run.state.nodes[start.node].node.final:
            manifest["metadata"]["annotations"][labels.FINAL] = "true"
        if traceparent := run.traceparent(start):
            manifest["metadata"]["annotations"][labels.TRACEPARENT] = traceparent
        if departure.turn.priority:
            manifest["spec"]["priority"] = departure.turn.priority
        raw = await self._client.create(
            WORKFLOWS, manifest, run.owner.namespace, before_send=departure.leave, turn=departure.turn
        )
        return self._take_in(run, start, raw)

    async def find(self, run: Run, start: StartAttempt) -> Event | None:
        """See `start.Creator`."""
        try:
            raw = await self._client.get(WORKFLOWS, start.object_name, run.owner.namespace)
        except NotFound:
            return None
        except ApiError as error:
            about = run.owner.fields(start.node, start.number)
            log.warning("cannot read %s: %s", start.object_name, error, extra=about)
            return None
        if Workflow.of(raw).parent_uid != run.uid:
            return name_conflict(start, WORKFLOWS.kind, start.object_name)
        return self._take_in(run, start, raw)

    def refusal(self, _run: Run, start: StartAttempt, error: ApiError, /) -> StartRefused:
        """See `start.Creator`."""
        return refusal(start, error, utc_now())

    def _take_in(self, run: Run, start: StartAttempt, raw: Mapping[str, Any]) -> Event | None:
        workflow = self._store.put(raw)
        # Its own run begins with this: the watch, when it tells the same, tells nothing new.
        self._notify(workflow.uid)
        if (parent := self._store.get(run.uid)) is not None:
            self._pass_on_suspension(parent)  # it may have been suspended while the request was under way
        child = self.children.get(ObjectKey(run.owner.namespace, start.object_name))
        return None if child is None else observe_child(child)

    # -- running one again

    async def _run_again(self, run: Run, start: StartAttempt, departure: Departure) -> ChildView | None:
        """Have the child of the attempt before this one carry this one. Returns None where there is none to do so."""
        namespace = run.owner.namespace
        child = self.children.get(ObjectKey(namespace, start.object_name))
        if child is None:
            before = self.children.get(ObjectKey(namespace, start.succeeds))
            if before is None or before.owner_uid != run.uid or not _can_run_again(before):
                return None
            note = {"attempt": start.number, "epoch": before.epoch + 1, "since": utc_now().isoformat()}
            annotations = {labels.CARRIES: json.dumps(note), labels.ENDING: None}
            metadata = {
                "uid": before.uid,
                "annotations": annotations,
                "labels": {labels.ATTEMPT: str(start.number)},
            }
            departure.leave()
            try:
                raw = await self._client.patch(
                    WORKFLOWS, before.name, {"metadata": metadata}, PatchType.MERGE, namespace
                )
            except (NotFound, Conflict) as error:
                if isinstance(error, Conflict) and not error.is_wrong_uid:
                    raise
                return None
            self._store.put(raw)
            child = self.children.get(ObjectKey(namespace, start.object_name))
        if child is not None:
            self._spawn(self._ask_to_retry(namespace, child))
        return child

    async def _ask_to_retry(self, namespace: str, child: ChildView) -> None:
        if child.epoch >= child.carries or child.refused:
            return
        name = retry_name(child.name, child.carries - 1)
        for seconds in (*_RETRY_SECONDS, None):
            try:
                await self._request(namespace, child, name, {"action": "Retry"}, "its parent is retried")
            except ApiError as error:
                if seconds is None or not error.is_transient:
                    raise
                await asyncio.sleep(seconds)
            else:
                return

    # -- ending

    async def end(self, run: Run, end: EndAttempt, insist: Insist) -> Event | None:
        """Write down why on the child, and ask it to stop; by `force`, delete it."""
        namespace = run.owner.namespace
        child = self.children.get(ObjectKey(namespace, end.object_name))
        if child is None or child.owner_uid != run.uid:
            # Either it is gone, or it has not been told of yet: a look at the run in full tells them apart.
            self.resync(run)
            return None
        body = {"metadata": {"uid": child.uid, "annotations": {labels.ENDING: end.reason}}}
        try:
            await insist(run, lambda: self._client.patch(WORKFLOWS, child.name, body, PatchType.MERGE, namespace))
            if end.force:
                await insist(run, lambda: self._client.delete(WORKFLOWS, child.name, namespace, uid=child.uid))
                return None
            mode = StopMode.TERMINATE if run.state.stop_mode is StopMode.TERMINATE else StopMode.CANCEL
            # By the child's epoch: a request that came before it had begun to run again was too early to be met.
            name = f"{child.name}-{mode.value.lower()}-{child.epoch}"
            spec = {"action": "Stop", "mode": mode.value}
            await insist(run, lambda: self._request(namespace, child, name, spec, end.reason))
        except (NotFound, Conflict) as error:
            if isinstance(error, Conflict) and not error.is_wrong_uid:
                raise
            return AttemptGone(node=end.node, number=end.number, seen_at=utc_now())
        return None

    async def _request(self, namespace: str, child: ChildView, name: str, spec: Mapping[str, Any], reason: str) -> None:
        """Ask something of a child, in the operator's own name. Asking twice is asking once."""
        owner = Owner(
            api_version=WORKFLOWS.api_version,
            kind=WORKFLOWS.kind,
            name=child.name,
            namespace=namespace,
            uid=child.uid,
        )
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": {labels.MANAGED_BY: "fairlead"},
            "ownerReferences": [owner_reference(owner)],
        }
        manifest = {
            "apiVersion": WORKFLOWACTIONS.api_version,
            "kind": WORKFLOWACTIONS.kind,
            "metadata": metadata,
            "spec": {
                "workflowName": child.name,
                "workflowUID": child.uid,
                **spec,
                "reason": reason,
                "requestedBy": {"username": await self._own_name()},
            },
        }
        for _ in range(_NAMES_TRIED):
            try:
                await self._client.create(WORKFLOWACTIONS, manifest, namespace, metadata_only=True)
            except AlreadyExists:
                taken = await self._client.get(WORKFLOWACTIONS, name, namespace)
                asked, wanted = taken["spec"], {"workflowUID": child.uid, **spec}
                if all(asked.get(key) == value for key, value in wanted.items()):
                    return
                # Anybody can work out its name, and may have taken it for something else.
                metadata["name"] = name = f"{name}-{taken['metadata']['uid'][:8]}"
            else:
                return

    async def _own_name(self) -> str:
        """Return the operator's name as the API server knows it."""
        if not self._username:
            review = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind}
            answer = await self._client.create(SELF_SUBJECT_REVIEWS, review)
            self._username = answer["status"]["userInfo"]["username"]
        return self._username

    # -- what is looked at again and again

    def resync(self, run: Run) -> None:
        """Look for children that nobody has told of, and repeat what has had no effect on those that are known."""
        parent = self._store.get(run.uid)
        if parent is not None:
            self._pass_on_suspension(parent)
        for key, child in list(self.children.by_owner(run.uid).items()):
            if key.namespace == run.owner.namespace and child.epoch < child.carries:
                self._spawn(self._ask_to_retry(run.owner.namespace, child))
        missing = {
            state.name: attempt
            for state in run.state.nodes.values()
            if state.node.work.kind is WorkKind.WORKFLOW and (attempt := state.current) is not None and attempt.created
        }
        known = self.children.by_owner(run.uid)
        if any(ObjectKey(run.owner.namespace, each.object_name) not in known for each in missing.values()):
            self._spawn(self._look_for_missing(run))

    async def _look_for_missing(self, run: Run) -> None:
        """Read the children of a run, and tell which of its live attempts have none."""
        namespace = run.owner.namespace
        selector = f"{labels.RUN_UID}={run.uid}"
        async for page in self._client.list_pages(WORKFLOWS, namespace, label_selector=selector):
            for raw in page.items:
                self._notify(self._store.put(raw).uid)
        for state in run.state.nodes.values():
            attempt = state.current
            if state.node.work.kind is not WorkKind.WORKFLOW or attempt is None or not attempt.created:
                continue
            key = ObjectKey(namespace, attempt.object_name)
            if self.children.get(key) is None and await self._is_gone(key, run):
                run.inbox.append(AttemptGone(node=state.name, number=attempt.number, seen_at=utc_now()))
                self._notify(run.uid)

    async def _is_gone(self, key: ObjectKey, run: Run) -> bool:
        """Make sure that there is no child of a run by this name, not even one without our labels."""
        try:
            raw = await self._client.get(WORKFLOWS, key.name, key.namespace, metadata_only=True)
        except NotFound:
            return True
        return Workflow.of(raw).parent_uid != run.uid

    def _pass_on_suspension(self, parent: Workflow) -> None:
        if not self._holds(parent.uid):
            return
        suspend = bool(parent.spec.get("suspend"))
        for key, child in self.children.by_owner(parent.uid).items():
            found = self._store.get(child.uid)
            if (
                found is None
                or key.namespace != parent.namespace
                or child.final
                or child.finished_at is not None
                or child.deleting_at is not None
            ):
                continue
            if suspend and not found.spec.get("suspend"):
                self._spawn(self._suspend(parent.namespace, child, suspend=True))
            elif not suspend and child.suspended:
                self._spawn(self._suspend(parent.namespace, child, suspend=False))

    async def _suspend(self, namespace: str, child: ChildView, *, suspend: bool) -> None:
        annotations = {labels.SUSPENDED: "true" if suspend else None}
        body = {"metadata": {"uid": child.uid, "annotations": annotations}, "spec": {"suspend": suspend}}
        raw = await self._client.patch(WORKFLOWS, child.name, body, PatchType.MERGE, namespace)
        self._store.put(raw)
        self._notify(child.uid)

    def close(self) -> None:
        """Drop what is under way; it is repeated by the next operator."""
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = None if isinstance(error, ApiError) else error
            log.warning("a sub-workflow is looked at again in a minute: %s", error, exc_info=trace)


def depth_of(workflow: Workflow) -> int:
    """Return how many Workflows are above one."""
    text = (workflow.raw["metadata"].get("labels") or {}).get(labels.DEPTH, "")
    return int(text) if text.isdecimal() else 0


def _can_run_again(child: ChildView) -> bool:
    return child.finished_at is not None and not child.succeeded and not child.invalid and child.deleting_at is None


def _manifest(owner: Owner, start: StartAttempt, depth: int) -> dict[str, Any]:
    work: RenderedWorkflow = start.work
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {
            "name": start.object_name,
            "namespace": owner.namespace,
            "labels": {
                **people_labels(owner, start),
                labels.MANAGED_BY: "fairlead",
                labels.RUN_UID: owner.uid,
                labels.BUCKET: str(owner.bucket),
                labels.DEPTH: str(depth),
            },
            "annotations": {labels.NODE: start.node, labels.RUN_NAME: owner.name},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {"templateRef": {"name": work["templateName"]}, "arguments": work["arguments"]},
    }
