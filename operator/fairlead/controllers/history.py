"""Which finished runs are beyond a history limit, worked out anew whenever that may have changed.

Every replica knows all Workflows and templates, so each comes to the same answer; whoever holds a run deletes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from fairlead.engine.history import NO_LIMITS, Ended, HistoryLimits, surplus

from .definitions import template_of
from .options import HistoryPolicy
from .status import condition_of, finished_at
from .store import Workflow, WorkflowStore
from .tracking import is_tracked

__all__ = ["History"]

#: Many runs that end together are looked at once.
_GATHER_SECONDS = 1.0


class History:
    """The runs that are beyond a limit. `notify(uid)` is told of each that comes to be.

    `of_template(namespace, name)` returns the limits of a template.
    """

    def __init__(
        self,
        store: WorkflowStore,
        policy: HistoryPolicy,
        of_template: Callable[[str, str], HistoryLimits],
        notify: Callable[[str], None],
    ) -> None:
        self._store = store
        self._policy = policy
        self._of_template = of_template
        self._notify = notify
        self._surplus: dict[str, frozenset[str]] = {}
        self._changed_in: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        store.follow(self._changed)

    def is_surplus(self, workflow: Workflow) -> bool:
        """Tell whether a run is beyond a limit, as far as is known."""
        return workflow.uid in self._surplus.get(workflow.namespace, ())

    def look_at(self, namespace: str) -> None:
        """Work it out anew for a namespace, in a moment."""
        self._changed_in.add(namespace)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._look)

    def close(self) -> None:
        """Look at nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _changed(self, old: Workflow | None, new: Workflow | None) -> None:
        """Take note of a run that has ended, or has gone on after that, or is gone."""
        before = None if old is None else finished_at(old.status)
        after = None if new is None or new.deleting else finished_at(new.status)
        if before == after:
            return
        workflow = new or old
        assert workflow is not None
        known = self._surplus.get(workflow.namespace, frozenset())
        if workflow.uid in known:
            # At once, and for good where it was deleted: the others are as many too many as before.
            self._surplus[workflow.namespace] = known - {workflow.uid}
            if new is None:
                return
        if self._is_limited(workflow):
            self.look_at(workflow.namespace)

    def _is_limited(self, workflow: Workflow) -> bool:
        if workflow.parent_uid:
            return False
        template = template_of(workflow.spec)
        of_template = NO_LIMITS if template is None else self._of_template(workflow.namespace, template)
        return of_template.any or self._policy.of(workflow.namespace).any

    def _look(self) -> None:
        self._timer = None
        namespaces, self._changed_in = self._changed_in, set()
        found = surplus(self._ended(namespaces), self._policy.of, self._of_template)
        mine: dict[str, set[str]] = {namespace: set() for namespace in namespaces}
        for uid in found:
            workflow = self._store.get(uid)
            assert workflow is not None, "nothing was awaited since they were read"
            mine[workflow.namespace].add(uid)
        for namespace, uids in mine.items():
            known = self._surplus.pop(namespace, frozenset())
            if uids:
                self._surplus[namespace] = frozenset(uids)
            for uid in sorted(uids - known):
                self._notify(uid)

    def _ended(self, namespaces: set[str]) -> Iterator[Ended]:
        for workflow in self._store:
            if workflow.namespace not in namespaces or workflow.deleting or not self._is_limited(workflow):
                continue
            moment = finished_at(workflow.status)
            if moment is None or is_tracked(workflow):
                continue
            yield Ended(
                uid=workflow.uid,
                namespace=workflow.namespace,
                template=template_of(workflow.spec) or "",
                succeeded=condition_of(workflow.status, "Succeeded").get("status") == "True",
                finished_at=moment,
            )
