"""Sequences of requests at random: the same seed is the same sequence, for ever.

Nothing is known of what the servers will say. Few names and few kinds in one sequence make requests meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tests.conformance.bodies import KINDS, NAMES, SENTINEL_LABELS, Kind, labels, manifest, selector
from tests.conformance.steps import Step

from fairlead.testing.apiserver.merging import merged

__all__ = ["LAST", "Follow", "Sequence", "sequence"]

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

#: The object that is created at the end, so that a watch knows that it has heard everything.
LAST = "zz-last"
_FINALIZERS = ("example.com/one", "example.com/two")


@dataclass(frozen=True)
class Follow:
    """A watch that is opened at the end, from the start of the sequence or from a version that was seen."""

    kind: Kind
    after: str
    selector: str
    metadata_only: bool


@dataclass(frozen=True)
class Sequence:
    """Steps, and the watches whose events are compared at the end."""

    seed: int
    steps: list[Step]
    watches: list[Follow]


def sequence(seed: int, namespace: str, only: Collection[str] = ()) -> Sequence:
    """Return a sequence of some 25 requests about a few kinds; `only` names those that may be among them."""
    rng = random.Random(seed)
    kinds = [kind for kind in KINDS if not only or kind.resource.plural in only]
    pool = rng.choices(kinds, [kind.weight for kind in kinds], k=rng.randint(1, 3))
    author = _Author(rng, list(dict.fromkeys(pool)), namespace)
    for kind in author.kinds:
        author.steps.append(author.create(kind))
    for _ in range(rng.randint(12, 28)):
        author.steps.append(author.any())
    watches = []
    for kind in author.kinds:
        author.steps.append(author.last(kind))
        for _ in range(2):
            after = rng.choice(["<start>", "<start>", f"<version {kind.resource.plural}/a>"])
            watches.append(Follow(kind, after, rng.choice(["", selector(rng)]), rng.random() < 0.2))
    return Sequence(seed, author.steps, watches)


class _Author:
    def __init__(self, rng: random.Random, kinds: list[Kind], namespace: str) -> None:
        self.rng = rng
        self.kinds = kinds
        self.namespace = namespace
        self.steps: list[Step] = []

    def any(self) -> Step:
        kind = self.rng.choice(self.kinds)
        ways: list[tuple[int, Callable[[Kind], Step]]] = [
            (8, self.create),
            (2, self.odd_create),
            (3, self.get),
            (5, self.list),
            (9, self.patch_metadata),
            (5, self.patch_content),
            (4, self.finalizers),
            (2, self.json_patch),
            (3, self.replace),
            (2, self.apply),
            (6, self.delete),
            (1, self.delete_all),
            (1, self.nonsense),
        ]
        if kind.statuses is not None:
            ways += [(8, self.status)]
        if kind.odd:
            ways += [(4, self.odd_content)]
        if kind.resource.plural == "pods":
            ways += [(4, self.bind), (1, self.evict)]
        return self.rng.choices([way for _, way in ways], [weight for weight, _ in ways])[0](kind)

    # -- the requests

    def create(self, kind: Kind) -> Step:
        body = manifest(kind, self.name(), self.rng)
        if self.rng.random() < 0.25:
            body["metadata"]["finalizers"] = self.some(_FINALIZERS)
        if self.rng.random() < 0.35:
            body["metadata"]["ownerReferences"] = self.owners()
        query = {"dryRun": "All"} if self.rng.random() < 0.1 else {}
        return self.step("POST", kind, "create", query=query, body=body)

    def odd_create(self, kind: Kind) -> Step:
        body = manifest(kind, self.name(), self.rng)
        meta = body["metadata"]
        self.rng.choice(
            [
                lambda: meta.update(resourceVersion="5"),
                lambda: meta.update(uid="u", creationTimestamp="2020-01-01T00:00:00Z"),
                lambda: meta.update(namespace="another"),
                lambda: meta.update(name="Not_A_Name"),
                lambda: meta.pop("name"),
                lambda: meta.update(labels={"app": "no label!"}),
                lambda: meta.update(finalizers=["unqualified"]),
                lambda: meta.update(deletionTimestamp="2020-01-01T00:00:00Z", deletionGracePeriodSeconds=5),
                lambda: body.update(kind="Nonsense"),
                lambda: meta.update(
                    ownerReferences=[self.owner() | {"controller": True}, self.owner() | {"controller": True}]
                ),
            ]
        )()
        return self.step("POST", kind, "create", body=body)

    def get(self, kind: Kind) -> Step:
        accept = METADATA if self.rng.random() < 0.3 else "application/json"
        part = "/status" if kind.statuses and self.rng.random() < 0.1 else ""
        return self.step("GET", kind, "get", self.name() + part, accept=accept)

    def list(self, kind: Kind) -> Step:
        query: dict[str, str] = {}
        if self.rng.random() < 0.5:
            query["labelSelector"] = selector(self.rng)
        if self.rng.random() < 0.2:
            query["fieldSelector"] = self.rng.choice(self.fields(kind))
        if self.rng.random() < 0.4:
            query["limit"] = str(self.rng.randint(1, 2))
            if self.rng.random() < 0.5:
                query["continue"] = f"<token {kind.resource.plural}>"
        accept = METADATA_LIST if self.rng.random() < 0.3 else "application/json"
        return self.step("GET", kind, "list", query=query, accept=accept)

    def patch_metadata(self, kind: Kind) -> Step:
        metadata: Object = self.rng.choice(
            [
                lambda: {"labels": labels(self.rng) | {"gone": None}},
                lambda: {"labels": {"app": self.rng.choice(["x", "y", None])}},
                lambda: {"annotations": {"note": self.rng.choice(["1", "2", None])}},
                lambda: {"ownerReferences": self.owners()},
                lambda: {"labels": {"app": "y"} if kind.resource.plural == "jobs" else None},
                lambda: {"labels": {"app": "x"}, "generation": 7},
                lambda: {"name": "other"},
            ]
        )()
        return self.patch(kind, {"metadata": metadata | self.preconditions(kind)})

    def patch_content(self, kind: Kind) -> Step:
        body = kind.changes(self.rng)
        return self.patch(kind, body | ({"metadata": found} if (found := self.preconditions(kind)) else {}))

    def odd_content(self, kind: Kind) -> Step:
        """What the schema of a custom resource does not know, or refuses."""
        odd = self.rng.choice(kind.odd)
        if self.rng.random() < 0.4:
            body = merged(manifest(kind, self.name(), self.rng), odd)
            return self.step("POST", kind, "create", body=body)
        part = "/status" if "status" in odd and kind.statuses else ""
        return self.step("PATCH", kind, "patch", self.name() + part, body=odd, content_type=MERGE)

    def finalizers(self, kind: Kind) -> Step:
        if kind.resource.strategic and self.rng.random() < 0.6:
            ours = self.some(_FINALIZERS)
            metadata: Object = self.rng.choice([{"finalizers": ours}, {"$deleteFromPrimitiveList/finalizers": ours}])
            return self.patch(kind, {"metadata": metadata | self.preconditions(kind)}, STRATEGIC)
        kept = self.rng.choice([None, [], [*_FINALIZERS], ["example.com/one"], ["foregroundDeletion"]])
        return self.patch(kind, {"metadata": {"finalizers": kept} | self.preconditions(kind)}, MERGE)

    def json_patch(self, kind: Kind) -> Step:
        name = self.name()
        operations: list[Object] = self.rng.choice(
            [
                [{"op": "test", "path": "/metadata/uid", "value": self.uid(kind, name)}],
                [{"op": "test", "path": "/metadata/name", "value": "zz"}],
                [{"op": "replace", "path": "/metadata/labels/app", "value": "x"}],
                [{"op": "add", "path": "/metadata/labels", "value": {"app": "y"}}],
                [{"op": "remove", "path": "/metadata/labels/app"}],
                [{"op": "remove", "path": "/metadata/finalizers/0"}],
                [
                    {"op": "test", "path": "/metadata/finalizers/0", "value": "example.com/one"},
                    {"op": "remove", "path": "/metadata/finalizers/0"},
                ],
                [{"op": "add", "path": "/metadata/annotations/a~1b", "value": "1"}],
                [{"op": "copy", "from": "/metadata/name", "path": "/metadata/annotations/name"}],
                [{"op": "replace", "path": "/metadata/resourceVersion", "value": self.version(kind, name)}],
                [{"op": "replace", "path": "/metadata/uid", "value": self.uid(kind, name)}],
            ]
        )
        if self.rng.random() < 0.4:
            operations = [*operations, {"op": "add", "path": "/metadata/labels", "value": {"tier": "1"}}]
        return self.step("PATCH", kind, "patch", name, body=operations, content_type=JSON)

    def replace(self, kind: Kind) -> Step:
        name = self.name()
        changes: Object = self.rng.choice(
            [{"metadata": {"labels": labels(self.rng) | {"note": "n"}}}, kind.changes(self.rng)]
        )
        if self.rng.random() < 0.4:
            changes = {**changes, "metadata": {**changes.get("metadata", {}), "resourceVersion": None}}
        if self.rng.random() < 0.15:
            changes = {**changes, "metadata": {**changes.get("metadata", {}), "uid": "wrong"}}
        # Not of pods: what the real one has filled in cannot be taken away, and the fake has not.
        if self.rng.random() < 0.1 and kind.resource.plural != "pods":
            return self.step("PUT", kind, "update", name, body=manifest(kind, name, self.rng))
        body = {"$object": f"{kind.resource.plural}/{name}", "$changes": self.headed(kind, changes)}
        return self.step("PUT", kind, "update", name, body=body)

    def apply(self, kind: Kind) -> Step:
        name = self.name()
        # Only of metadata and, for custom resources, of conditions: elsewhere the fake knows too little of schemas.
        metadata: Object = {"name": name, "labels": labels(self.rng) or {"app": "x"}}
        if self.rng.random() < 0.4:
            metadata["finalizers"] = self.some(_FINALIZERS)
        if self.rng.random() < 0.3:
            metadata["uid"] = self.uid(kind, name)
        query = {"fieldManager": self.rng.choice(["one", "two"]), "force": "true"}
        body: Object = self.headed(kind, {"metadata": metadata})
        if self.rng.random() < 0.2 and kind.resource.plural == "workflowactions" and kind.statuses:
            body |= {"metadata": {"name": name}, "status": kind.statuses(self.rng)}
            return self.step("PATCH", kind, "apply", f"{name}/status", query=query, body=body, content_type=APPLY)
        # With what is required, as it may be the one that creates the object.
        body |= kind.content(self.rng)
        return self.step("PATCH", kind, "apply", name, query=query, body=body, content_type=APPLY)

    def delete(self, kind: Kind) -> Step:
        name = self.name()
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if self.rng.random() < 0.7:
            options["propagationPolicy"] = self.rng.choice(
                ["Background", "Background", "Foreground", "Orphan", "Orphan"]
            )
        if self.rng.random() < 0.3:
            options["gracePeriodSeconds"] = self.rng.choice([0, 0, 3, 10, -1])
        if self.rng.random() < 0.6:
            options["preconditions"] = {"uid": self.uid(kind, name)}
            if self.rng.random() < 0.2:
                options["preconditions"]["resourceVersion"] = self.version(kind, name)
        accept = METADATA if self.rng.random() < 0.3 else "application/json"
        query = {"dryRun": "All"} if self.rng.random() < 0.05 else {}
        return self.step("DELETE", kind, "delete", name, query=query, body=options, accept=accept)

    def delete_all(self, kind: Kind) -> Step:
        query = {"labelSelector": self.rng.choice(["app", "app=x", "app in (x,y)", "tier"])}
        body = {"propagationPolicy": self.rng.choice(["Background", "Foreground"])}
        return self.step("DELETE", kind, "deletecollection", query=query, body=body)

    def nonsense(self, kind: Kind) -> Step:
        if not kind.resource.strategic:  # for which the real one has words of its own
            return self.step("DELETE", kind, "delete", "a", body={"propagationPolicy": "Nonsense"})
        return self.rng.choice(
            [
                lambda: self.step("GET", kind, "get", "a/nonsense"),
                lambda: self.step("PATCH", kind, "patch", body=manifest(kind, "a", self.rng), content_type=MERGE),
                lambda: self.step("PUT", kind, "update", body=manifest(kind, "a", self.rng)),
                lambda: self.step("DELETE", kind, "delete", "a", body={"propagationPolicy": "Nonsense"}),
                lambda: self.patch(kind, {"metadata": {"labels": {"app": "x"}}}, STRATEGIC),
                lambda: self.step("GET", kind, "list", query={"labelSelector": "app=(x"}),
                lambda: self.step("GET", kind, "list", query={"fieldSelector": "spec.nonsense=x"}),
                lambda: self.step("GET", kind, "list", query={"limit": "1", "continue": "abc"}),
            ]
        )()

    def status(self, kind: Kind) -> Step:
        assert kind.statuses is not None
        name, status = self.name(), kind.statuses(self.rng)
        if self.rng.random() < 0.2:
            body = {"$object": f"{kind.resource.plural}/{name}", "$changes": self.headed(kind, {"status": status})}
            return self.step("PUT", kind, "update", f"{name}/status", body=body)
        change: Object = {"status": status}
        metadata = self.preconditions(kind, name)
        # Not of custom resources: the real one notes who tried in managedFields, which makes a version.
        if self.rng.random() < 0.2 and kind.resource.strategic:
            metadata["labels"] = labels(self.rng)
        if self.rng.random() < 0.1:
            change |= kind.changes(self.rng) | {"status": status}
        if metadata:
            change["metadata"] = metadata
        strategic = kind.resource.strategic and self.rng.random() < 0.6
        kind_of_patch = STRATEGIC if strategic else MERGE
        return self.step("PATCH", kind, "patch", f"{name}/status", body=change, content_type=kind_of_patch)

    def bind(self, kind: Kind) -> Step:
        name = self.name()
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"kind": "Node", "name": "nowhere"},
        }
        return self.step("POST", kind, "create", f"{name}/binding", body=body)

    def evict(self, kind: Kind) -> Step:
        name = self.name()
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        return self.step("POST", kind, "create", f"{name}/eviction", body=body)

    def last(self, kind: Kind) -> Step:
        body = manifest(kind, LAST, self.rng)
        body["metadata"]["labels"] = SENTINEL_LABELS
        return self.step("POST", kind, "create", body=body)

    # -- what they are made of

    def patch(self, kind: Kind, body: Object, content_type: str = "") -> Step:
        types = [MERGE, STRATEGIC] if kind.resource.strategic else [MERGE]
        chosen = content_type or self.rng.choice(types)
        return self.step("PATCH", kind, "patch", self.name(), body=body, content_type=chosen)

    def step(
        self,
        method: str,
        kind: Kind,
        what: str,
        name: str = "",
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Step:
        path = kind.resource.path(self.namespace) + (f"/{name}" if name else "")
        if body is not None and kind.resource.plural == "events":
            body = _filled(body, self.namespace)
        return Step(
            method=method,
            path=path,
            plural=kind.resource.plural,
            what=what,
            query={"fieldManager": "tester", **(query or {})} if method in ("POST", "PUT", "PATCH") else query or {},
            body=body,
            content_type=content_type,
            accept=accept,
        )

    def headed(self, kind: Kind, changes: Object) -> Object:
        return {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, **changes}

    def preconditions(self, kind: Kind, name: str = "") -> Object:
        """Conditions on the object of some name, which need not be the one of the request."""
        name = name or self.name()
        found: Object = {}
        if self.rng.random() < 0.15:
            found["uid"] = self.uid(kind, name)
        if self.rng.random() < 0.15:
            found["resourceVersion"] = self.version(kind, name)
        return found

    def uid(self, kind: Kind, name: str) -> str:
        return f"<{self.rng.choice(['uid', 'uid', 'uid', 'first-uid'])} {kind.resource.plural}/{name}>"

    def version(self, kind: Kind, name: str) -> str:
        return f"<{self.rng.choice(['version', 'version', 'first-version'])} {kind.resource.plural}/{name}>"

    def owner(self) -> Object:
        kind, name = self.rng.choice(self.kinds), self.name()
        found: Object = {
            "apiVersion": kind.resource.api_version,
            "kind": kind.resource.kind,
            "name": name,
            "uid": f"<uid {kind.resource.plural}/{name}>",
        }
        if self.rng.random() < 0.5:
            found["blockOwnerDeletion"] = True
        return found

    def owners(self) -> list[Object]:
        found = [self.owner() for _ in range(self.rng.choice([1, 1, 2]))]
        return list({each["uid"]: each for each in found}.values())

    def fields(self, kind: Kind) -> list[str]:
        found = ["metadata.name=a", f"metadata.namespace={self.namespace}", "metadata.name!=b"]
        if kind.resource.plural == "pods":
            found += ["status.phase=Pending", "spec.nodeName=nowhere", "status.phase!=Failed,spec.nodeName="]
        if kind.resource.plural == "workflows":
            found += ["status.phase=Running"]
        return found

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def some(self, values: tuple[str, ...]) -> list[str]:
        return self.rng.sample(values, self.rng.randint(1, len(values)))


def _filled(value: Any, namespace: str) -> Any:
    match value:
        case str():
            return value.replace("<namespace>", namespace)
        case dict():
            return {key: _filled(each, namespace) for key, each in value.items()}
        case list():
            return [_filled(each, namespace) for each in value]
        case _:
            return value
