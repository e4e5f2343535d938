"""What the objects of a sequence are made of: a manifest of each kind, and changes that are valid for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairlead.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    EVENTS,
    JOBS,
    LEASES,
    PODS,
    SECRETS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
    Resource,
)
from fairlead.testing.apiserver.served import SERVICE_ACCOUNTS

__all__ = ["KINDS", "NAMES", "SENTINEL_LABELS", "Kind", "labels", "manifest", "selector"]

Object = dict[str, Any]

NAMES = ("a", "b", "c")
#: Of an object that every selector below finds.
SENTINEL_LABELS = {"app": "x", "tier": "1"}
SELECTORS = (
    "app=x",
    "app==x,tier",
    "app",
    "!gone",
    "app!=z",
    "app in (x, z)",
    "tier notin (2,3)",
    "tier>0",
    "tier<2",
    "app in (x),tier=1",
)

_CONTAINERS = [{"name": "main", "image": "i:1"}, {"name": "side", "image": "s:1"}]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind with what is in it, changes of that, and of its status."""

    resource: Resource
    weight: int
    content: Callable[[random.Random], Object]
    changes: Callable[[random.Random], Object]
    statuses: Callable[[random.Random], Object] | None = None
    #: Changes that its schema does not know, or refuses.
    odd: tuple[Object, ...] = ()


def _pod(rng: random.Random) -> Object:
    spec: Object = {
        "automountServiceAccountToken": False,
        "schedulerName": "nobody",
        "restartPolicy": "Never",
        "containers": _CONTAINERS[: rng.randint(1, 2)],
    }
    if rng.random() < 0.3:
        spec["terminationGracePeriodSeconds"] = rng.choice([0, 5])
    if rng.random() < 0.3:
        spec["activeDeadlineSeconds"] = 100
    return {"spec": spec}


def _pod_change(rng: random.Random) -> Object:
    return rng.choice(
        [
            {"spec": {"activeDeadlineSeconds": rng.choice([50, 100, 200])}},
            {"spec": {"containers": [{"name": "main", "image": rng.choice(["i:1", "i:2"])}]}},
            {"spec": {"nodeName": "elsewhere"}},
            {"spec": {"restartPolicy": "OnFailure"}},
            {"spec": {"priorityClassName": None}},
            {"status": {"message": "not to be written here"}},
        ]
    )


def _pod_status(rng: random.Random) -> Object:
    phase = rng.choice(["Pending", "Running", "Running", "Succeeded", "Failed"])
    return rng.choice(
        [
            {"phase": phase},
            {"phase": phase, "message": rng.choice(["m", "n"]), "reason": "R"},
            {"conditions": [{"type": "Ready", "status": rng.choice(["True", "False"])}]},
            {"conditions": [{"type": "Other", "status": "True"}]},
        ]
    )


def _job(rng: random.Random) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": _CONTAINERS[:1]}}
    return {"spec": {"managedBy": "example.com/nobody", "parallelism": rng.randint(1, 2), "template": template}}


def _task_status(rng: random.Random) -> Object:
    return rng.choice(
        [
            {"phase": rng.choice(["Pending", "Running", "Succeeded"])},
            {"message": rng.choice(["m", "n"])},
            {"observedGeneration": rng.randint(1, 3)},
        ]
    )


def _workflow(rng: random.Random) -> Object:
    return {"spec": {"parallelism": rng.randint(1, 3), "tasks": [{"name": "a", "container": {"image": "i"}}]}}


def _tunables(rng: random.Random) -> Object:
    return rng.choice(
        [
            {"spec": {"parallelism": rng.randint(1, 3)}},
            {"spec": {"suspend": rng.choice([True, False])}},
            {"status": {"phase": "Running"}},
        ]
    )


def _action(_: random.Random) -> Object:
    return {"spec": {"workflowName": "w", "workflowUID": "u", "action": "Retry"}}


def _verdict(rng: random.Random) -> Object:
    condition = {
        "type": rng.choice(["Accepted", "Completed"]),
        "status": rng.choice(["True", "False"]),
        "reason": "R",
        "message": rng.choice(["m", "n"]),
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {"observedGeneration": 1, "conditions": [condition]}


def _shard(rng: random.Random) -> Object:
    return {"workflowUID": "u", "index": 0, "revision": rng.randint(0, 3), "tasks": []}


def _event(rng: random.Random) -> Object:
    return {"involvedObject": {"namespace": "<namespace>", "name": "a"}, "reason": rng.choice(["R", "S"])}


def _data(rng: random.Random) -> Object:
    return {"data": {rng.choice("kl"): rng.choice(["djE=", "djI="])}}


_ODD_WORKFLOW: tuple[Object, ...] = (
    {"unknown": {"a": 1}},
    {"spec": {"unknown": 1, "parallelism": 2}},
    {"spec": {"parallelism": "many"}},
    {"spec": {"parallelism": -5}},
    {"spec": {"suspend": 1}},
    {"spec": {"tasks": "none"}},
    {"spec": {"tasks": [{"name": 1, "container": {"image": "i"}}]}},
    {"spec": {"tasks": [{"container": {"image": "i", "unknown": 1}}]}},
    {"spec": None},
    {"status": {"phase": 7}},
    {"status": {"phase": "Nonsense"}},
    {"status": {"unknown": 1}},
    {"status": {"conditions": [{"type": "A"}]}},
    {"status": {"observedGeneration": 1.5}},
)
_ODD_ACTION: tuple[Object, ...] = (
    {"spec": None},
    {"spec": {"unknown": 1}},
    {"status": {"observedGeneration": "one"}},
    {"status": {"conditions": "none"}},
    {"status": {"conditions": [{"type": "A", "status": "Perhaps", "reason": "R", "message": ""}]}},
)
_ODD_SHARD: tuple[Object, ...] = (
    {"tasks": None},
    {"unknown": 1},
    {"revision": -1},
    {"revision": "one"},
    {"tasks": [{"unknown": 1}]},
    {"tasks": [{"name": "a", "phase": 1}]},
    {"status": {"phase": "Running"}},
)

KINDS = (
    Kind(PODS, 8, _pod, _pod_change, _pod_status),
    Kind(CONFIGMAPS, 5, _data, _data),
    Kind(WORKFLOWS, 5, _workflow, _tunables, _task_status, _ODD_WORKFLOW),
    Kind(TASKSTATUSSHARDS, 3, _shard, lambda rng: {"revision": rng.randint(0, 3)}, odd=_ODD_SHARD),
    Kind(WORKFLOWACTIONS, 3, _action, lambda rng: {"status": {"observedGeneration": 1}}, _verdict, _ODD_ACTION),
    Kind(JOBS, 4, _job, lambda rng: {"spec": {"parallelism": rng.randint(1, 3)}}),
    Kind(SECRETS, 1, _data, _data),
    Kind(LEASES, 1, lambda _: {"spec": {"holderIdentity": "me"}}, lambda rng: {"spec": {"leaseTransitions": 1}}),
    Kind(SERVICE_ACCOUNTS, 1, lambda _: {}, lambda rng: {"automountServiceAccountToken": rng.choice([True, False])}),
    Kind(EVENTS, 1, _event, lambda rng: {"message": rng.choice(["m", "n"])}),
    Kind(
        WORKFLOWTEMPLATES,
        1,
        lambda _: {"spec": {"tasks": [{"name": "a", "container": {"image": "i"}}]}},
        lambda rng: {"spec": {"tasks": [{"name": rng.choice("ab"), "container": {"image": "i"}}]}},
    ),
    Kind(CONTROLLERREVISIONS, 1, lambda _: {"revision": 1, "data": {"a": 1}}, lambda rng: {"revision": 2}),
)


def labels(rng: random.Random) -> Object:
    """Labels that some of the selectors select."""
    found: Object = {}
    if rng.random() < 0.7:
        found["app"] = rng.choice(["x", "y", "z"])
    if rng.random() < 0.5:
        found["tier"] = rng.choice(["1", "2"])
    if rng.random() < 0.1:
        found["gone"] = ""
    return found


def selector(rng: random.Random) -> str:
    return rng.choice(SELECTORS)


def manifest(kind: Kind, name: str, rng: random.Random) -> Object:
    """An object as it is created."""
    resource = kind.resource
    metadata: Object = {"name": name}
    # A Job without labels has its template's whenever it is read, and they are stored when it is next written.
    if found := labels(rng) or ({"app": "y"} if resource is JOBS else {}):
        metadata["labels"] = found
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **kind.content(rng)}
