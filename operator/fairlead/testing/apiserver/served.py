"""The kinds that a server serves, and in what they differ: one table. What these words stand for is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fairlead.kube.resources import (
    ADMISSION_POLICIES,
    ADMISSION_POLICY_BINDINGS,
    CLAIMS,
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    SECRETS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
    Resource,
)

from .exchange import Object

__all__ = ["BUILT_IN", "NODES", "OURS", "SERVED", "SERVICE_ACCOUNTS", "Served"]

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def _at(*path: str) -> Callable[[Object], str]:
    def read(obj: Object) -> str:
        found: object = obj
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return str(found or "")

    return read


_NAMED = {"metadata.name": _at("metadata", "name"), "metadata.namespace": _at("metadata", "namespace")}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """One kind, and how it differs from others.

    Attributes:
        resource: where it lives.
        custom: defined by a CustomResourceDefinition.
        status: it has the subresource `status`; what is written elsewhere leaves the status alone.
        counted: `metadata.generation` is kept.
        graceful: a delete leaves it time to end (pods).
        orphans: a delete that says nothing about dependents leaves them alone.
        collected: dependents and owners mean something to it; not so for Events, which may also have any name.
        unconditional: a PUT without resourceVersion overwrites.
        upserted: a PUT creates it.
        lax: its finalizers need no domain.
        shown_deleted: the answer to a delete is the object, not a `Status`.
        subresources: others than `status`.
        fields: what may be selected by, besides name and namespace.
        verbs: what discovery says.
    """

    resource: Resource
    custom: bool = False
    status: bool = False
    counted: bool = False
    graceful: bool = False
    orphans: bool = False
    collected: bool = True
    unconditional: bool = True
    upserted: bool = False
    lax: bool = False
    shown_deleted: bool = False
    subresources: tuple[str, ...] = ()
    fields: Mapping[str, Callable[[Object], str]] = field(default_factory=lambda: _NAMED)
    verbs: tuple[str, ...] = _VERBS


def _custom(resource: Resource, *, status: bool = True, **fields: Callable[[Object], str]) -> Served:
    named = {key.replace("_", "."): read for key, read in fields.items()}
    return Served(
        resource=resource,
        custom=True,
        status=status,
        counted=True,
        unconditional=False,
        lax=True,
        fields=_NAMED | named,
    )


_POD_FIELDS = {
    "spec.nodeName": _at("spec", "nodeName"),
    "spec.restartPolicy": _at("spec", "restartPolicy"),
    "spec.schedulerName": _at("spec", "schedulerName"),
    "spec.serviceAccountName": _at("spec", "serviceAccountName"),
    "status.phase": _at("status", "phase"),
}
_EVENT_FIELDS = {
    f"involvedObject.{key}": _at("involvedObject", key) for key in ("kind", "namespace", "name", "uid", "apiVersion")
} | {key: _at(key) for key in ("reason", "type")}

BUILT_IN: tuple[Served, ...] = (
    Served(
        resource=PODS,
        status=True,
        counted=True,
        graceful=True,
        shown_deleted=True,
        subresources=("binding", "eviction", "log"),
        fields=_NAMED | _POD_FIELDS,
    ),
    Served(resource=CLAIMS, status=True, shown_deleted=True),
    Served(resource=CONFIGMAPS),
    Served(resource=SECRETS, fields=_NAMED | {"type": _at("type")}),
    Served(resource=SERVICE_ACCOUNTS, shown_deleted=True),
    Served(resource=EVENTS, collected=False, upserted=True, lax=True, fields=_NAMED | _EVENT_FIELDS),
    Served(
        resource=NAMESPACES,
        status=True,
        subresources=("finalize",),
        fields=_NAMED | {"status.phase": _at("status", "phase")},
        verbs=tuple(verb for verb in _VERBS if verb != "deletecollection"),
    ),
    Served(resource=NODES, status=True, fields=_NAMED | {"spec.unschedulable": _at("spec", "unschedulable")}),
    Served(resource=JOBS, status=True, counted=True, orphans=True),
    Served(resource=LEASES, unconditional=False, upserted=True, lax=True),
    Served(resource=CONTROLLERREVISIONS),
    Served(resource=ADMISSION_POLICIES, status=True, counted=True),
    Served(resource=ADMISSION_POLICY_BINDINGS, counted=True),
)
OURS: tuple[Served, ...] = (
    _custom(WORKFLOWS, status_phase=_at("status", "phase")),
    _custom(WORKFLOWTEMPLATES),
    _custom(WORKFLOWACTIONS, spec_workflowName=_at("spec", "workflowName")),
    _custom(TASKSTATUSSHARDS, status=False),
)
SERVED = BUILT_IN + OURS
