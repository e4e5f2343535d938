"""What runs of templates run: the template as it was when the run began, kept for as long as the run is there.

A Workflow with `spec.templateRef` has no tasks of its own. When it begins, the spec of its WorkflowTemplate is copied
into a ControllerRevision: an object of apps/v1 that the API server lets nobody change, named by the hash of its
content, owned by the run. Its name is recorded in `status.definition` by the same write as the start, and is what the
run is read by from then on, by whichever operator: editing a template, or deleting it, changes no run. One that has
the name and not the content was not made by us and is not believed.

A template that is not there (yet) is waited for, as long as the run has not begun: applying both at once must not
depend on which comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from fairlead.api import labels
from fairlead.api.problems import InvalidSpec, Problem
from fairlead.engine.names import label_value
from fairlead.kube.errors import AlreadyExists, NotFound
from fairlead.kube.resources import CONTROLLERREVISIONS, WORKFLOWTEMPLATES, ObjectKey
from fairlead.kube.transport import ApiClient

from .pods import owner_reference
from .store import Workflow

__all__ = ["Definition", "DefinitionLost", "Definitions", "revision_name"]

_FIELD = "spec.templateRef.name"

#: How many definitions are kept in memory: a schedule starts run after run of the same one.
_KEPT = 256
#: How often a run looks for a template that it waits for, if nobody tells.
_LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The spec of a template as one run keeps it. `record` is what the run's status says of it."""

    spec: Mapping[str, Any]
    template: str
    revision: str
    generation: int

    @property
    def record(self) -> dict[str, Any]:
        """Return `status.definition`; with the template's TTL, as nobody reads the definition of a run that is over."""
        found = {"template": self.template, "revision": self.revision, "generation": self.generation}
        ttl = self.spec.get("ttlSecondsAfterFinished")
        return found if ttl is None else found | {"ttlSecondsAfterFinished": ttl}


class DefinitionLost(InvalidSpec):
    """The definition that a run began with is not there any more, or is not what it was."""

    def __init__(self, message: str) -> None:
        super().__init__([Problem(_FIELD, message)])


class Definitions:
    """The definitions of all runs of templates. `notify(uid)` asks for a run to be looked at."""

    def __init__(self, client: ApiClient, notify: Callable[[str], None]) -> None:
        self._client = client
        self._notify = notify
        self._waiting: dict[ObjectKey, set[str]] = {}
        self._kept: dict[tuple[str, str], Definition] = {}

    async def of(self, workflow: Workflow) -> Definition | None:
        """Return what a run runs; None for one with tasks of its own, or whose template is not there.

        The latter is put in line once it is. Raises `DefinitionLost`, `ApiError`.
        """
        name = template_of(workflow.spec)
        if name is None:
            return None
        recorded = workflow.status.get("definition")
        return await (self.latest(workflow) if recorded is None else self._recorded(workflow, recorded))

    async def latest(self, workflow: Workflow) -> Definition | None:
        """Return the template of a run as it is now, and keep it for the run; None where it is not there."""
        name = template_of(workflow.spec)
        assert name is not None, "only asked of runs of templates"
        key = ObjectKey(workflow.namespace, name)
        try:
            raw = await self._client.get(WORKFLOWTEMPLATES, name, workflow.namespace)
        except NotFound:
            self._wait(key, workflow.uid)
            return None
        spec = raw.get("spec") or {}
        definition = Definition(
            spec=spec,
            template=name,
            revision=revision_name(workflow.uid, spec),
            generation=raw["metadata"].get("generation", 1),
        )
        await self._keep(workflow, definition)
        return definition

    def appeared(self, key: ObjectKey) -> None:
        """Put in line whoever waits for a template."""
        for uid in self._waiting.pop(key, ()):
            self._notify(uid)

    def _wait(self, key: ObjectKey, uid: str) -> None:
        waiting = self._waiting.setdefault(key, set())
        if uid not in waiting:
            waiting.add(uid)
            # In case that it has appeared before we began to wait, or that a watch is deaf.
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_again, key, uid)

    def _look_again(self, key: ObjectKey, uid: str) -> None:
        waiting = self._waiting.get(key, set())
        if uid in waiting:
            waiting.discard(uid)
            if not waiting:
                del self._waiting[key]
            self._notify(uid)

    async def _keep(self, workflow: Workflow, definition: Definition) -> None:
        manifest = {
            "apiVersion": CONTROLLERREVISIONS.api_version,
            "kind": CONTROLLERREVISIONS.kind,
            "metadata": {
                "name": definition.revision,
                "namespace": workflow.namespace,
                "labels": {labels.MANAGED_BY: "fairlead", labels.RUN: label_value(workflow.name)},
                "ownerReferences": [owner_reference(workflow.owner)],
            },
            "data": definition.spec,
            "revision": definition.generation,
        }
        try:
            await self._client.create(CONTROLLERREVISIONS, manifest, workflow.namespace, metadata_only=True)
        except AlreadyExists:
            # Made by us before a crash. Anybody can work out its name, so its content is looked at all the same.
            if await self._read(workflow, definition.revision) is None:
                message = f"ControllerRevision {definition.revision} exists and was not made by Fairlead; remove it"
                raise DefinitionLost(message) from None
        self._remember(workflow, definition)

    async def _recorded(self, workflow: Workflow, recorded: Mapping[str, Any]) -> Definition:
        revision = str(recorded.get("revision"))
        known = self._kept.get((workflow.uid, revision))
        if known is not None:
            return known
        spec = await self._read(workflow, revision)
        if spec is None:
            raise DefinitionLost(
                f"the definition that this run began with is gone, or has been tampered with: ControllerRevision "
                f"{revision}. Restore it from a backup, or create another Workflow"
            )
        definition = Definition(
            spec=spec,
            template=str(recorded.get("template", "")),
            revision=revision,
            generation=int(recorded.get("generation", 0)),
        )
        self._remember(workflow, definition)
        return definition

    async def _read(self, workflow: Workflow, revision: str) -> dict[str, Any] | None:
        """Return a kept definition; None where there is none, or it is not what its name says."""
        try:
            raw = await self._client.get(CONTROLLERREVISIONS, revision, workflow.namespace)
        except NotFound:
            return None
        spec = raw.get("data")
        if not isinstance(spec, dict) or revision_name(workflow.uid, spec) != revision:
            return None
        return spec

    def _remember(self, workflow: Workflow, definition: Definition) -> None:
        self._kept[workflow.uid, definition.revision] = definition
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]


def template_of(spec: Mapping[str, Any]) -> str | None:
    """Return the name of the template that a Workflow names; None for none, or nothing that could be a name."""
    reference = spec.get("templateRef")
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return name if isinstance(name, str) and name else None


def revision_name(run_uid: str, spec: Mapping[str, Any]) -> str:
    """Return the name of the object that keeps a definition for a run: a hash of both."""
    content = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
    return f"fairlead-definition-{sha256(run_uid.encode() + bytes(1) + content).hexdigest()[:32]}"
