"""What the server tells of the kinds that it serves: `/api`, `/apis`, and what is below."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.kube.resources import Resource

from .exchange import Answer, Object
from .refusals import no_such_path
from .routes import Routes
from .served import Served

__all__ = ["discovered"]

_PARTS = ("get", "patch", "update")
_VERBS = {"binding": ("create",), "eviction": ("create",), "log": ("get",), "finalize": ("update",)}
_KINDS = {"binding": "Binding", "eviction": "Eviction"}


def discovered(routes: Routes, path: str, reviews: Iterable[Resource] = ()) -> Answer | None:
    """Answer a question of discovery; None if the path is none. `reviews` are the kinds that are only asked.

    Raises `Refused`: that group or version is not served.
    """
    match path.strip("/").split("/"):
        case ["version"]:
            return Answer(code=200, body={"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        case ["api"]:
            return Answer(code=200, body={"kind": "APIVersions", "versions": ["v1"]})
        case ["apis"]:
            groups = [_group(name, versions) for name, versions in _groups(routes, reviews).items() if name]
            return Answer(code=200, body={"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        case ["apis", name]:
            versions = _groups(routes, reviews).get(name)
            if versions is None:
                raise no_such_path()
            return Answer(code=200, body={"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)})
        case ["api", version]:
            return _resources(routes, reviews, "", version)
        case ["apis", group, version]:
            return _resources(routes, reviews, group, version)
        case _:
            return None


def _groups(routes: Routes, reviews: Iterable[Resource]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for resource in [*(each.resource for each in routes.served), *reviews]:
        versions = found.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
    return found


def _group(name: str, versions: list[str]) -> Object:
    served = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def _resources(routes: Routes, reviews: Iterable[Resource], group: str, version: str) -> Answer:
    kinds = (routes.of_version(group, version) or {}).values()
    asked = [each for each in reviews if (each.group, each.version) == (group, version)]
    if not kinds and not asked:
        raise no_such_path()
    resources = [entry for served in kinds for entry in _entries(served)]
    resources += [_entry(each, each.plural, each.kind, ("create",)) for each in asked]
    named = f"{group}/{version}" if group else version
    body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": resources}
    return Answer(code=200, body=body)


def _entries(served: Served) -> Iterable[Object]:
    resource = served.resource
    yield {**_entry(resource, resource.plural, resource.kind, served.verbs), "singularName": resource.kind.lower()}
    for each in (*served.subresources, *(("status",) if served.status else ())):
        kind = _KINDS.get(each, resource.kind)
        yield _entry(resource, f"{resource.plural}/{each}", kind, _VERBS.get(each, _PARTS))


def _entry(resource: Resource, name: str, kind: str, verbs: Iterable[str]) -> Object:
    return {
        "name": name,
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
