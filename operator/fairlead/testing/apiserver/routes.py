"""From a request to what is asked: which kind, which object, which verb. Nothing is looked up here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from .exchange import Object, Request
from .refusals import bad_request, method_not_allowed, no_such_path, no_such_resource, too_large
from .served import Served
from .store import Author

__all__ = ["Call", "Routes", "document"]

#: What the real one reads of a request at most.
BODY_LIMIT = 3 * 1024 * 1024

_OF_ONE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_ALL = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_DRY_RUN = frozenset({"All"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a request asks for.

    Attributes:
        request: as it came.
        served: the kind.
        verb: of Kubernetes.
        namespace: "" is all of them, or none.
        name: "" is the collection.
        subresource: or "".
        author: who asks.
        dry_run: nothing is to be stored.
        metadata_only: answer with metadata alone.
    """

    request: Request
    served: Served
    verb: str
    namespace: str
    name: str
    subresource: str
    author: Author
    dry_run: bool
    metadata_only: bool

    @property
    def query(self) -> Mapping[str, str]:
        """Parameters of the request."""
        return self.request.query


def document(request: Request) -> Any:
    """Return the body, parsed. Raises `Refused`: it is too large, or no JSON."""
    if len(request.body) > BODY_LIMIT:
        raise too_large(f"Request entity too large: limit is {BODY_LIMIT}")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body cannot be decoded: {error}") from None


class Routes:
    """The kinds by where they live."""

    def __init__(self, served: Iterable[Served]) -> None:
        self.served = tuple(served)
        self._versions: dict[tuple[str, str], dict[str, Served]] = {}
        for each in self.served:
            resource = each.resource
            self._versions.setdefault((resource.group, resource.version), {})[resource.plural] = each

    def of_version(self, group: str, version: str) -> Mapping[str, Served] | None:
        """Return the kinds of a group and version by plural; None if it is not served."""
        return self._versions.get((group, version))

    def of_kind(self, api_version: str, kind: str) -> Served | None:
        """Return the kind that an object reference means."""
        group, _, version = api_version.rpartition("/")
        for each in (self._versions.get((group, version)) or {}).values():
            if each.resource.kind == kind:
                return each
        return None

    def call(self, request: Request) -> Call:
        """Return what is asked. Raises `Refused`: there is no such path, or it cannot be asked."""
        parts = request.path.strip("/").split("/")
        if "%" in request.path:
            parts = [unquote(each) for each in parts]
        if parts[0] == "api" and len(parts) >= 3:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) >= 4:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            raise no_such_path()
        kinds = self._versions.get((group, version))
        if kinds is None:
            raise no_such_path()
        namespace = ""
        # /namespaces/x and /namespaces/x/status are about the namespace itself.
        if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        served = kinds.get(rest[0])
        if served is None or (namespace and not served.resource.namespaced) or len(rest) > 3:
            raise no_such_resource()
        name = rest[1] if len(rest) > 1 else ""
        subresource = rest[2] if len(rest) > 2 else ""
        if served.resource.namespaced and name and not namespace:
            raise no_such_resource()
        if subresource and not ((subresource == "status" and served.status) or subresource in served.subresources):
            raise no_such_resource()
        return self._call(request, served, namespace, name, subresource)

    def _call(self, request: Request, served: Served, namespace: str, name: str, subresource: str) -> Call:
        verb = (_OF_ONE if name else _OF_ALL).get(request.method)
        if subresource in ("binding", "eviction") and request.method == "POST":
            verb = "create"
        if verb is None or (verb == "create" and served.resource.namespaced and not namespace):
            raise method_not_allowed()
        if verb == "list" and request.query.get("watch") in ("true", "1"):
            verb = "watch"
        headers, query = request.headers, request.query
        actor = headers.get("Impersonate-User") or headers.get("User-Agent", "")
        return Call(
            request=request,
            served=served,
            verb=verb,
            namespace=namespace,
            name=name,
            subresource=subresource,
            author=Author(actor, query.get("fieldManager", "")),
            dry_run=query.get("dryRun") in _DRY_RUN,
            metadata_only="as=PartialObjectMetadata" in headers.get("Accept", ""),
        )


def options_of(call: Call) -> Object:
    """Return the DeleteOptions of a delete: its body; the query counts only where there is none."""
    if call.request.body:
        found = document(call.request)
        if not isinstance(found, dict):
            raise bad_request("the body is no DeleteOptions")
        return found
    query = call.query
    options: Object = {key: query[key] for key in ("propagationPolicy",) if key in query}
    if call.dry_run:
        options["dryRun"] = ["All"]
    if "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    return options
