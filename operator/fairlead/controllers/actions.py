"""Requests on runs: WorkflowActions on their way to the engine, and what became of them on its way back.

The engine decides about a request and puts the verdict on the run's record, in `status.actions`, by the same write as
its effect. Only then is the verdict told in the action's own conditions, which repeat the record: they are written
again where they are missing, however often the operator is restarted in between. Requests that never reach a run (it
does not exist, it is another one by the same name) have their conditions only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from fairlead.api.action import check_action
from fairlead.clock import utc_now
from fairlead.engine.events import UserAction
from fairlead.engine.model import ActionKind, Phase, StopMode
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.observer import Observer
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS, ObjectKey
from fairlead.kube.scope import Following, Scope
from fairlead.kube.transport import ApiClient, PatchType

from .identity import IdentityCheck
from .run import Run
from .status import condition
from .store import Workflow, WorkflowStore
from .views import time_of

__all__ = ["ActionView", "Actions", "action_view", "is_unrecorded"]

log = logging.getLogger(__name__)

#: Requests on record whose verdict has not been told yet, at most: fewer than the record keeps.
_UNTOLD = 50
_RETRY_SECONDS = (0.2, 1.0, 5.0, 15.0)
#: How soon a verdict that could not be told is told again.
_AGAIN_SECONDS = 60.0
_CHANGED_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """What is kept of one WorkflowAction.

    `run_uid` and `run_name` are the run that it names; `spec` is its spec as JSON, left out once it is `answered`: once
    it has its conditions. `owned` tells that it will be collected with the run.
    """

    uid: str
    version: str
    created_at: datetime
    run_uid: str
    run_name: str
    spec: bytes = b""
    answered: bool = False
    owned: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done about it."""
        return self.answered and self.owned


@dataclass(frozen=True, slots=True)
class _Verdict:
    accepted: bool
    reason: str
    message: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> _Verdict:
        accepted = record["accepted"]
        reason = record.get("reason") or ("Accepted" if accepted else "Refused")
        return cls(accepted, reason, record.get("message", ""))


def action_view(raw: Mapping[str, Any]) -> ActionView:
    """Return what is kept of a WorkflowAction."""
    metadata, spec = raw["metadata"], raw["spec"]
    created_at = time_of(metadata["creationTimestamp"])
    assert created_at is not None, "the API server sets creationTimestamp on every object"
    conditions = (raw.get("status") or {}).get("conditions") or ()
    answered = {"Accepted", "Completed"} <= {each["type"] for each in conditions}
    owners = metadata.get("ownerReferences") or ()
    return ActionView(
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        created_at=created_at,
        run_uid=spec["workflowUID"],
        run_name=spec["workflowName"],
        spec=b"" if answered else orjson.dumps(spec),
        answered=answered,
        owned=any(each["uid"] == spec["workflowUID"] for each in owners),
    )


def is_unrecorded(run: Run) -> bool:
    """Tell whether a verdict on a request waits for the run's next status."""
    if not run.state.actions:
        return False
    recorded = run.written.get("actions") or ()
    return not recorded or recorded[-1]["uid"] != run.state.actions[-1].uid


class Actions:
    """The requests on all runs. `notify(uid)` asks for a run to be looked at, `counted(action, accepted)` counts."""

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        notify: Callable[[str], None],
        counted: Callable[[str, bool], None],
        observer: Observer,
        scope: Scope | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._notify = notify
        self._counted = counted
        self._identity = IdentityCheck(client)
        self._open: dict[str, dict[ObjectKey, ActionView]] = {}
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.informer: Following[ActionView] = (scope or Scope()).informer(
            client, WORKFLOWACTIONS, project=action_view, on_change=self._changed, observer=observer
        )

    def _changed(self, key: ObjectKey, old: ActionView | None, new: ActionView | None) -> None:
        view = new or old
        assert view is not None, "an informer tells of something"
        found = self._open.setdefault(view.run_uid, {})
        if new is not None and not new.is_settled:
            found[key] = new
        else:
            found.pop(key, None)
        if new is None or new.is_settled:
            self._told.discard(view.uid)
        if found:
            self._notify(view.run_uid)
        else:
            del self._open[view.run_uid]

    @property
    def runs(self) -> Collection[str]:
        """The UIDs of the runs of which something is asked, whether they exist or not."""
        return self._open.keys()

    def pending(self, workflow: Workflow) -> list[tuple[ObjectKey, ActionView]]:
        """Return the requests on a run that its record does not have, in the order in which they take effect."""
        known = {each["uid"] for each in workflow.status.get("actions") or ()} | self._told
        found = [(key, view) for key, view in self._unanswered(workflow.uid) if view.uid not in known]
        return sorted(found, key=lambda each: (each[1].created_at, each[1].uid))

    def may_go_on(self, workflow: Workflow) -> bool:
        """Tell whether there is a request that may take effect now: none does while too many verdicts are untold."""
        decided = {each["uid"] for each in workflow.status.get("actions") or ()}
        return not self._lags(workflow.uid, decided) and bool(self.pending(workflow))

    def _lags(self, uid: str, decided: Collection[str]) -> bool:
        return sum(view.uid in decided for _, view in self._unanswered(uid)) >= _UNTOLD

    def _unanswered(self, uid: str) -> list[tuple[ObjectKey, ActionView]]:
        return [(key, view) for key, view in self._open.get(uid, {}).items() if not view.answered]

    def wants_latest(self, run: Run, asked: UserAction) -> bool:
        """Tell whether a request wants the run to go on by the present definition, rather than by its own."""
        found = (view for _, view in self._unanswered(run.uid) if view.uid == asked.uid)
        return any(orjson.loads(view.spec).get("revision") == "Latest" for view in found)

    async def next(self, run: Run, workflow: Workflow) -> UserAction | None:
        """Return the request that is to take effect next; one at a time, so that each sees what the last has done.

        What cannot be a request on this run is refused here. Raises `ApiError` where it cannot be told who asks.
        """
        decided = {each.uid for each in run.state.actions}
        if self._lags(run.uid, decided):
            return None
        for key, view in self.pending(workflow):
            if view.uid in decided:
                continue
            if (refused := _misaddressed(key, view, workflow)) is not None:
                self._tell(key, view, refused)
            elif (refused := _malformed(view)) is not None:
                self._tell(key, view, refused, workflow)
            else:
                return await self._request(key, view)
        return None

    async def stop_of(self, workflow: Workflow, why_not_started: str) -> UserAction | None:
        """Return a request to stop a run that has not started. Whatever else is asked of it is refused.

        Raises `ApiError` where it cannot be told who asks.
        """
        for key, view in self.pending(workflow):
            refused = _misaddressed(key, view, workflow) or _malformed(view)
            if refused is None:
                asked = await self._request(key, view)
                if asked.kind is ActionKind.STOP:
                    return asked
                refused = _Verdict(False, "NotStarted", f"the run has not started: {why_not_started}")
            self._tell(key, view, refused)
        return None

    async def _request(self, key: ObjectKey, view: ActionView) -> UserAction:
        spec = orjson.loads(view.spec)
        by = spec.get("requestedBy") or {}
        return UserAction(
            uid=view.uid,
            name=key.name,
            kind=ActionKind(spec["action"]),
            created_at=view.created_at,
            by=by.get("username", ""),
            groups=tuple(by.get("groups") or ()),
            verified=bool(by) and await self._identity.covers(view.created_at),
            tasks=tuple(spec.get("tasks") or ()),
            phase=Phase(spec["phase"]) if "phase" in spec else None,
            mode=StopMode(spec["mode"]) if "mode" in spec else None,
            values=spec.get("values") or {},
            token=spec.get("token", ""),
            reason=spec.get("reason", ""),
        )

    def decided(self, run: Run, asked: UserAction) -> None:
        """See to it that a request which the engine was told of is answered in any case."""
        if run.state.actions and run.state.actions[-1].uid == asked.uid:
            return  # once its record is persisted
        log.error("the request %s was not decided", asked.name, extra=run.owner.fields())
        self.reject(run, asked, "InternalError", "a defect of the operator: see its log")

    def reject(self, run: Run, asked: UserAction, reason: str, message: str) -> None:
        """Refuse a request of which the engine is not told."""
        for key, view in self._unanswered(run.uid):
            if view.uid == asked.uid:
                self._tell(key, view, _Verdict(False, reason, message), self._store.get(run.uid))

    def settle(self, workflow: Workflow) -> None:
        """Begin to tell the verdicts that are on a run's record, and to make the run the owner of its requests."""
        found = self._open.get(workflow.uid)
        if not found:
            return
        records = {each["uid"]: each for each in workflow.status.get("actions") or ()}
        for key, view in list(found.items()):
            record = records.get(view.uid)
            if key.namespace != workflow.namespace or not (view.answered or record):
                continue
            verdict = None
            if record and not view.answered:
                verdict = _Verdict.of(record)
            self._tell(key, view, verdict, workflow)

    def refuse(self, workflow: Workflow, reason: str, message: str) -> None:
        """Refuse what is asked of a run that cannot be taken up (again)."""
        for key, view in self.pending(workflow):
            if (misaddressed := _misaddressed(key, view, workflow)) is not None:
                self._tell(key, view, misaddressed)
            else:
                self._tell(key, view, _Verdict(False, reason, message), workflow)

    async def answer_strays(self, uid: str) -> None:
        """Answer requests on a run that is being deleted or that we know nothing of. Raises `ApiError`."""
        for key, view in self._unanswered(uid):
            if view.uid in self._told:
                continue
            try:
                raw = await self._client.get(WORKFLOWS, view.run_name, key.namespace)
            except NotFound:
                message = f"there is no Workflow {view.run_name!r} in the namespace {key.namespace!r}"
                self._tell(key, view, _Verdict(False, "NoSuchRun", message))
                continue
            found = Workflow.of(raw)
            if found.uid != uid:
                message = f"the Workflow {view.run_name!r} is another one now: its UID is {found.uid}"
                self._tell(key, view, _Verdict(False, "StaleUID", message))
            elif found.deleting:
                self._tell(key, view, _Verdict(False, "NoSuchRun", "the Workflow is being deleted"))
            else:
                self._store.put(raw)  # it does exist: its watch is late
                if self._store.get(uid) is not None:
                    self._notify(uid)

    async def close(self, seconds: float) -> None:
        """Wait for what is being told, at most so long; what is cut off is told by the next operator."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    def _tell(self, key: ObjectKey, view: ActionView, verdict: _Verdict | None, run: Workflow | None = None) -> None:
        if view.uid in self._told:
            return
        self._told.add(view.uid)  # until nothing is left to be done about it
        task = asyncio.create_task(self._insist(key, view, verdict, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, key: ObjectKey, view: ActionView, verdict: _Verdict | None, run: Workflow | None) -> None:
        for seconds in (*_RETRY_SECONDS, None):
            try:
                if verdict is not None:
                    await self._write(key, view, verdict)
                if run is not None and not view.owned:
                    await self._hand_over(key, view, run)
            except NotFound:
                return
            except Conflict:
                # It was changed meanwhile; or it is another one by that name, and ours is gone.
                asyncio.get_running_loop().call_later(_CHANGED_SECONDS, self._once_more, view)
                return
            except ApiError as error:
                if seconds is None or not (error.is_transient or error.status == 403):
                    log.warning("cannot answer the WorkflowAction %s: %s; tried again in a minute", key, error)
                    asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._once_more, view)
                    return
                await asyncio.sleep(seconds)
            else:
                if verdict is not None:
                    self._counted(orjson.loads(view.spec).get("action", ""), verdict.accepted)
                return

    def _once_more(self, view: ActionView) -> None:
        self._told.discard(view.uid)
        self._notify(view.run_uid)

    async def _write(self, key: ObjectKey, view: ActionView, verdict: _Verdict) -> None:
        now = utc_now()
        verdicts = {
            "Accepted": "True" if verdict.accepted else "False",
            "Completed": "True",
            "Stalled": "False" if verdict.accepted else "True",  # for kstatus
        }
        # By its version, as a write of the status does not look at the UID.
        body = _applied(key, resourceVersion=view.version) | {
            "status": {
                "observedGeneration": 1,  # the spec never changes
                "conditions": [
                    condition(kind, value, verdict.reason, verdict.message, generation=1, previous={}, now=now)
                    for kind, value in verdicts.items()
                ],
            }
        }
        await self._apply(key, body, subresource="status")

    async def _hand_over(self, key: ObjectKey, view: ActionView, run: Workflow) -> None:
        """Make the run its owner, so that it is collected with it; no controller: nothing is decided by that."""
        owner = {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "name": run.name, "uid": run.uid}
        await self._apply(key, _applied(key, uid=view.uid, ownerReferences=[owner]))

    async def _apply(self, key: ObjectKey, body: Mapping[str, Any], subresource: str | None = None) -> None:
        # Applied, not merged: whatever others have in these two lists stays, and the same again is no change.
        await self._client.patch(
            WORKFLOWACTIONS,
            key.name,
            body,
            PatchType.APPLY,
            key.namespace,
            subresource=subresource,
            force=True,
            metadata_only=True,
        )


def _applied(key: ObjectKey, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": WORKFLOWACTIONS.api_version,
        "kind": WORKFLOWACTIONS.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, **metadata},
    }


def _misaddressed(key: ObjectKey, view: ActionView, workflow: Workflow) -> _Verdict | None:
    """Refuse a request with the UID of a run that it does not name: rights are given by namespace and name."""
    if (key.namespace, view.run_name) == (workflow.namespace, workflow.name):
        return None
    message = f"there is no Workflow {view.run_name!r} with this UID in the namespace {key.namespace!r}"
    return _Verdict(False, "NoSuchRun", message)


def _malformed(view: ActionView) -> _Verdict | None:
    """Refuse what an older schema has let pass."""
    problems = check_action(orjson.loads(view.spec))
    return _Verdict(False, "InvalidRequest", "; ".join(str(each) for each in problems)[:4096]) if problems else None
