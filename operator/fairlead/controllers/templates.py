"""WorkflowTemplates: whether each can run, in its own status, before any run finds out; and who waits for one.

The condition `Valid` has every problem with its field's path, as lint does, so that `kubectl get workflowtemplates` and
GitOps tools show a broken definition where it was written. Nothing depends on it: a run is compiled from the
definition itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead.api.compile import check_template
from fairlead.api.problems import Problem, Severity
from fairlead.clock import utc_now
from fairlead.engine.expressions import Evaluator
from fairlead.engine.history import NO_LIMITS, HistoryLimits
from fairlead.kube.errors import Conflict, NotFound
from fairlead.kube.observer import Observer
from fairlead.kube.resources import WORKFLOWTEMPLATES, ObjectKey
from fairlead.kube.scope import Following, Scope
from fairlead.kube.transport import ApiClient, PatchType

from .buckets import Holds, everything
from .queue import QueueObserver, WorkQueue
from .status import condition

__all__ = ["TemplateView", "Templates", "template_status", "template_view"]

log = logging.getLogger(__name__)

_MESSAGE_CHARACTERS = 8192
#: Compiling a large one takes a third of a second of the one interpreter.
_WORKERS = 1


@dataclass(frozen=True, slots=True)
class TemplateView:
    """What is kept of a template: which one it is, whether its status is about the present spec, and its limits."""

    uid: str
    generation: int
    judged: bool
    history: HistoryLimits = NO_LIMITS


def template_view(raw: Mapping[str, Any]) -> TemplateView:
    """Return what is kept of a WorkflowTemplate."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    generation = metadata.get("generation", 1)
    judged = any(
        each.get("type") == "Valid" and each.get("observedGeneration") == generation
        for each in status.get("conditions") or ()
    )
    return TemplateView(metadata["uid"], generation, judged, _history((raw.get("spec") or {}).get("historyLimits")))


def _history(written: Any) -> HistoryLimits:
    """Return the limits in a spec; what is no limit counts as none, rather than as a reason to delete anything."""
    limits = written if isinstance(written, Mapping) else {}

    def of(name: str) -> int | None:
        value = limits.get(name)
        return value if type(value) is int and value >= 0 else None

    return HistoryLimits(of("succeeded"), of("failed"))


def template_status(problems: Sequence[Problem], *, generation: int, previous: Mapping[str, Any], now: datetime) -> Any:
    """Return the status of a template with these problems. Conditions of others stay."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    message = "; ".join(str(problem) for problem in errors or problems)
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[: _MESSAGE_CHARACTERS - 1] + "…"
    reason = "InvalidSpec" if errors else "Valid"
    verdict = {
        "Valid": ("False" if errors else "True", reason, message),
        "Stalled": ("True" if errors else "False", reason, message if errors else ""),  # for kstatus
    }
    others = [each for each in previous.get("conditions") or () if each.get("type") not in verdict]
    told = [condition(kind, *verdict[kind], generation=generation, previous=previous, now=now) for kind in verdict]
    return {"observedGeneration": generation, "conditions": [*others, *told]}


class Templates:
    """Judges all templates. `appeared(key)` hears of each that comes to be known.

    `limited(namespace)` hears where the limits of one have changed.
    """

    def __init__(
        self,
        client: ApiClient,
        evaluator: Evaluator,
        appeared: Callable[[ObjectKey], None],
        observer: Observer,
        queue_observer: QueueObserver,
        holds: Holds = everything,
        scope: Scope | None = None,
        limited: Callable[[str], None] = lambda _namespace: None,
    ) -> None:
        self._holds = holds
        self._limited = limited
        self._client = client
        self._evaluator = evaluator
        self._appeared = appeared
        self.queue = WorkQueue("template", self._judge, queue_observer, workers=_WORKERS)
        self.informer: Following[TemplateView] = (scope or Scope()).informer(
            client, WORKFLOWTEMPLATES, project=template_view, on_change=self._changed, observer=observer
        )

    def _changed(self, key: ObjectKey, old: TemplateView | None, new: TemplateView | None) -> None:
        if (NO_LIMITS if old is None else old.history) != (NO_LIMITS if new is None else new.history):
            self._limited(key.namespace)
        if new is None:
            return
        if old is None or old.uid != new.uid:
            self._appeared(key)
        if not new.judged and self._holds(new.uid):
            self.queue.add(str(key))

    def limits(self, namespace: str, name: str) -> HistoryLimits:
        """Return the history limits of a template; none of one that is not there."""
        view = self.informer.get(ObjectKey(namespace, name))
        return NO_LIMITS if view is None else view.history

    def look_again(self) -> None:
        """Judge what nobody has: others have become ours to judge."""
        for key, view in list(self.informer.items()):
            if not view.judged and self._holds(view.uid):
                self.queue.add(str(key))

    async def _judge(self, name: str) -> None:
        key = ObjectKey(*name.split("/"))
        try:
            raw = await self._client.get(WORKFLOWTEMPLATES, key.name, key.namespace)
        except NotFound:
            return
        if template_view(raw).judged or not self._holds(raw["metadata"]["uid"]):
            return
        problems = await asyncio.to_thread(check_template, raw.get("spec"), evaluator=self._evaluator)
        metadata, now = raw["metadata"], utc_now()
        generation, previous = metadata.get("generation", 1), raw.get("status") or {}
        body = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": template_status(problems, generation=generation, previous=previous, now=now),
        }
        try:
            await self._client.patch(
                WORKFLOWTEMPLATES,
                key.name,
                body,
                PatchType.MERGE,
                key.namespace,
                subresource="status",
                metadata_only=True,
            )
        except (NotFound, Conflict):
            self.queue.add_after(name, 1.0)  # it has changed meanwhile
